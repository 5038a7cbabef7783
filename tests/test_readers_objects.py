"""JSON, Parquet, SQuAD, and lines of text: entities, answers and labels as programs write them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from headway.config import Data
from headway.errors import DataError
from headway.readers import READERS, guess_format, read, read_lines
from headway.records import Record, Span

FORMATS = Path(__file__).parents[2] / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="the sample files of shared/data are not here")
SAMPLE = {"corporation": 2, "creative-work": 5, "group": 1, "location": 10, "person": 27, "product": 3}


def jsonl(folder: Path, *objects) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in objects), encoding="utf-8")
    return path


def text_file(folder: Path, text: str) -> Path:
    path = folder / "x.txt"
    path.write_text(text, encoding="utf-8")
    return path


def squad(folder: Path, *questions: dict, context: str = "The café opened in 1998.") -> Path:
    path = folder / "x.json"
    path.write_text(json.dumps({"data": [{"title": "b", "paragraphs": [{"context": context, "qas": list(questions)}]}]}), encoding="utf-8")
    return path


def everything(path: Path, data: Data = Data(), labels: str = "required") -> list[Record]:  # noqa: B008
    return list(read(path, data, labels=labels).records)


def error_of(path: Path, data: Data = Data()) -> str:  # noqa: B008
    with pytest.raises(DataError) as caught:
        everything(path, data)
    return str(caught.value)


SPANS = [
    {"entities": [{"start": 0, "end": 3, "label": "PER"}]},
    {"label": [[0, 3, "PER"]]},
    {"labels": [[0, 3, "PER"]]},
    {"spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ann"}]},
    {"entities": [{"start_offset": 0, "end_offset": 3, "label": "PER"}]},
    {"label": [{"start": 0, "end": 3, "labels": ["PER"]}]},
]


@pytest.mark.parametrize("spans", SPANS)
def test_spans_are_read_under_every_name_they_go_by(tmp_path, spans):
    reading = read(jsonl(tmp_path, {"text": "Ann ran", **spans}))
    assert (reading.data.task, next(reading.records).entities) == ("ner", (Span(0, 3, "PER"),))


def test_a_row_without_the_key_of_its_entities_is_not_labelled(tmp_path):
    path = jsonl(tmp_path, {"text": "Ann", "entities": [[0, 3, "PER"]]}, {"text": "Bob"}, {"text": "rain", "entities": []})
    assert [record.entities for record in everything(path)] == [(Span(0, 3, "PER"),), None, ()]


def test_a_list_of_one_label_is_a_label_and_of_two_is_several(tmp_path):
    assert everything(jsonl(tmp_path, {"text": "a", "label": ["x"]}, {"text": "b", "label": ["y"]}))[0].label == "x"
    assert everything(jsonl(tmp_path, {"text": "a", "label": ["x"]}, {"text": "b", "label": ["x", "y"]}))[0].label == ("x",)


def test_an_empty_list_says_that_no_label_holds(tmp_path):
    assert everything(jsonl(tmp_path, {"text": "a", "label": []}, {"text": "b", "label": ["x", "y"]}))[0].label == ()


def test_a_question_and_its_context_are_enough_to_predict(tmp_path):
    record = everything(jsonl(tmp_path, {"question": "Who?", "context": "Ann ran."}), Data(task="qa"), "optional")[0]
    assert (record.question, record.text, record.answers) == ("Who?", "Ann ran.", None)


def test_an_answer_without_a_start_is_found_where_it_is_unmistakable(tmp_path):
    path = jsonl(tmp_path, {"question": "Who?", "context": "Ann ran.", "answer": "Ann"})
    assert everything(path)[0].answers == (Span(0, 3),)


def test_an_answer_may_stand_at_the_start_and_again(tmp_path):
    path = jsonl(tmp_path, {"question": "Who?", "context": "Ann saw Ann.", "answer_text": "Ann", "answer_start": 0})
    assert everything(path)[0].answers == (Span(0, 3),)


def test_a_broken_parquet_file_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and no more")
    assert error_of(path).startswith("x.parquet: not a whole Parquet file: ")


def test_a_json_list_is_read_like_its_lines(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    (tmp_path / "x.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    records = everything(tmp_path / "x.json")
    assert [(record.text, record.label) for record in records] == [("a", "x"), ("b", "y")]
    assert records[1].where == "x.json:6#2"


BROKEN = {
    "outside": ({"text": "Ann", "entities": [[0, 9, "PER"]]}, 'x.jsonl:1: entity "PER" runs from 0 to 9, but the text has 3 characters'),
    "overlap": (
        {"text": "Ann Lee ran", "entities": [[0, 7, "PER"], [4, 11, "ORG"]]},
        'x.jsonl:1: PER "Ann Lee" (0-7) and ORG "Lee ran" (4-11) overlap; an entity may not reach into another',
    ),
    "another text": (
        {"text": "Ann ran", "entities": [{"start": 1, "end": 4, "label": "PER", "text": "Ann"}]},
        'x.jsonl:1: entity "Ann" does not stand at 1: there stands "nn "; it stands at 0',
    ),
    "no label": ({"text": "Ann", "entities": [{"start": 0, "end": 3}]}, 'x.jsonl:1: the entity "Ann" (0-3) has no label'),
    "lengths": ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "x.jsonl:1: 2 tokens, but 1 tags"),
    "stray": (
        {"tokens": ["in", "Rome"], "ner_tags": ["O", "L-X"]},
        'x.jsonl:1: token 2 "Rome": tag "L-X" follows "O"; in BILOU an entity begins with B-: write "B-X"',
    ),
    "numbers": (
        {"tokens": ["a"], "ner_tags": [0]},
        "x.jsonl:1: the tags are numbers, and the file does not say what they stand for; write B-PER, I-PER, O ...",
    ),
    "question": ({"question": " ", "context": "a b", "answer": "a"}, "x.jsonl:1: the question is empty"),
    "starts": (
        {"question": "q", "context": "a b", "answers": {"text": ["a", "b"], "answer_start": [0]}},
        "x.jsonl:1: 2 answers, but 1 answer_start",
    ),
    "twice": (
        {"question": "q", "context": "a a", "answer": "a"},
        'x.jsonl:1: answer "a" stands 2 times in the context; say which with answer_start',
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_object_is_named_with_its_line(tmp_path, broken):
    item, message = BROKEN[broken]
    assert error_of(jsonl(tmp_path, item)) == message


def test_bad_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n{"text": "a" "label": "b"}\n', encoding="utf-8")
    assert error_of(path) == "x.jsonl:2: not JSON: expecting ',' delimiter at column 14"


def test_a_row_without_a_text_says_what_it_has(tmp_path):
    path = jsonl(tmp_path, {"text": "a", "label": "x"}, {"txt": "b", "label": "y"})
    assert error_of(path) == "x.jsonl:2: no 'text' here, but txt, label; expected a text"


def test_refused_examples_do_not_become_classes(tmp_path):
    path = jsonl(tmp_path, {"text": "a", "label": "x", "answer": "accept"}, {"text": "b", "label": "x", "answer": "ignore"})
    assert [record.label for record in everything(path)] == [("x",), None]


OK = {"id": "ok", "question": "When?", "answers": [{"text": "1998", "answer_start": 19}]}


def test_squad_questions_carry_paragraph_title_and_id(tmp_path):
    record = everything(squad(tmp_path, OK))[0]
    assert (record.text[:8], record.group, record.id, record.where) == ("The café", "b", "ok", "x.json#ok")
    assert record.answers == (Span(19, 23),)


def test_white_space_around_an_answer_is_no_part_of_it(tmp_path):
    question = OK | {"answers": [{"text": " 1998", "answer_start": 18}]}
    assert everything(squad(tmp_path, question))[0].answers == (Span(19, 23),)


def test_an_impossible_question_has_no_answers_and_an_open_one_none(tmp_path):
    impossible = {"id": "a", "question": "Who?", "answers": [], "is_impossible": True}
    unlabelled = {"id": "b", "question": "Who?"}
    assert [record.answers for record in everything(squad(tmp_path, impossible, unlabelled), labels="optional")] == [(), None]


SQUAD_BROKEN = {
    "off by one": (
        {"answers": [{"text": "1998", "answer_start": 20}]},
        'x.json#ok: answer "1998" does not stand at 20: there stands "998."; it stands at 19',
    ),
    "nowhere": (
        {"answers": [{"text": "Madrid", "answer_start": 0}]},
        'x.json#ok: answer "Madrid" does not stand at 0: there stands "The ca"; it stands nowhere in the text',
    ),
    "case": (
        {"answers": [{"text": "the café", "answer_start": 0}]},
        'x.json#ok: answer "the café" does not stand at 0: there stands "The café"; "The café" stands at 0',
    ),
    "no flag": ({"answers": []}, 'x.json#ok: no answer; where the text has none, say "is_impossible": true'),
    "flag": ({"is_impossible": True}, "x.json#ok: marked is_impossible, and yet it has an answer; take out one of them"),
    "text start": (
        {"answers": [{"text": "1998", "answer_start": "19"}]},
        "x.json#ok: answer_start is '19'; expected a whole number without quotes",
    ),
    "empty": ({"question": ""}, "x.json#ok: the question is empty"),
    "no id": ({"id": None}, 'x.json: the question "When?" has no id'),
}


@pytest.mark.parametrize("broken", SQUAD_BROKEN)
def test_a_broken_question_is_named_by_its_id(tmp_path, broken):
    change, message = SQUAD_BROKEN[broken]
    assert error_of(squad(tmp_path, OK | change)) == message


def test_a_question_id_is_used_once(tmp_path):
    assert error_of(squad(tmp_path, OK, OK)) == 'x.json#ok: the id "ok" has been used before; every question needs its own'


def test_fasttext_marks_are_labels_only_at_the_start(tmp_path):
    path = text_file(tmp_path, "__label__a __label__b one __label__c\n__label__a two\n")
    assert [(record.label, record.text) for record in everything(path)] == [(("a", "b"), "one __label__c"), (("a",), "two")]


@pytest.mark.parametrize(("setting", "expected"), [(None, "NUM:dist"), ("coarse", "NUM"), ("fine", "dist")])
def test_a_label_before_the_text_can_be_cut_at_its_colon(tmp_path, setting, expected):
    path = text_file(tmp_path, "NUM:dist How far ?\nHUM:ind Who ?\nNUM:dist How long ?\nHUM:ind Whose ?\n")
    assert everything(path, Data(label=setting))[0].label == expected


def test_lines_of_text_can_be_predicted_and_empty_ones_keep_their_place(tmp_path):
    path = text_file(tmp_path, "I like it.\n\nThe end\n")
    assert [record.text for record in everything(path, Data(task="ner"), "optional")] == ["I like it.", "", "The end"]


def test_positions_of_label_studio_may_be_texts(tmp_path):
    result = {"from_name": "ner", "to_name": "doc", "type": "labels", "value": {"start": "0", "end": "3", "labels": ["PER"]}}
    (tmp_path / "x.json").write_text(json.dumps([{"data": {"text": "Ann ran"}, "annotations": [{"result": [result]}]}]))
    assert everything(tmp_path / "x.json")[0].entities == (Span(0, 3, "PER"),)


BEHEADED = {  # JSON that lost its beginning: a download that was resumed, a file that was cut
    "x.json": ('"text": "b"},\n {"text": "c"}]\n', "x.json:1: not JSON: extra data at column 7"),
    "x.jsonl": ('ext": "b"}\n{"text": "c"}\n', "x.jsonl:1: not JSON: expecting value at column 1"),
    "x.ndjson": ("hello\nworld\n", "x.ndjson:1: not JSON: expecting value at column 1"),
}


@pytest.mark.parametrize("labels", ["required", "optional"])
@pytest.mark.parametrize("name", BEHEADED)
def test_a_file_that_is_called_json_is_never_lines_of_text(tmp_path, name, labels):
    text, message = BEHEADED[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        everything(tmp_path / name, labels=labels)
    assert str(caught.value) == message


def test_lines_of_text_cannot_be_learned_from(tmp_path):
    path = text_file(tmp_path, "I like it.\nThe end\n")
    assert error_of(path) == "x.txt: lines of text without labels; expected a table, JSON, CoNLL columns or __label__ lines"


def test_standard_input_takes_texts_and_objects():
    decided = Data(task="classification", text="text", label="label", kind="single")
    records = list(read_lines(["fine\n", '{"text": "bad", "id": 7}\n'], "-", decided))
    assert [(record.text, record.id, record.where) for record in records] == [("fine", "", "-:1"), ("bad", "7", "-:2")]


EXPECTED_FORMATS = {
    "csv/textcat.csv": "table",
    "conll/iob2_header.tsv": "conll",
    "jsonl/char_spans_dicts.jsonl": "jsonl",
    "jsonl/tokens_str_tags.jsonl": "tokens",
    "spacy/ner_offsets.jsonl": "spacy",
    "spacy/training-data.json": "spacy documents",
    "spacy/ner-sent-per-line.iob": "sentence lines",
    "prodigy/ner_manual.jsonl": "prodigy",
    "doccano/ner.jsonl": "doccano",
    "label_studio/ner.json": "label studio",
    "conllu/ner_in_misc.conllu": "conllu",
    "webanno/ner.tsv": "webanno",
    "xlsx/textcat.xlsx": "workbook",
    "folder_per_class": "class folders",
    "brat/esp": "brat",
    "brat/esp/esp.train-doc-29.txt": "brat",
    "label_studio/classification_min.json": "json",
    "squad/v2.json": "squad",
    "parquet/hf_ner.parquet": "parquet",
    "fasttext/textcat.txt": "fasttext",
}


@needs_formats
@pytest.mark.parametrize("name", EXPECTED_FORMATS)
def test_the_format_is_told_from_the_content(name):
    assert guess_format(FORMATS / name) == EXPECTED_FORMATS[name]
    assert EXPECTED_FORMATS[name] in READERS


@needs_formats
@pytest.mark.parametrize(
    "name",
    [
        "jsonl/char_spans_dicts.jsonl",
        "jsonl/tokens_str_tags.jsonl",
        "parquet/hf_ner.parquet",
        "doccano/ner.jsonl",
        "spacy/ner_offsets.jsonl",
    ],
)
def test_sample_files_of_entities_hold_the_same_entities(name):
    records = everything(FORMATS / name)
    assert len(records) == 43
    assert Counter(span.label for record in records for span in record.entities) == SAMPLE


@needs_formats
@pytest.mark.parametrize(
    "name", ["parquet/hf_textcat.parquet", "parquet/pandas_textcat.parquet", "fasttext/textcat.txt", "doccano/textcat.jsonl"]
)
def test_sample_files_of_classes_hold_the_same_classes(name):
    assert Counter(record.label for record in everything(FORMATS / name)) == dict.fromkeys(
        ["card_arrival", "exchange_rate", "lost_or_stolen_card", "top_up_failed"], 8
    )


@needs_formats
@pytest.mark.parametrize(
    ("name", "questions", "impossible"),
    [
        ("squad/v1.json", 57, 0),
        ("squad/v2.json", 55, 29),
        ("squad/flat.csv", 48, 14),
        ("squad/flat_hf.jsonl", 48, 14),
        ("parquet/hf_squad.parquet", 48, 14),
    ],
)
def test_sample_files_of_questions_are_read_in_every_layout(name, questions, impossible):
    records = everything(FORMATS / name)
    assert (len(records), sum(record.answers == () for record in records)) == (questions, impossible)


def spacy_json(path: Path, *tags: str | None) -> Path:
    tokens = [{"orth": f"w{number}"} | ({} if tag is None else {"ner": tag}) for number, tag in enumerate(tags)]
    path.write_text(json.dumps([{"id": 1, "paragraphs": [{"sentences": [{"tokens": tokens}]}]}]))
    return path


@pytest.mark.parametrize("tag", ["-", None])
def test_a_paragraph_of_spacy_json_without_a_tag_is_not_labelled(tmp_path, tag):
    assert [record.entities for record in read(spacy_json(tmp_path / "x.json", tag, tag)).records] == [None]


def test_tokens_of_spacy_json_of_which_nobody_knows_are_in_no_entity_and_noted(tmp_path):
    reading = read(spacy_json(tmp_path / "x.json", "U-PER", "-", None))
    assert [record.entities for record in reading.records] == [(Span(0, 2, "PER"),)]
    assert reading.liberties.counts == {'paragraphs with tokens whose tag is "-" or missing, read as in no entity': 1}


def test_lines_of_sentences_are_told_from_columns_and_tables(tmp_path):
    (tmp_path / "x.iob").write_text("A-x|O B-y|O\nA-x|O B-y|O\n")
    assert guess_format(tmp_path / "x.iob") == "sentence lines"
    (tmp_path / "x.csv").write_text("A-x|O\nB-y|O\n")
    assert guess_format(tmp_path / "x.csv") == "table"
