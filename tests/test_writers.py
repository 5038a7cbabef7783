"""Writing back: what a format holds comes back letter for letter, and what it does not hold is counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headway.config import Data
from headway.errors import ConfigError, OutputError
from headway.readers import HOLDS, READERS, WRITERS, format_of, formats_for, read, write, written_as
from headway.readers.tags import SCHEMES, Tagging, entities, to_tags
from headway.readers.writing import Target, save
from headway.records import Record, Span, outermost

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TYPES = st.sampled_from(["PER", "LOC", "creative-work"])
NAMES = st.sampled_from(["", "a", "b-7", "doc 1"])
TEXTS = st.text(LETTERS, min_size=1, max_size=60).map(lambda text: f"a{text}") | st.sampled_from(
    [
        "Ann ran.",
        "in  Rome\nand\tBern ",
        '"quoted", and |more|',
        "a,b;c",
        "𝒜nn 😀 ran",
        "<b>x</b> &amp; y",
        "-DOCSTART- O",
        "# not a comment",
        " \\n \f \x01\x0b is \\ spelt",
    ]
)
FILES = {  # what a file of the format is called, where it is not the name of the format that tells
    "csv": "x.csv", "tsv": "x.tsv", "brat": "folder", "conll": "x.conll", "conllu": "x.conllu", "parquet": "x.parquet", "arrow": "x.arrow",
    "fasttext": "x.txt", "json": "x.json", "squad": "x.json", "label studio": "x.json", "sentence lines": "x.iob", "webanno": "x.tsv",
    "spacy documents": "x.json",
}  # fmt: skip
FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def spans(draw, text: str, types=TYPES) -> tuple[Span, ...]:
    """Entities that begin and end with letters, some in others, none across another's edge."""
    edges = draw(st.lists(st.integers(0, len(text)), unique=True, max_size=8).map(sorted))
    found = [Span(start, end, draw(types)) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    inner = [Span(span.start, span.start + 1, "IN") for span in found if span.end > span.start + 1 and draw(st.booleans())]
    return tuple(sorted(found + inner, key=lambda span: (span.start, -span.end)))


@st.composite
def entity_records(draw, types=TYPES) -> Record:
    text = draw(TEXTS)
    return Record(text, entities=draw(spans(text, types)), id=draw(NAMES), group=draw(NAMES))


def class_records(label):
    """Lists of records with a label, all of them pairs or none."""
    return st.sampled_from([st.none(), TEXTS]).flatmap(
        lambda pair: lists_of(st.builds(Record, TEXTS, text_pair=pair, label=label, id=NAMES, group=NAMES))
    )


@st.composite
def question_records(draw) -> Record:
    text = draw(TEXTS.filter(lambda text: bool(text.strip())))
    found = [span for span in draw(spans(text)) if text[span.start : span.end].strip() == text[span.start : span.end]]
    return Record(text, question=draw(TEXTS), answers=tuple(replace(span, label="") for span in found), id=draw(NAMES), group=draw(NAMES))


def lists_of(records):
    return st.lists(records, min_size=1, max_size=6)


SINGLE = st.sampled_from(["good", "bad", "so so"])
TASKS = {
    "ner": (lists_of(entity_records()), {}),
    "qa": (lists_of(question_records()), {}),
    "single": (class_records(SINGLE), {"kind": "single"}),
    "multi": (class_records(st.lists(SINGLE, unique=True, min_size=1).map(tuple)), {"kind": "multi"}),
    "number": (class_records(st.floats(0, 5)), {"kind": "number"}),
}
TASK_OF = {name: "classification" if name in ("single", "multi", "number") else name for name in TASKS}
NUMBERS = {"csv", "tsv", "jsonl", "json", "parquet", "arrow", "label studio"}
PAIRS = [
    (kind, name) for kind, task in TASK_OF.items() for name in formats_for(task) if kind != "number" or name in NUMBERS
]  # fmt: skip


def through(records: list[Record], name: str, target: Target, data: Data) -> list[Record]:
    """The records, written and read again."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / FILES.get(name, "x.jsonl")
        save(write(records, name, target), path)
        reading = read(path, data, labels="welcome")
        assert written_as(reading) == name
        return list(reading.records)


def bare(record: Record, *, without: tuple[str, ...]) -> dict:
    """What is told of a record; a text without what white space cannot be kept where that is lost."""
    return {f.name: getattr(record, f.name) for f in fields(record) if f.name not in ("where", *without)}


def said(record: Record) -> list[tuple[str, str]]:
    return [("".join(record.text[span.start : span.end].split()), span.label) for span in record.entities]


WHOLE = {"csv", "tsv", "jsonl", "json", "parquet", "arrow", "brat", "spacy", "prodigy", "doccano", "label studio", "squad"}  # keep texts


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in PAIRS if name in WHOLE])
def test_what_is_written_is_read_again_letter_for_letter(kind, name):
    records_of, setting = TASKS[kind]
    lost_fields = tuple(field for field in ("id", "group", "text_pair") if field not in HOLDS[name].fields)

    @FUZZ
    @given(records_of)
    def check(records):
        records = [replace(record, id=f"q{number}") if kind == "qa" else record for number, record in enumerate(records)]
        target = Target(TASK_OF[kind])
        pair = {"text_pair": "text_pair"} if any(r.text_pair for r in records) and "text_pair" in HOLDS[name].fields else {}
        bar = {"label_separator": "|"} if kind == "multi" and name in ("csv", "tsv") else {}
        again = through(records, name, target, Data(task=TASK_OF[kind], **setting, **pair, **bar))
        order = (lambda r: (r.text, str(r.entities))) if name == "brat" else (lambda r: 0)
        unkept = (*lost_fields, "id", "group") if name == "brat" else lost_fields
        unkept = (*unkept, "text_pair") if not pair else unkept
        assert [bare(r, without=unkept) for r in sorted(again, key=order)] == [bare(r, without=unkept) for r in sorted(records, key=order)]
        for field in lost_fields:
            counted = {"id": "ids", "group": "groups", "text_pair": "second texts"}[field]
            assert target.lost[counted] == sum(bool(getattr(record, field)) for record in records)

    check()


@pytest.mark.parametrize("scheme", SCHEMES)
@FUZZ
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["", "X", "Y"])), max_size=8))
def test_tags_say_what_they_were_made_of(scheme, parts):
    found, count = [], 0
    for length, label in parts:
        found += [(count, count + length, label)] if label else []
        count += length
    tags = to_tags(found, count, scheme=scheme)
    assert entities(tags, Tagging(scheme, Counter(tags))) == found


@pytest.mark.parametrize("name", ["conll", "conllu", "tokens", "sentence lines", "webanno", "spacy documents"])
@FUZZ
@given(lists_of(entity_records()))
@example([Record("a|", entities=()), Record("a0", entities=())])
def test_no_entity_is_lost_among_words(name, records):
    target = Target("ner")
    kept = [record for record in records if record.text.split()]
    again = through(records, name, target, Data(task="ner", scheme="BILOU" if name == "spacy documents" else "IOB2"))
    assert len(again) == len(kept) if name != "tokens" else len(again) == len(records)
    untold = ("entities inside others", "entities of white space", "entities that only white space tells apart")
    told = sum(len(record.entities) for record in records) - sum(target.lost[kind] for kind in untold)
    assert sum(len(record.entities) for record in again) == told
    if not target.lost["entity boundaries inside a word, which was cut in two"] and name == "conllu":
        assert [record.text for record in again] == [record.text for record in kept]


def test_conllu_keeps_text_ids_and_documents_letter_for_letter():
    record = Record(" Ann's  friend\nran ", entities=(Span(1, 4, "PER"),), id="s1", group="d")
    target = Target("ner")
    again = through([record, replace(record, id="s2", group="")], "conllu", target, Data())
    assert [replace(r, where="") for r in again] == [record, replace(record, id="s2", group="")]
    assert target.lost["entity boundaries inside a word, which was cut in two"] == 2


def trimmed(record: Record, white: str | None, *, spans: Iterable[Span]) -> tuple[Span, ...]:
    """The entities without the white space at their ends, each once."""
    found: dict[Span, None] = {}
    for span in spans:
        text = record.text[span.start : span.end]
        start, end = span.end - len(text.lstrip(white)), span.start + len(text.rstrip(white))
        found |= {Span(start, end, span.label): None} if start < end else {}
    return tuple(sorted(found, key=lambda span: (span.start, -span.end)))


@FUZZ
@given(lists_of(entity_records(st.sampled_from(["PER", "a|b[1]", "*", "_", "x->y;", "\\", "creative work", "->[2]|"]))))
def test_webanno_keeps_entities_in_others_and_in_words(records):
    """All but white space at the edges of sentences and entities: the sentence begins with its first word there."""
    white, target = " \t\r\n", Target("ner")
    kept = [record for record in records if record.text.strip(white)]
    again = through(records, "webanno", target, Data())
    for before, after in zip(kept, again, strict=True):
        begin = len(before.text) - len(before.text.lstrip(white))
        moved = [replace(span, start=span.start + begin, end=span.end + begin) for span in after.entities]
        assert (after.text, after.id) == (before.text[begin:], before.id)
        assert sorted(moved, key=str) == sorted(trimmed(before, white, spans=before.entities), key=str)
    assert target.lost["white space before the first word"] == sum(record.text[0] in white for record in kept)


@FUZZ
@given(lists_of(entity_records()))
def test_spacy_documents_keep_texts_ids_and_outer_entities(records):
    kept = [record for record in records if record.text.split()]
    again = through(records, "spacy documents", Target("ner"), Data(scheme="BILOU"))
    for before, after in zip(kept, again, strict=True):
        assert (after.text, after.id) == (before.text, before.id)
        assert after.entities == trimmed(before, None, spans=outermost(before.entities))


def test_webanno_is_laid_out_as_its_documentation_has_it():
    text = "Bank of Rome's\tfall 😀 \\"
    record = Record(text, entities=(Span(0, 12, "ORG"), Span(8, 12, "LOC"), Span(15, 19, "*")), id="s_1")
    lines = "".join(write([record, Record("a\nb", entities=(Span(2, 3, "PER"),))], "webanno", Target("ner"))).split("\n")
    assert lines == [
        "#FORMAT=WebAnno TSV 3.3",
        "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|value",
        "",
        "",
        "#Sentence.id=s_1",
        r"#Text=Bank of Rome's\tfall 😀 \\",
        "1-1\t0-4\tBank\tORG[1]\t",
        "1-2\t5-7\tof\tORG[1]\t",
        "1-3\t8-14\tRome's\t_\t",
        "1-3.1\t8-12\tRome\tORG[1]|LOC[2]\t",
        "1-4\t15-19\tfall\t\\*\t",
        "1-5\t20-22\t😀\t_\t",
        "1-6\t23-24\t\\\t_\t",
        "",
        "#Text=a",
        "#Text=b",
        "2-1\t25-26\ta\t_\t",
        "2-2\t27-28\tb\tPER\t",
        "",
    ]


def test_a_layer_of_webanno_keeps_its_name(tmp_path):
    head = "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.NamedEntity|value\n\n"
    text = f"{head}\n#Text=Ann ran\n1-1\t0-3\tAnn\tPER\t\n1-2\t4-7\tran\t_\t\n"
    (tmp_path / "x.tsv").write_text(text)
    reading = read(tmp_path / "x.tsv")
    assert "".join(write(reading.records, "webanno", Target("ner", reading.data))) == text


def test_lines_of_sentences_count_bars_and_what_no_tag_holds():
    target = Target("ner")
    record = Record("Ann|Lee  saw the Tate", entities=(Span(0, 7, "PER"), Span(17, 21, "work of|art")))
    again = through([record, record], "sentence lines", target, Data())
    assert [(r.text, r.entities) for r in again] == 2 * [("Ann¦Lee saw the Tate", (Span(0, 7, "PER"), Span(16, 20, "work_of_art")))]
    assert {kind: count for kind, count in target.lost.items() if count} == {
        "bars in words, now ¦": 2,
        "white space between words, now one space": 2,
        "white space and bars in entity types, now _": 2,
    }


def test_what_tags_cannot_hold_is_counted():
    nested = Record("Bank of Rome's fall", entities=(Span(0, 12, "ORG"), Span(8, 12, "LOC")), id="7")
    target = Target("ner")
    again = through([nested, Record("rain"), Record(" ", entities=())], "conll", target, Data())
    assert [(r.text, r.entities) for r in again] == [("Bank of Rome 's fall", (Span(0, 12, "ORG"),))]
    assert {kind: count for kind, count in target.lost.items() if count} == {
        "ids": 1,
        "entities inside others": 1,
        "entity boundaries inside a word, which was cut in two": 1,
        "white space between words, now one space": 1,
        "records that nobody has labelled": 1,
        "records without a word": 1,
    }


@pytest.mark.parametrize("name", [name for name in formats_for("ner") if name not in ("conll", "conllu", "sentence lines", "webanno")])
def test_not_labelled_is_not_without_entities(name):
    records = [Record("Ann ran", entities=(Span(0, 3, "PER"),), id="a"), Record("rain", id="b"), Record("sun", entities=(), id="c")]
    again = through(records, name, Target("ner"), Data(task="ner"))
    assert [record.entities for record in again] == [(Span(0, 3, "PER"),), None, ()]


@pytest.mark.parametrize("name", formats_for("qa"))
def test_an_unanswerable_question_is_not_an_open_one(name):
    records = [Record("Ann ran", question="Who?", answers=(Span(0, 3),), id="a"), Record("Ann ran", question="When?", answers=(), id="b")]
    records += [Record("Ann ran", question="Why?", id="c")]
    assert [record.answers for record in through(records, name, Target("qa"), Data())] == [(Span(0, 3),), (), None]


@pytest.mark.parametrize("name", ["jsonl", "json", "parquet", "arrow", "prodigy"])
def test_confidences_come_back(name):
    record = Record("Ann ran", entities=(Span(0, 3, "PER", 0.75),))
    assert through([record], name, Target("ner"), Data())[0].entities == record.entities


@pytest.mark.parametrize("name", ["brat", "conll", "csv", "doccano", "spacy"])
def test_confidences_that_cannot_be_held_are_counted(name):
    target = Target("ner")
    list(write([Record("Ann ran", entities=(Span(0, 3, "PER", 0.75),))], name, target))
    assert target.lost["confidences"] == 1


def test_what_a_model_says_is_no_annotation_of_a_person():
    record = Record("Ann ran", entities=(Span(0, 3, "PER", 0.75),))
    for name in ("label studio", "prodigy"):
        assert through([record], name, Target("ner", made_by="people"), Data())[0].entities is not None
    assert through([record], "label studio", Target("ner", made_by="model"), Data())[0].entities is None
    assert '"answer"' not in "".join(write([record], "prodigy", Target("ner", made_by="model")))


@pytest.mark.parametrize("name", ["csv", "conll", "brat", "parquet"])
def test_characters_that_no_text_file_holds_are_counted(name):
    target = Target("ner")
    list(write([Record("a\0", entities=()), Record("a\ud83d", entities=())], name, target))
    assert target.lost["records with a NUL or half a character in them"] == 2


@pytest.mark.parametrize("name", [name for name in formats_for("classification") if name != "fasttext"])
def test_an_empty_text_is_a_text(name):
    records = [Record("a good film", label="good"), Record("", label="bad")]
    assert [(record.text, record.label) for record in through(records, name, Target("classification"), Data(kind="single"))] == [
        ("a good film", "good"),
        ("", "bad"),
    ]


@pytest.mark.parametrize("name", ["jsonl", "json", "parquet", "arrow", "spacy", "prodigy", "doccano", "label studio"])
def test_that_no_label_holds_is_not_that_nobody_has_labelled(name):
    records = [Record("a", label=("x", "y")), Record("b", label=()), Record("c")]
    assert [record.label for record in through(records, name, Target("classification"), Data(kind="multi"))] == [("x", "y"), (), None]


@pytest.mark.parametrize(("name", "count"), [("csv", 1), ("tsv", 1), ("fasttext", 2)])
def test_that_no_label_holds_is_counted_where_it_cannot_be_written(name, count):
    target = Target("classification")
    list(write([Record("a", label=("x", "y")), Record("b", label=()), Record("c")], name, target))
    assert sum(number for kind, number in target.lost.items() if "label holds" in kind or "class that holds" in kind) == count


def test_columns_keep_the_names_they_had(tmp_path):
    (tmp_path / "x.csv").write_text("nr;review;mood\n1;so fine;good\n2;so dull;bad\n", encoding="utf-8")
    reading = read(tmp_path / "x.csv", Data(id="nr", label="mood"))
    text = "".join(write(reading.records, "csv", Target("classification", reading.data)))
    assert text == "nr;review;mood\n1;so fine;good\n2;so dull;bad\n"


def test_ids_that_lead_out_of_a_folder_are_not_followed(tmp_path):
    target = Target("ner")
    records = [
        Record("x", entities=(), id=name, group=group)
        for name, group in [("../up", ""), ("a", "../../up"), ("/etc/x", "/etc"), (".h", ".")]
    ]
    save(write(records, "brat", target), tmp_path / "deep" / "out")
    assert all(path.resolve().is_relative_to((tmp_path / "deep" / "out").resolve()) for path in tmp_path.rglob("*.txt"))
    assert target.lost["ids that are no names of files, or are used twice"] == 3
    assert target.lost["groups that are no names of folders"] == 3


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "x.jsonl").write_text("mine")
    with pytest.raises(OutputError, match=r"x\.jsonl: exists; choose another place"):
        save(write([Record("a", label="b")], "jsonl", Target("classification")), tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text() == "mine"


def test_what_fails_midway_leaves_nothing(tmp_path):
    def pieces():
        yield "one"
        raise KeyError

    with pytest.raises(KeyError):
        save(pieces(), tmp_path / "x.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("squad", "ner", "squad holds no ner; choose one of csv, tsv, jsonl, "),
        ("workbook", "qa", "workbook can be read, but not written; choose one of csv, "),
        ("prodgy", "ner", "prodgy: no such format to write; choose one of csv, tsv, "),
    ],
)
def test_a_format_that_does_not_fit_says_which_do(name, task, message):
    with pytest.raises(ConfigError) as caught:
        write([], name, Target(task))
    assert str(caught.value).startswith(message)


def test_every_format_says_what_it_holds():
    assert HOLDS.keys() == WRITERS.keys()
    assert WRITERS.keys() - {"csv", "tsv"} <= READERS.keys()


@pytest.mark.parametrize(
    ("file", "task", "name"),
    [
        ("a.csv", "ner", "csv"),
        ("a.json", "qa", "squad"),
        ("a.json", "ner", "json"),
        ("folder", "ner", "brat"),
        ("a.feather", "qa", "arrow"),
    ],
)
def test_a_name_tells_its_format(file, task, name):
    assert format_of(Path(file), task) == name


def test_writing_streams():
    """A format that can be written as it comes asks for no more than a few records ahead."""
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield Record("Ann ran", entities=(Span(0, 3, "PER"),), id=str(taken), group=str(taken // 9))

    for name in formats_for("ner"):
        taken = 0
        pieces = write(endless(), name, Target("ner"))
        for _ in range(20):
            next(pieces)
        assert taken < 25_000
