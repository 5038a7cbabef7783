"""Records that are written again: what stood beside them in their file stays there, or is counted."""

import datetime
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy
import pyarrow
import pytest
from pyarrow import feather, parquet

from headway.config import Data
from headway.events import Said
from headway.jobs.convert import convert
from headway.readers import meaning, read, write_again, written_as
from headway.readers.writing import Target
from headway.records import Record, Span

FORMATS = Path(__file__).parents[2] / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="the sample files of shared/data are not here")
REVIEWS = "shop,text,stars,label\nA,so fine,5,good\n,so dull,1,bad\n"
RESULT = {"from_name": "ner", "to_name": "doc", "type": "labels", "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}}
ANNOTATED = [{"id": 7, "data": {"review": "Ann ran", "url": "x"}, "annotations": [{"result": [RESULT], "lead_time": 9.5}]}]
BARE = {
    "with no annotation yet": [{"id": 8, "data": {"review": "Bob ran", "url": "y"}, "annotations": [], "meta": {"batch": 2}}],
    "to be imported": [{"data": {"review": "Bob ran", "url": "y"}}],
}
CHOICE = {"text": "so fine", "options": [{"id": "good", "text": "Good!"}, {"id": "bad", "text": "Bad!"}], "_input_hash": 1, "_task_hash": 2}
MODEL = Target("ner", made_by="model")
FOUND = (Span(0, 3, "PER", 0.75),)


def written(path: Path, name: str, target: Target | None = None, *, say=lambda record: record, data: Data = Data()) -> str:  # noqa: B008
    """The file in another format, with what `say` makes of its records."""
    reading = read(path, data, labels="welcome")
    target = target or Target(reading.data.task)
    layout = reading.data if written_as(reading) == name else Data()
    return "".join(write_again(map(say, reading.records), name, replace(target, data=layout), reading=reading))


def made(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lost(path: Path, name: str) -> dict[str, int]:
    target = Target("")
    reading = read(path, labels="welcome")
    list(write_again(reading.records, name, replace(target, task=reading.data.task), reading=reading))
    return {kind: count for kind, count in target.lost.items() if count}


# --- tables and JSON


def test_columns_that_nobody_reads_stay_in_their_place(tmp_path):
    assert written(made(tmp_path / "x.csv", REVIEWS), "csv") == REVIEWS


def test_cells_go_from_tables_to_json_and_back(tmp_path):
    lines = written(made(tmp_path / "x.csv", REVIEWS), "jsonl")
    assert json.loads(lines.splitlines()[0]) == {"text": "so fine", "label": "good", "shop": "A", "stars": "5"}
    again = written(made(tmp_path / "x.jsonl", lines), "csv")
    assert again == "text,label,shop,stars\nso fine,good,A,5\nso dull,bad,,1\n"


def test_cells_stay_beside_their_own_record_where_others_are_left_out(tmp_path):
    path = made(tmp_path / "x.csv", REVIEWS + "C,so so,3,good\n")
    reading = read(path)
    kept = (record for record in reading.records if record.label == "good")
    text = "".join(write_again(kept, "csv", Target("classification", reading.data), reading=reading))
    assert text == "shop,text,stars,label\nA,so fine,5,good\nC,so so,3,good\n"


def test_several_labels_of_a_cell_stay_parted_as_they_were(tmp_path):
    text = "text,label\nso fine,a;b\nso dull,a\nso so,b;a\n"
    assert written(made(tmp_path / "x.csv", text), "csv") == text


def test_characters_that_no_table_holds_are_counted_wherever_they_stand(tmp_path):
    rows = [{"text": f"a {label} film", "label": label, "shop": "A\0\ud83d"} for label in ("good", "bad")]
    target = Target("classification")
    path = made(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert written(path, "csv", target) == "text,label,shop\na good film,good,A\ufffd\ufffd\na bad film,bad,A\ufffd\ufffd\n"
    assert target.lost["characters that no text file holds, now U+FFFD"] == 4


def test_a_cell_under_a_name_that_is_taken_is_counted(tmp_path):
    path = made(tmp_path / "x.csv", "review,mood,text\nfine day,good,x\nbad day,bad,y\n")
    target = Target("classification")
    lines = written(path, "jsonl", target, data=Data(text="review", label="mood"))
    assert json.loads(lines.splitlines()[0]) == {"text": "fine day", "label": "good"}
    assert target.lost["cells under a name that is taken"] == 2


@pytest.mark.parametrize(("name", "kinds"), [("parquet", {"cells under shop, stars": 3}), ("fasttext", {"cells under shop, stars": 3})])
def test_cells_that_a_format_has_no_place_for_are_counted(tmp_path, name, kinds):
    assert lost(made(tmp_path / "x.csv", REVIEWS), name) == kinds


def test_columns_without_names_are_counted(tmp_path):
    path = made(tmp_path / "x.csv", "so fine,good,1 May\nso dull,bad,2 May\nso so,good,3 May\nso sad,bad,4 May\n")
    assert lost(path, "csv") == {"cells under 3": 4}


# --- Parquet and Arrow

DAY = datetime.datetime(2026, 11, 23, 9, 30, tzinfo=datetime.UTC)
TYPED = {
    "shop": pyarrow.array(["A", "", None]),
    "text": pyarrow.array(["so fine", "so dull", "so so"]),
    "stars": pyarrow.array([5, None, 3], pyarrow.int8()),
    "seen": pyarrow.array([DAY, DAY, None], pyarrow.timestamp("ms", tz="UTC")),
    "label": pyarrow.array(["good", "bad", "good"]),
    "price": pyarrow.array([Decimal("1.50"), None, Decimal("2.25")], pyarrow.decimal128(6, 2)),
    "raw": pyarrow.array([b"\x00\xff", b"", None]),
    "tags": pyarrow.array([["a", "b"], [], None]),
    "by": pyarrow.array([{"name": "Ann", "age": 7}, {"name": None, "age": None}, None]),
    "pairs": pyarrow.array([[("a", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
}


def typed(path: Path, columns: dict = TYPED) -> Path:
    table = pyarrow.table(columns)
    (parquet.write_table if path.suffix == ".parquet" else feather.write_feather)(table, path)
    return path


def table_of(path: Path) -> pyarrow.Table:
    return (parquet.read_table if path.suffix == ".parquet" else feather.read_table)(path)


@pytest.mark.parametrize("source", ["x.parquet", "x.arrow"])
@pytest.mark.parametrize("out", ["y.parquet", "y.arrow"])
def test_columns_that_nobody_reads_keep_their_cells_and_types(tmp_path, source, out):
    path = typed(tmp_path / source)
    assert not [event for event in convert(path, tmp_path / out) if isinstance(event, Said) and event.warning]
    again = table_of(tmp_path / out)
    assert again.equals(table_of(path).select(again.column_names))
    assert again.column_names == (list(TYPED) if source[2:] == out[2:] else again.column_names)
    assert set(again.column_names) == set(TYPED)


def test_categories_and_class_numbers_are_written_as_their_names(tmp_path):
    feature = {"info": {"features": {"shop": {"_type": "ClassLabel", "names": ["A", "B"]}}}}
    columns = {
        "text": ["x y", "z w"],
        "label": ["good", "bad"],
        "shop": pyarrow.array([1, 0]),
        "sort": pyarrow.array(["p", "q"]).dictionary_encode(),
    }
    table = pyarrow.table(columns).replace_schema_metadata({"huggingface": json.dumps(feature)})
    parquet.write_table(table, tmp_path / "x.parquet")
    list(convert(tmp_path / "x.parquet", tmp_path / "y.parquet"))
    assert table_of(tmp_path / "y.parquet").to_pydict() == {
        "text": ["x y", "z w"], "label": ["good", "bad"], "shop": ["B", "A"], "sort": ["p", "q"],
    }  # fmt: skip


def test_cells_that_python_does_not_hold_are_counted(tmp_path):
    half = pyarrow.array(numpy.array([1, 2, 3], dtype=numpy.float16))
    path = typed(tmp_path / "x.parquet", {"text": TYPED["text"], "label": TYPED["label"], "half": half, "shop": ["A", "B", "C"]})
    assert lost(path, "parquet") == {"cells under half, shop": 6}


def test_files_of_a_data_set_that_differ_have_their_cells_counted(tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    for name, stars in (("a.arrow", ["5"]), ("b.arrow", [5])):
        typed(folder / name, {"text": ["so fine"], "label": ["good"], "stars": stars})
    made(folder / "state.json", {"_data_files": [{"filename": "a.arrow"}, {"filename": "b.arrow"}]})
    assert lost(folder, "arrow") == {"cells under stars": 2}
    made(folder / "state.json", {"_data_files": [{"filename": "a.arrow"}, {"filename": "a.arrow"}]})
    assert lost(folder, "arrow") == {}


def test_columns_beside_words_and_tags_are_counted(tmp_path):
    columns = {"tokens": [["Ann", "ran"]], "ner_tags": [["B-PER", "O"]], "pos": [["NNP", "VBD"]]}
    path = typed(tmp_path / "x.parquet", columns)
    said = [event.text for event in convert(path, tmp_path / "y.parquet") if isinstance(event, Said)]
    assert "parquet does not hold: cells under pos (1)" in said


# --- annotation tools


def test_label_studio_keeps_what_people_made_as_it_was(tmp_path):
    path = made(tmp_path / "x.json", ANNOTATED)
    assert json.loads(written(path, "label studio")) == ANNOTATED


@pytest.mark.parametrize("kind", BARE)
def test_predictions_for_label_studio_name_the_control_and_the_tag_that_were_learned(tmp_path, kind):
    learned = meaning(read(made(tmp_path / "train.json", ANNOTATED)).data)
    path = made(tmp_path / "x.json", BARE[kind])
    text = written(path, "label studio", MODEL, say=lambda record: replace(record, entities=FOUND), data=learned)
    region = {"start": 0, "end": 3, "text": "Bob", "labels": ["PER"], "score": 0.75}  # where its documentation has the score of a span
    result = {"from_name": "ner", "to_name": "doc", "type": "labels", "value": region}
    kept = {name: value for name, value in BARE[kind][0].items() if name != "annotations"}
    assert json.loads(text) == [kept | {"predictions": [{"model_version": "headway", "result": [result], "score": 0.75}]}]


def test_fields_of_label_studio_that_another_format_does_not_hold_are_counted(tmp_path):
    tasks = [ANNOTATED[0] | {"predictions": [{"result": []}]}]
    assert lost(made(tmp_path / "x.json", tasks), "doccano") == {"cells under url": 1, "predictions of models": 1}


@pytest.mark.parametrize("answer", ["accept", "reject", "ignore"])
def test_prodigy_keeps_what_people_made_as_it_was(tmp_path, answer):
    task = {"text": "Ann ran", "spans": [{"start": 0, "end": 3, "label": "PER", "token_start": 0}], "tokens": [{"id": 0}], "answer": answer}
    path = made(tmp_path / "x.jsonl", json.dumps(task) + "\n")
    assert json.loads(written(path, "prodigy")) == task


RELATED = {
    "id": 3,
    "text": "Ann saw Bob",
    "entities": [
        {"id": 200, "label": "PER", "start_offset": 0, "end_offset": 3},
        {"id": 7, "label": "PER", "start_offset": 8, "end_offset": 11},
    ],
    "relations": [{"id": 1, "from_id": 200, "to_id": 7, "type": "saw"}],
    "Comments": ["sure?"],
    "shop": "A",
}


@pytest.mark.parametrize(
    "item",
    [
        RELATED,
        {"id": 3, "text": "Ann ran", "label": [[0, 3, "PER"]], "Comments": ["sure?"], "shop": None},
        {"text": "Ann ran", "labels": []},
        {"id": 4, "text": "so fine", "label": ["good"], "Comments": [], "stars": 5},
    ],
)
def test_doccano_keeps_what_people_made_as_it_was(tmp_path, item):
    items = [item, {"id": 9, "text": "Bob ran", "label": [[0, 3, "PER"]], "Comments": []}] if item.get("labels") == [] else [item]
    path = made(tmp_path / "x.jsonl", "".join(json.dumps(one) + "\n" for one in items))
    assert [json.loads(line) for line in written(path, "doccano").splitlines()] == items


def test_a_model_answers_doccano_beside_all_that_is_no_answer(tmp_path):
    path = made(tmp_path / "x.jsonl", json.dumps(RELATED) + "\n")
    target = Target("ner", made_by="model")
    item = json.loads(written(path, "doccano", target, say=lambda record: replace(record, entities=FOUND)))
    entities = [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3}]
    assert item == RELATED | {"entities": entities, "relations": []}
    assert target.lost["relations between entities that people have marked"] == 1
    path = made(tmp_path / "y.jsonl", json.dumps({"id": 3, "text": "Ann ran", "label": [[4, 7, "X"]], "Comments": ["sure?"]}) + "\n")
    item = json.loads(written(path, "doccano", MODEL, say=lambda record: replace(record, entities=FOUND)))
    assert item == {"id": 3, "text": "Ann ran", "label": [[0, 3, "PER"]], "Comments": ["sure?"]}


def test_a_rejection_that_becomes_a_task_without_a_label_is_counted(tmp_path):
    tasks = [{"text": "Ann", "spans": [], "answer": answer, "meta": {"source": "x", "id": "1"}} for answer in ("accept", "reject")]
    path = made(tmp_path / "x.jsonl", "".join(json.dumps(task) + "\n" for task in tasks))
    assert lost(path, "jsonl") == {"cells under meta.source": 2, "rejections, now tasks without a label": 1}


def test_a_model_answers_tasks_of_prodigy_with_all_their_options(tmp_path):
    path = made(tmp_path / "x.jsonl", json.dumps(CHOICE | {"accept": ["bad"], "answer": "accept"}) + "\n")
    target = Target("classification", made_by="model", labels=("bad", "good", "so so"))
    task = json.loads(written(path, "prodigy", target, say=lambda record: replace(record, label="good")))
    assert task["accept"] == ["good"]
    assert task["options"] == [*CHOICE["options"], {"id": "so so", "text": "so so"}]
    assert (task["_input_hash"], "_task_hash" in task, "answer" in task) == (1, False, False)


def test_every_task_of_prodigy_offers_all_classes(tmp_path):
    made(tmp_path / "x.csv", "text,label\n" + "so fine,good\nso dull,bad\n" * 3)
    list(convert(tmp_path / "x.csv", tmp_path / "x.jsonl", name="prodigy"))
    tasks = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert all([option["id"] for option in task["options"]] == ["good", "bad"] for task in tasks)


def test_what_spacy_has_beside_classes_and_entities_is_counted(tmp_path):
    rows = [["Ann ran", {"entities": [[0, 3, "PER"]], "links": {}, "meta": {"id": "1", "shop": "A"}}]]
    assert lost(made(tmp_path / "x.jsonl", json.dumps(rows[0]) + "\n"), "jsonl") == {"cells under links, meta.shop": 2}
    both = {"text": "Ann ran", "cats": {"x": 1.0, "y": 0.0}, "entities": [[0, 3, "PER"]]}
    assert lost(made(tmp_path / "y.jsonl", json.dumps(both) + "\n"), "jsonl") == {"cells under entities": 1}


def test_other_layers_of_webanno_are_counted(tmp_path):
    head = "#FORMAT=WebAnno TSV 3.3\n#T_SP=custom.Pos|value\n#T_SP=webanno.custom.NamedEntity|value\n\n"
    path = made(tmp_path / "x.tsv", head + "#Text=Ann ran\n1-1\t0-3\tAnn\tNNP\tPER\t\n1-2\t4-7\tran\tVBD\t_\t\n")
    assert lost(path, "jsonl") == {"cells of other layers": 2}


def test_what_webanno_spells_is_read_as_it_was(tmp_path):
    head = "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.NamedEntity|value\n\n"
    body = "#Sentence.id=s\\t1\n#Text=Ann\\fran\\\\ \\b\\\x01\n1-1\t0-3\tAnn\t\\_\t\n1-2\t4-8\tran\\\ta\\tb\\;\t\n"
    records = list(read(made(tmp_path / "x.tsv", f"{head}\n{body}")).records)
    assert [(record.text, record.id, record.entities) for record in records] == [
        ("Ann\fran\\ \b\x01", "s\t1", (Span(0, 3, "_"), Span(4, 8, "a\tb;")))
    ]


def test_what_spacy_json_says_beside_entities_is_counted(tmp_path):
    tokens = [{"orth": "Ann", "ner": "U-PER", "dep": "nsubj", "tag": "NNP"}, {"orth": "ran", "ner": "O", "dep": "ROOT"}]
    paragraph = {"raw": "Ann ran", "sentences": [{"tokens": tokens, "brackets": []}, {"tokens": []}], "cats": [{"label": "x", "value": 1}]}
    counted = {"cells under cats, dep, tag": 4, "bounds of sentences": 1}
    path = made(tmp_path / "x.json", [{"id": 1, "paragraphs": [paragraph]}])
    assert lost(path, "jsonl") == lost(path, "spacy documents") == counted


@needs_formats
@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("webanno/ner.tsv", "webanno"),
        ("spacy/ner-sent-per-line.iob", "sentence lines"),
        ("spacy/training-data.json", "spacy documents"),
        ("conllu/ner_in_misc.conllu", "webanno"),
        ("doccano/ner.jsonl", "webanno"),
        ("prodigy/ner_manual.jsonl", "spacy documents"),
    ],
)
def test_real_files_say_the_same_when_they_are_written_again(tmp_path, file, name):
    before = [record for record in read(FORMATS / file, labels="welcome").records if record.entities is not None or name != "webanno"]
    path = made(tmp_path / {"webanno": "x.tsv", "spacy documents": "x.json"}.get(name, "x.iob"), written(FORMATS / file, name))
    after = list(read(path, labels="welcome").records)
    assert [(r.text, r.entities) for r in after] == [(r.text, r.entities) for r in before]


@needs_formats
def test_what_webanno_writes_again_is_the_same_letter_for_letter():
    path = FORMATS / "webanno" / "ner.tsv"
    assert written(path, "webanno") == path.read_text(encoding="utf-8")


# --- columns of words, and questions


def test_columns_and_comments_between_words_are_counted(tmp_path):
    text = "# id 1\nAnn NNP B-PER\nran VBD O\n\n# id 2\nBob NNP B-PER\n\n"
    assert lost(made(tmp_path / "x.conll", text), "jsonl") == {"cells under column 2": 3, "comments": 2}


def test_what_conllu_says_of_words_is_counted(tmp_path):
    words = [("1-2", "zum", "_", "_"), ("1", "zu", "zu", "O"), ("2", "dem", "_", "O"), ("2.1", "x", "_", "O"), ("3", "Meer", "_", "B-LOC")]
    lines = [f"{number}\t{form}\t{lemma}{6 * (chr(9) + '_')}\tNER={tag}|Gloss=x" for number, form, lemma, tag in words]
    path = made(tmp_path / "x.conllu", "# note = y\n# text = zum Meer\n" + "\n".join(lines) + "\n\n")
    assert lost(path, "jsonl") == {
        "lemmas, parts of speech and syntax of words": 1,
        "other marks of words (MISC)": 3,
        "contractions of several words": 1,
        "empty nodes": 1,
        "comments": 1,
    }


def test_plausible_answers_stay_in_squad_and_are_counted_elsewhere(tmp_path):
    item = {"id": "1", "question": "Who?", "answers": [], "is_impossible": True, "plausible_answers": [{"text": "Ann", "answer_start": 0}]}
    whole = {"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "Ann ran", "qas": [item]}]}]}
    path = made(tmp_path / "x.json", whole)
    assert json.loads(written(path, "squad")) == whole
    assert lost(path, "csv") == {"plausible answers": 1}


def test_what_is_beside_records_is_no_part_of_them(tmp_path):
    """Training reads the same as ever: nothing of it is held, and nothing is warned of."""
    reading = read(made(tmp_path / "x.csv", REVIEWS))
    assert next(iter(reading.records)) == Record("so fine", label="good", where="x.csv:2")
    list(reading.records)
    assert reading.left_out == Counter()
