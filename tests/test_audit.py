"""Every check finds what is planted and is quiet on clean data."""

import random
import string
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.audit import CHECKS, QUICK, Finding, Measured, allowed_checks, audit
from headway.audit.minhash import SIMILAR, Sketches, clusters
from headway.errors import ConfigError
from headway.records import Record, Span

NOUNS = """harbour ferry letter garden window bread teacher river market bicycle winter lantern engine castle doctor forest""".split()  # noqa: SIM905
VERBS = """carried found painted sold repaired forgot measured followed cleaned borrowed""".split()  # noqa: SIM905
NAMES = ("Ida Moen", "Karl Berg", "Ana Lopez", "Jo Fields", "Mia Chan", "Omar Aziz")
promise = settings(max_examples=40)


def sentence(generator: random.Random) -> str:
    """Eleven words that mean nothing; two sentences seldom share two neighbouring words."""
    words = [generator.choice(pool) for pool in (NOUNS, VERBS, NOUNS, NOUNS, VERBS, NOUNS, VERBS, NOUNS)]
    return f"The {words[0]} {' '.join(words[1:])} and the {generator.choice(NOUNS)}."


def clean_classes(part: str, count: int, seed: int) -> list[Record]:
    generator = random.Random(seed)
    texts = list(dict.fromkeys(sentence(generator) for _ in range(2 * count)))[:count]
    return [Record(text, label=("praise", "blame")[n % 2], where=f"{part}.csv:{n + 2}") for n, text in enumerate(texts)]


def clean_entities(part: str, count: int, seed: int) -> list[Record]:
    generator = random.Random(seed)
    records = []
    for number, record in enumerate(clean_classes(part, count, seed)):
        name = generator.choice(NAMES)
        text = f"{name} said: {record.text}"
        records.append(Record(text, entities=(Span(0, len(name), "PER"),), where=f"{part}.conll:{number + 1}"))
    return records


def clean_questions(part: str, count: int, seed: int) -> list[Record]:
    records = []
    for number, record in enumerate(clean_classes(part, count, seed)):
        last = record.text.split()[-1].strip(".")
        start = record.text.rindex(last)
        answers = () if number % 4 == 0 else (Span(start, start + len(last)),)
        records.append(Record(record.text, question=f"Near what was it, number {number}?", answers=answers, where=f"{part}.json#{number}"))
    return records


MADE = {"classification": clean_classes, "ner": clean_entities, "qa": clean_questions}


def clean(task: str) -> dict[str, list[Record]]:
    return {"train": MADE[task]("train", 200, 1), "dev": MADE[task]("dev", 40, 2), "test": MADE[task]("test", 60, 3)}


def measure(records):
    """As an encoder whose vocabulary has every word would read them, but for one."""
    return [Measured(tokens=len(record.text.split()), unknown=record.text.count("☃"), windows=1, lost=0) for record in records]


def findings(parts, task="classification", **options) -> dict[str, list[Finding]]:
    found = [event for event in audit(parts, task=task, measure=measure, **options) if isinstance(event, Finding)]
    return {name: [finding for finding in found if finding.check == name] for name in CHECKS}


def changed(position: int, **how):
    """Plants a defect: the training record at `position` with other fields; a function of the old one where callable."""

    def plant(parts):
        old = parts["train"][position]
        parts["train"][position] = replace(old, **{name: value(old) if callable(value) else value for name, value in how.items()})

    return plant


def text(make):
    return changed(7, text=lambda record: make(record.text))


def copied(source: str, target: str, count: int = 1, **how):
    """Plants records of one part behind those of another."""

    def plant(parts):
        parts[target] += [replace(record, where=f"{target}.csv:{900 + n}", **how) for n, record in enumerate(parts[source][:count])]

    return plant


def relabelled(part: str, label, positions=slice(None)):
    def plant(parts):
        parts[part][positions] = [
            replace(record, label=label(record, number) if callable(label) else label)
            for number, record in enumerate(parts[part][positions])
        ]

    return plant


def mark(*spans: tuple[int, int, str]):
    return changed(7, entities=tuple(Span(*span) for span in spans))


def other_order(record: Record) -> str:
    """A text of which one word of many is another."""
    return f"{record.text} Then nobody came and everything was quiet until the early morning train to the coast arrived."


def near(parts):
    parts["train"][0] = replace(parts["train"][0], text=other_order(parts["train"][0]))
    parts["test"][0] = replace(parts["test"][0], text=parts["train"][0].text.replace("quiet", "loud"))


def uneven(parts):
    parts["train"][0] = replace(parts["train"][0], entities=())


# check -> task, how its defect is planted, severity, where the first example stands
PLANTED = {
    "leakage": ("classification", copied("train", "test"), "warning", "test.csv:900"),
    "conflicting_labels": ("classification", copied("train", "train", label="blame"), "warning", "train.csv:900"),
    "exact_duplicates": ("classification", copied("train", "train"), "note", "train.csv:900"),
    "near_duplicates": ("classification", near, "warning", "test.csv:2"),
    "empty_texts": ("classification", text(lambda old: " \n"), "warning", "train.csv:9"),
    "mojibake": ("classification", text(lambda old: f"{old} CafÃ© donâ€™t"), "warning", "train.csv:9"),
    "control_characters": ("classification", text(lambda old: f"{old}\x07"), "warning", "train.csv:9"),
    "invisible_characters": ("classification", text(lambda old: old.replace(" ", "\u200b ", 1)), "note", "train.csv:9"),
    "stray_tabs": ("classification", text(lambda old: f"{old}\tpraise\tAnd then it rained."), "warning", "train.csv:9"),
    "stray_backslashes": ("classification", text(lambda old: old.replace(" ", "\\", 1)), "note", "train.csv:9"),
    "markup_remains": ("classification", text(lambda old: f"{old}<br />#39;"), "note", "train.csv:9"),
    "outlying_lengths": ("classification", text(lambda old: f"{old} " * 12), "warning", "train.csv:9"),
    "scripts": ("classification", text(lambda old: "Паром ушёл без нас, и мы остались ждать"), "note", "train.csv:9"),
    "languages": (
        "classification",
        lambda parts: [text_at(parts, n, f"Der Hund ist nicht auf dem Schiff und das Kind auch, Nummer {n}") for n in range(9)],
        "note",
        "train.csv:2",
    ),
    "unlabelled": ("classification", changed(7, label=None), "warning", "train.csv:9"),
    "label_kind": ("classification", relabelled("train", lambda record, n: f"id {n}"), "error", None),
    "label_spellings": ("classification", relabelled("train", "Praise ", slice(0, 9)), "warning", "train.csv:2"),
    "unseen_labels": ("classification", relabelled("test", "prais", slice(0, 1)), "error", "test.csv:2"),
    "absent_labels": ("classification", relabelled("test", "praise"), "warning", None),
    "imbalance": ("classification", relabelled("train", lambda record, n: "praise" if n % 10 else "blame"), "warning", None),
    "rare_classes": ("classification", relabelled("train", "sarcasm", slice(0, 2)), "warning", None),
    "span_places": ("ner", mark((5, 5, "PER"), (0, 9999, "PER")), "error", "train.conll:8"),
    "span_borders": ("ner", lambda parts: widen(parts["train"], 7), "warning", "train.conll:8"),
    "spans_in_words": ("ner", mark((0, 1, "PER")), "note", "train.conll:8"),
    "span_overlaps": ("ner", mark((0, 8, "PER"), (4, 12, "LOC")), "warning", "train.conll:8"),
    "uneven_marks": ("ner", uneven, "note", None),
    "answer_places": ("qa", changed(7, answers=(Span(3, 9999),)), "error", "train.json#7"),
    "answers_in_words": ("qa", changed(7, answers=(Span(1, 5),)), "note", "train.json#7"),
    "answers_apart": ("qa", changed(7, answers=(Span(0, 3), Span(4, 12))), "warning", "train.json#7"),
    "unanswerable": ("qa", lambda parts: parts.update(test=[replace(r, answers=()) for r in parts["test"]]), "warning", None),
    "unknown_tokens": ("classification", text(lambda old: f"{old} ☃"), "note", "train.csv:9"),
}
DESCRIBES = {"window_cuts", "class_counts", "lengths"}  # say how the data is; none of it is a defect by itself


def text_at(parts, position: int, new: str) -> None:
    parts["train"][position] = replace(parts["train"][position], text=new)


def widen(records: list[Record], position: int) -> None:
    """An entity that takes the space behind it along."""
    old = records[position]
    records[position] = replace(old, entities=(Span(0, old.entities[0].end + 1, "PER"),))


def test_every_check_has_a_planted_defect():
    assert PLANTED.keys() | DESCRIBES == CHECKS.keys()


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_defect_is_found(check):
    task, plant, severity, where = PLANTED[check]
    parts = clean(task)
    before = findings(parts, task)[check]
    plant(parts)
    found = findings(parts, task)[check]
    assert [finding.severity for finding in found] == [severity]
    assert found != before
    assert where is None or found[0].examples[0].where == where


@pytest.mark.parametrize("task", MADE)
def test_clean_data_is_quiet(task):
    found = findings(clean(task), task)
    assert {name: [finding.says for finding in of_check if finding.severity != "note"] for name, of_check in found.items()} == {
        name: [] for name in CHECKS
    }


@pytest.mark.parametrize("task", MADE)
def test_every_finding_says_what_to_do(task):
    for of_check in findings(clean(task), task).values():
        for finding in of_check:
            assert all([finding.says, finding.why, finding.remedy])
            assert "\n" not in finding.says + finding.why + finding.remedy


def test_the_gravest_come_first():
    parts = clean("classification")
    for check in ("exact_duplicates", "empty_texts", "unseen_labels"):
        PLANTED[check][1](parts)
    found = [event.severity for event in audit(parts, task="classification") if isinstance(event, Finding)]
    assert found == sorted(found, key=["error", "warning", "note"].index)


def test_no_check_looks_at_more_than_it_is_asked_for():
    parts = clean("classification")
    PLANTED["empty_texts"][1](parts)
    assert not any(findings(parts, checks=["leakage"]).values())
    assert findings(parts, checks=["empty_texts"])["empty_texts"]


@pytest.mark.parametrize(("words", "severity"), [(1, "warning"), (9, "warning"), (11, "error")])
def test_an_encoder_that_knows_less_than_half_of_the_tokens_is_an_error(words, severity):
    parts = {"train": [Record(" ".join("☃" * words + "w" * (20 - words)), label="ab"[n % 2], where=f"x:{n}") for n in range(9)]}
    assert [finding.severity for finding in findings(parts)["unknown_tokens"]] == [severity]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_test_set_is_refused_where_nearly_all_of_it_was_learned(share):
    parts = clean("classification")
    parts["test"][: int(share * 60)] = parts["train"][: int(share * 60)]
    assert findings(parts)["leakage"][0].severity == ("error" if share == 0.9 else "warning")
    assert findings(parts)["leakage"][0].count == int(share * 60)


def test_a_paragraph_on_both_sides_leaks_whatever_is_asked_of_it():
    parts = clean("qa")
    parts["test"].append(replace(parts["train"][3], question="Who was it?", where="test.json#900"))
    assert findings(parts, "qa")["leakage"][0].examples[0].where == "test.json#900"
    assert findings(parts, "qa")["leakage"][0].examples[0].detail == "as train.json#3"


def test_a_text_of_dev_and_test_is_told_where_train_does_not_tell_it():
    parts = clean("classification")
    parts["test"] += [replace(parts["dev"][3], where="test.csv:900"), replace(parts["train"][3], where="test.csv:901")]
    parts["dev"].append(replace(parts["train"][3], where="dev.csv:900"))
    assert [(one.severity, one.says, one.examples[0].detail) for one in findings(parts)["leakage"]] == [
        ("warning", "1 of 41 (2.4%) texts of dev are in train", "as train.csv:5"),
        ("warning", "1 of 62 (1.6%) texts of test are in train", "as train.csv:5"),
        ("warning", "1 of 62 (1.6%) texts of test are in dev", "as dev.csv:5"),
    ]


def test_a_paragraph_of_dev_and_test_is_told():
    parts = clean("qa")
    parts["test"].append(replace(parts["dev"][3], question="Who was it?", where="test.json#900"))
    assert [finding.says for finding in findings(parts, "qa")["leakage"]] == [
        "1 of 61 (1.6%) questions stand on paragraphs that of test are in dev"
    ]


def chicago(**marks: int) -> dict[str, list[Record]]:
    """Sentences in which one word has so many of each mark; none of them is marked where it is called `none`."""
    labels = [label for label, count in marks.items() for _ in range(count)]
    records = [
        Record(f"He saw Chicago on day {n}", entities=() if label == "none" else (Span(7, 14, label),), where=f"c:{n}")
        for n, label in enumerate(labels)
    ]
    return {"train": clean_entities("train", 200, 1) + records}


def test_a_word_without_a_usual_mark_is_told_with_all_its_marks():
    (found,) = findings(chicago(LOC=20, ORG=20, PER=20, none=60), "ner", checks=["uneven_marks"])["uneven_marks"]
    assert (found.severity, found.count) == ("warning", 60)
    assert found.table[1] == ("Chicago", "not marked 60, LOC 20, ORG 20, PER 20")
    assert [(example.where, example.detail) for example in found.examples] == [
        (f"c:{20 * n}", f'"Chicago" is {mark}') for n, mark in enumerate(["LOC", "ORG", "PER"])
    ]


@pytest.mark.parametrize(
    ("marks", "says"),
    [
        ({"LOC": 19, "ORG": 1}, "nearly always"),
        ({"LOC": 15, "ORG": 5}, "in several ways"),
        ({"LOC": 4, "ORG": 4}, None),
        ({"LOC": 3, "none": 40}, None),
    ],
)
def test_a_word_that_is_frequent_enough_is_either_uneven_or_mixed(marks, says):
    found = findings(chicago(**marks), "ner", checks=["uneven_marks"])["uneven_marks"]
    assert [says in finding.says for finding in found] == ([] if says is None else [True])


def test_the_words_of_which_least_is_known_come_first():
    parts = chicago(LOC=20, ORG=20)
    parts["train"] += [replace(record, text=record.text.replace("Chicago", "Kampala")) for record in chicago(LOC=30, ORG=4)["train"][200:]]
    (found,) = findings(parts, "ner", checks=["uneven_marks"])["uneven_marks"]
    assert [row[0] for row in found.table[1:]] == ["Chicago", "Kampala"]


def test_a_text_counts_once_however_often_its_labels_disagree():
    parts = clean("classification")
    for label in ("blame", "praise", "blame"):
        copied("train", "train", label=label)(parts)
    assert findings(parts)["conflicting_labels"][0].count == 1


def test_labels_that_are_numbers_are_no_classes():
    parts = {"train": [replace(record, label=n / 7) for n, record in enumerate(clean_classes("train", 60, 1))]}
    assert not any(findings(parts)[name] for name in ("label_kind", "imbalance", "rare_classes", "class_counts"))


@pytest.mark.parametrize(("setting", "chosen"), [("", set()), ("leakage, mojibake", {"leakage", "mojibake"}), ("all", set(CHECKS))])
def test_checks_are_allowed_by_name(setting, chosen):
    assert allowed_checks(setting) == chosen


def test_a_misspelt_check_names_the_nearest_one():
    with pytest.raises(ConfigError, match='there is no check leakege; did you mean "leakage"'):
        allowed_checks("leakege")


def test_training_does_not_wait_for_slow_checks():
    assert set(QUICK) < set(CHECKS)
    assert "near_duplicates" not in QUICK


GARBLED = {
    "empty_texts": "\u200b \ufeff",
    "control_characters": "a\x07",
    "invisible_characters": "pass\u00adword",
    "stray_tabs": "a\tb",
    "stray_backslashes": "one\\ntwo",
    "markup_remains": "one<br />two",
    "mojibake": "CafÃ©",
}


@pytest.mark.parametrize("check", GARBLED)
@pytest.mark.parametrize("field", ["text", "text_pair", "question"])
def test_every_text_of_a_record_is_looked_at(check, field):
    record = Record("A sound text.", text_pair="Another sound text.", question="A sound question?", label="a", where="x:1")
    parts = {"train": [record] * 200, "test": [replace(record, where="x:2", **{field: GARBLED[check]})]}
    (found,) = findings(parts, checks=[check])[check]
    assert (found.count, [example.where for example in found.examples]) == (1, ["x:2"])


@pytest.mark.parametrize("hidden", ["\u200b", "\u2060", "\u00ad", "\u200d", "\u202e", "\u2066"])
def test_what_nobody_sees_is_shown_by_its_number(hidden):
    (found,) = findings({"train": [Record(f"see{hidden}saw", label="a")]})["invisible_characters"]
    assert found.examples[0].text == f"see[{ord(hidden):04X}]saw"


@pytest.mark.parametrize(
    "written",
    [
        "می\u200cخواهم",
        "क्\u200dष",
        "👩\u200d🔬 at work",
        "ภาษา\u200bไทย",
        "\u2067שלום\u2069 he said",
        "\u200f(كتب) ABC",
        "line\nbreak",
        "two\u00a0words",
    ],
)
def test_what_scripts_need_is_not_told_as_invisible(written):
    assert not findings({"train": [Record(written, label="a")]})["invisible_characters"]


@pytest.mark.parametrize(
    "written",
    ["Straße naïve Zürich café", "日本語のテキスト", "«Привет», сказал он", "10 °C · 5 £ – ½", "smörgåsbord på ön", "İstanbul’da", "à €5"],
)
def test_what_people_write_is_not_garbled(written):
    parts = clean("classification")
    text_at(parts, 7, written)
    assert not findings(parts)["mojibake"]


@promise
@given(st.text(min_size=1).filter(lambda written: not written.isascii()))
def test_utf8_read_as_cp1252_is_garbled(written):
    try:
        garbled = f"Ever {written.encode().decode('cp1252')} after"
    except UnicodeError:
        return
    parts = {"train": [Record(garbled, label="a", where="x:1")]}
    assert findings(parts)["mojibake"]


# --- nearly the same


def jaccard(one: str, other: str) -> float:
    def shingles(words):
        return set(pairwise(words))

    first, second = shingles(one.split()), shingles(other.split())
    return len(first & second) / len(first | second)


WORDS = st.lists(st.sampled_from(NOUNS), min_size=3, max_size=12).map(" ".join)


@promise
@given(st.lists(WORDS, min_size=2, max_size=12, unique=True), st.sampled_from([0.5, 0.7, 0.9]))
def test_every_pair_is_as_similar_as_is_said(texts, threshold):
    sketches = Sketches()
    for one in texts:
        sketches.add(one)
    for first, second, similarity in sketches.pairs(threshold):
        assert first < second
        assert similarity == pytest.approx(jaccard(texts[first], texts[second]))
        assert similarity >= threshold


def test_nearly_all_pairs_above_the_threshold_are_found():
    generator = random.Random(5)
    sketches, texts = Sketches(), []
    for _ in range(400):
        words = ["".join(generator.choices(string.ascii_lowercase, k=6)) for _ in range(30)]
        texts.append(" ".join(words))
        words[generator.randrange(1, 29)] = "other"
        words[generator.randrange(1, 29)] = "changed"
        texts.append(" ".join(words))
    for one in texts:
        sketches.add(one)
    alike = {(n, n + 1) for n in range(0, 800, 2) if jaccard(texts[n], texts[n + 1]) >= 0.7}
    found = {(pair.first, pair.second) for pair in sketches.pairs(0.7)}
    assert found <= alike
    assert len(found) > 0.97 * len(alike) > 300


def punctuated(record: Record) -> Record:
    return replace(record, text=record.text.replace(" and", ", and").replace(".", " !"), where=f"{record.where}!")


@pytest.mark.parametrize("task", MADE)
@pytest.mark.parametrize(("source", "target"), [("train", "train"), ("train", "test"), ("dev", "test")])
def test_texts_that_are_equal_but_for_punctuation_are_near_duplicates(task, source, target):
    parts = clean(task)
    parts[target].append(punctuated(parts[source][3]))
    (found,) = findings(parts, task, checks=["near_duplicates"])["near_duplicates"]
    assert (found.count, found.examples[0].where) == (1, f"{parts[source][3].where}!")
    assert found.examples[0].detail.startswith(f"100% as {parts[source][3].where}: ")


@pytest.mark.parametrize("task", MADE)
def test_what_is_told_as_equal_is_not_told_as_near(task):
    parts = clean(task)
    parts["train"] += [replace(record, text=f" {record.text.upper()}\n", entities=record.entities) for record in parts["train"][:9]]
    parts["test"] += parts["train"][:9]
    assert not findings(parts, task, checks=["near_duplicates"])["near_duplicates"]


def test_a_paragraph_is_near_another_once_however_much_is_asked_of_it():
    parts = clean("qa")
    parts["test"] += [replace(punctuated(parts["train"][3]), question=f"Who was it {n} times?") for n in range(5)]
    assert [finding.count for finding in findings(parts, "qa")["near_duplicates"]] == [1]


def test_short_sentences_of_a_corpus_of_entities_recur_as_they_should():
    parts = {
        "train": [
            Record(text, entities=(), where=f"c:{n}") for n, text in enumerate(["( Reuters )", "Reuters", "Late Results", "Late Results ."])
        ]
    }
    assert not findings(parts, "ner")["near_duplicates"]


def test_case_and_punctuation_do_not_part_what_is_alike():
    sketches = Sketches()
    assert [sketches.add("The ferry, at last, has come!"), sketches.add("the ferry at last has come")] == [0, 0]


WORDS = st.lists(st.sampled_from(["ferry", "harbour", "lamp", "rope", "sail", "stern"]), max_size=30).map(" ".join)


@given(st.lists(WORDS | WORDS.map(lambda text: f"{text.upper()}!"), max_size=12))
def test_near_duplicates_and_texts_of_the_same_words_are_in_one_cluster(texts):
    sketches, cluster = Sketches(), clusters(texts)
    for number, text in enumerate(texts):
        assert cluster[sketches.add(text)] == cluster[number]
    assert all(cluster[pair.first] == cluster[pair.second] for pair in sketches.pairs(SIMILAR))
    assert len(cluster) == len(texts)


def test_texts_that_have_nothing_in_common_are_in_clusters_of_their_own():
    assert len(set(clusters(["one two three", "four five six", "?!", "...", "seven", "Seven."]))) == 5


def test_texts_without_spaces_are_compared_by_their_characters():
    sketches = Sketches()
    for one in ("私は昨日の朝に新しい本を図書館で借りました", "私は昨日の朝に新しい本を図書館で返しました", "天気がいいから散歩しましょう"):
        sketches.add(one)
    assert [(pair.first, pair.second) for pair in sketches.pairs(0.6)] == [(0, 1)]
