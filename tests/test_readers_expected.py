"""The sample files of shared/data/formats: each holds what their EXPECTED.json says, or is refused for what it says is wrong."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from headway.cli import app
from headway.config import Data
from headway.errors import DataError
from headway.readers import read
from headway.records import Record

FORMATS = Path(__file__).parents[2] / "shared" / "data" / "formats"
EXPECTED = json.loads((FORMATS / "EXPECTED.json").read_text(encoding="utf-8")) if FORMATS.exists() else {}
pytestmark = pytest.mark.skipif(not FORMATS.exists(), reason="the sample files of shared/data are not here")

BROKEN = {  # the first of the defects that EXPECTED.json lists, in the words that a person reads
    "conll/iob2_broken.txt": 'iob2_broken.txt:7: tag "I-LOC" follows "O"',
    "conllu/en_ewt-ud-train.conllu": "en_ewt-ud-train.conllu: no entity tags (NER=B-PER ...) in the last column",
    "csv/ragged_broken.csv": "ragged_broken.csv:3: 3 cells, but the header names 2",
    "csv/german_excel_cp1252_semicolon.csv": "german_excel_cp1252_semicolon.csv:2: byte 0xfc is not UTF-8; the file reads as cp1252",
    "spacy/ner_offsets_broken.jsonl": 'ner_offsets_broken.jsonl:1: entity "person" runs from 0 to 60, but the text has 55 characters',
    "squad/broken.json": 'broken.json#off_by_one: answer "2004" does not stand at 39',
}
SETTINGS = {"csv/german_excel_cp1252_semicolon.csv": {"encoding": "cp1252"}}  # with which what was refused is read
SAID = {  # what beside the counts EXPECTED.json says in words
    "brat/made/discontinuous.ann": "relations 1, attributes 1, notes 1, gaps 1",
    "brat/news/000-introduction.ann": "relations 2, attributes 5, notes 1, normalizations 1, events 1, triggers 1",
    "label_studio/ner.json": "annotations 1",
    "xlsx/textcat.xlsx": "other 1",
}
TASKS = {"classification": "classification", "multilabel": "classification", "regression pair": "classification", "ner+events": "ner"}


def records_of(name: str) -> list[Record]:
    return list(read(FORMATS / name, Data(**SETTINGS.get(name, {}))).records)


def named(key: str, *, without: tuple[str, ...] = ()) -> list[str]:
    return [name for name, said in EXPECTED.items() if key in said and name not in without]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_sample_is_read_or_refused_for_its_first_defect(name):
    if name in BROKEN:
        with pytest.raises(DataError) as caught:
            list(read(FORMATS / name).records)
        assert str(caught.value).startswith(BROKEN[name])
    if name not in BROKEN or name in SETTINGS:
        reading = read(FORMATS / name, Data(**SETTINGS.get(name, {})))
        task = EXPECTED[name]["task"].split(" (")[0]
        assert reading.data.task == TASKS.get(task, task)
        assert next(reading.records).text


DEFECTS = [(name, place) for name, said in EXPECTED.items() for place in said.get("defects", {})]


@cache
def told(name: str) -> frozenset[str]:
    """The places that an audit names, with the words of the others."""
    with TemporaryDirectory() as folder:
        result = CliRunner().invoke(app, ["audit", str(FORMATS / name), "--out", folder])
        assert result.exit_code == 3
        findings = json.loads((Path(folder) / "audit.json").read_text(encoding="utf-8"))["findings"]
    return frozenset(place for finding in findings for where, text, _ in finding["examples"] for place in (where, text))


@pytest.mark.parametrize(("name", "place"), DEFECTS)
def test_an_audit_names_every_defect(name, place):
    file = Path(name).name
    wanted = {"(no id)": 'the question "No id?" has no id'}.get(place)
    assert (wanted or (f"{file}:{place.removeprefix('line ')}" if place.startswith("line ") else f"{file}#{place}")) in told(name)


@pytest.mark.parametrize("name", named("entities"))
def test_entities_are_counted_by_type(name):
    assert Counter(span.label for record in records_of(name) for span in record.entities or ()) == EXPECTED[name]["entities"]


@pytest.mark.parametrize("name", named("labels"))
def test_classes_are_counted(name):
    assert Counter(record.label for record in records_of(name) if record.label) == EXPECTED[name]["labels"]


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for key in ("n", "sentences", "questions", "tasks", "rows") for name in named(key, without=("squad/broken.json",))],
)
def test_records_are_counted(name, key):
    assert len(records_of(name)) == EXPECTED[name][key]


@pytest.mark.parametrize("name", named("assignments"))
def test_several_labels_are_counted(name):
    assert sum(len(record.label) for record in records_of(name)) == EXPECTED[name]["assignments"]


@pytest.mark.parametrize("name", named("impossible"))
def test_unanswerable_questions_are_counted(name):
    assert sum(record.answers == () for record in records_of(name)) == EXPECTED[name]["impossible"]


@pytest.mark.parametrize("name", named("tokens"))
def test_tokens_are_counted(name):
    assert sum(len(record.text.split()) for record in records_of(name)) == EXPECTED[name]["tokens"]


@pytest.mark.parametrize("name", named("scheme"))
def test_the_scheme_is_found(name):
    assert read(FORMATS / name).data.scheme == EXPECTED[name]["scheme"]


@pytest.mark.parametrize("name", SAID)
def test_what_no_record_holds_is_counted(name):
    reading = read(FORMATS / name)
    list(reading.records)
    counted = {(kind.split()[0], count) for kind, count in reading.left_out.items() if count}
    assert counted == {(kind, int(count)) for kind, count in (part.split() for part in SAID[name].split(", "))}


def test_documents_of_columns_are_groups():
    name = "conll/conll2003_4col_docstart.txt"
    assert len({record.group for record in records_of(name)}) == EXPECTED[name]["documents"]


def test_words_inside_contractions_and_empty_nodes_are_no_text_of_their_own():
    assert records_of("conllu/ner_in_misc.conllu")[-1].text == "Vámonos al mar"


def test_tasks_of_label_studio_are_labelled_where_somebody_has_annotated_them():
    records = records_of("label_studio/ner.json")
    assert [record.id for record in records if record.entities is None] == ["17", "18", "19"]
    assert sum(record.entities is not None for record in records) == EXPECTED["label_studio/ner.json"]["usable_tasks"]
    by_id = {record.id: [(record.text[s.start : s.end], s.label) for s in record.entities or ()] for record in records}
    assert by_id["15"][:2] == [("University of Oxford", "group"), ("Oxford", "location")]
    assert by_id["16"][0] == ("Jordan", "location")
    first = Counter(span.label for record in records[:14] for span in record.entities)
    assert first == EXPECTED["label_studio/ner.json"]["entities_tasks_1_to_14"]


def test_answers_of_prodigy_decide_what_is_labelled():
    labels = Counter(record.label for record in records_of("prodigy/textcat_binary.jsonl"))
    assert (labels[("DOCUMENTATION",)], labels[()], labels[None]) == (34, 58, 8)
    choices = [record.label for record in records_of("prodigy/textcat_choice.jsonl")]
    assert sum(label is not None for label in choices) == EXPECTED["prodigy/textcat_choice.jsonl"]["usable"]


def test_numbers_and_dates_of_a_workbook_are_texts():
    records = records_of("xlsx/textcat.xlsx")
    assert records[-1].text == "12345"
    assert [record.where for record in records if record.label is None] == ["textcat.xlsx:6"]


def test_bars_between_tokens_and_columns_hold_the_same():
    of_sentences, of_tokens = records_of("spacy/ner-sent-per-line.iob"), records_of("spacy/ner-token-per-line.iob")
    words = [[(r.text[s.start : s.end], s.label) for r in records for s in r.entities] for records in (of_sentences, of_tokens)]
    assert words[0] == words[1]


def test_tokens_of_spacy_are_found_in_the_raw_text():
    record = records_of("spacy/training-data.json")[0]
    assert '"The Misanthrope" at Chicago\'s Goodman Theatre' in record.text
    assert [record.text[span.start : span.end] for span in record.entities][:3] == ["Oct. 19", "The Misanthrope", "Chicago"]


@pytest.mark.parametrize("name", ["test", "val", "train"])
def test_labels_stand_in_the_file_beside(name):
    reading = read(FORMATS.parent / "tweet_irony" / f"{name}_text.txt")
    assert (reading.format, {record.label for record in reading.records}) == ("parallel files", {"irony", "non_irony"})
