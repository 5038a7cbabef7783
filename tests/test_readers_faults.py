"""Records at fault are told one by one, and those behind them are read."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headway.cli import app
from headway.readers import read
from headway.readers.faults import RecordError

NAMES = [{"text": f"Ann Lee saw Rome {n}", "entities": [[0, 7, "PER"], [12, 16, "LOC"]]} for n in range(9)]
CROSSING = {"text": "Ann Lee saw Rome", "entities": [[0, 7, "PER"], [4, 11, "LOC"], [12, 90, "LOC"]]}
QUESTIONS = [
    {"id": str(n), "question": "Where?", "context": "Ann saw Rome.", "answers": {"text": ["Rome"], "answer_start": [8]}} for n in range(9)
]
SHIFTED = {
    "id": "x",
    "question": "Who?",
    "context": "Ann saw Rome.",
    "answers": {"text": ["Ann", "saw", "Rome"], "answer_start": [1, 4, 7]},
}
SQUAD = {
    "context": "Ann saw Rome.",
    "qas": [{"id": str(n), "question": "Where?", "answers": [{"text": "Rome", "answer_start": n}]} for n in (8, 7, 6)],
}
OVERLAP = 'PER "Ann Lee" (0-7) and LOC "Lee saw" (4-11) overlap; an entity may not reach into another'
BEYOND = 'entity "LOC" runs from 12 to 90, but the text has 16 characters'


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES = {  # a file, its text, how many of its records can be read, and what is told of the others
    "spans": ("x.jsonl", lines(*NAMES[:3], CROSSING, *NAMES[3:], CROSSING), 9, [
            f"x.jsonl:4: {BEYOND}", f"x.jsonl:4: {OVERLAP}", f"x.jsonl:11: {BEYOND}", f"x.jsonl:11: {OVERLAP}"
        ]),
    "answers": (
        "x.jsonl",
        lines(SHIFTED, *QUESTIONS),
        9,
        [
            'x.jsonl:1: answer "Ann" does not stand at 1: there stands "nn "; it stands at 0',
            'x.jsonl:1: answer "Rome" does not stand at 7: there stands " Rom"; it stands at 8',
        ],
    ),
    "SQuAD": (
        "x.json",
        json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [SQUAD]}]}),
        1,
        [
            'x.json#7: answer "Rome" does not stand at 7: there stands " Rom"; it stands at 8',
            'x.json#6: answer "Rome" does not stand at 6: there stands "w Ro"; it stands at 8',
        ],
    ),
    "rows": (
        "x.csv",
        "text,label\n" + "a good film,pos\na bad film,neg\n" * 4 + "a, or b,pos\nof one cell\n" + "fine,pos\n",
        9,
        [
            'x.csv:10: 3 cells, but the header names 2 (text, label); a cell that holds "," needs double quotes around it',
            "x.csv:11: 1 cell, but the header names 2 (text, label)",
        ],
    ),
    "an open quote": (
        "x.csv",
        "text,label\n" + "a good film,pos\na bad film,neg\n" * 4 + "of one cell\n" + '"fine,pos\nfiner,pos\n',
        8,
        [
            "x.csv:10: 1 cell, but the header names 2 (text, label)",
            "x.csv:11: a quote opens here and is never closed; where quotes are part of the text, add --set data.quoting=false",
        ],
    ),
    "lines of JSON": (
        "x.jsonl",
        lines(*NAMES[:3]) + '{"text": "Ann\n["Ann"]\n' + lines(*NAMES[3:]),
        9,
        [
            "x.jsonl:4: not JSON: invalid control character at column 14",
            'x.jsonl:5: expected an object: {"text": "...", "label": "..."}',
        ],
    ),
    "tags": (
        "x.conll",
        "Ann B-PER\nran O\n\nRome I-LOC\n\nBob B-PER\n\nsaw\nRome\nin O\nRome I-LOC\n\n" + "Ann B-PER\nran O\n\n" * 9,
        11,
        [
            'x.conll:4: tag "I-LOC" begins a sentence; in IOB2 an entity begins with B-: write "B-LOC", or let I- begin entities: '
            'add --set data.scheme=IOB1',
            'x.conll:8: token "saw" has no tag',
            'x.conll:9: token "Rome" has no tag',
            'x.conll:11: tag "I-LOC" follows "O"; in IOB2 an entity begins with B-: write "B-LOC", or let I- begin entities: '
            "add --set data.scheme=IOB1",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_all_records_at_fault_are_told_and_the_others_read(tmp_path, name):
    file, text, readable, told = FILES[name]
    (tmp_path / file).write_text(text)
    faults: list[str] = []
    assert len(list(read(tmp_path / file, faults=faults).records)) == readable
    assert faults == told


@pytest.mark.parametrize("name", FILES)
def test_without_asking_the_first_is_raised(tmp_path, name):
    file, text, _, told = FILES[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(RecordError) as error:
        list(read(tmp_path / file).records)
    assert str(error.value) == told[0]


def test_every_line_of_an_annotation_file_that_is_at_fault_is_told(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("Ann Lee saw Rome")
        (tmp_path / f"{name}.ann").write_text("T1\tPER 0 7\tAnn Lee\n")
    (tmp_path / "a.ann").write_text("T1\tPER 0 7\tAnn Lee\nT2\tPER 4 11\tLee saw\nhuh\nT3\tLOC 12 15\tRome\n")
    faults: list[str] = []
    assert [record.id for record in read(tmp_path, faults=faults).records] == ["b"]
    assert [fault.split(": ")[0] for fault in faults] == ["a.ann:3", "a.ann:4", "a.ann:2"]


def headway(*words: str):
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("name", FILES)
def test_the_audit_lists_them_all_and_ends_with_the_code_of_bad_data(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file, text, readable, told = FILES[name]
    Path(file).write_text(text)
    result = headway("audit", file, "--out", "report")
    assert result.exit_code == 3
    assert f"{readable} rows of train" in result.stdout
    shown = [line.strip() for line in result.stdout.splitlines()]
    assert [line.replace(": ", "  ", 1) for line in told] == [
        line for line in shown if line.startswith(f"{file}:") or line.startswith(f"{file}#")
    ][: len(told)]
    kept = json.loads(Path("report/audit.json").read_text())["findings"][0]
    assert (kept["check"], kept["count"]) == ("unreadable", len(told))
    assert [": ".join(example[:2]) for example in kept["examples"]] == told
    assert "audit.allow" not in result.stderr


def test_what_follows_a_tag_at_fault_is_not_blamed_for_it(tmp_path):
    path = tmp_path / "x.conll"
    path.write_text("Acme X-ORG\nInc I-ORG\nsaw\nRome I-LOC\nand I-LOC\nBern I-PER\n\n" + "Ann B-PER\nran O\nto O\nBonn B-LOC\n\n" * 9)
    faults: list[str] = []
    list(read(path, faults=faults).records)
    assert [fault.partition(": ")[0] for fault in faults] == ["x.conll:1", "x.conll:3", "x.conll:6"]


def test_all_tags_at_fault_in_a_line_of_tokens_are_told(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"tokens": ["Ann", "ran", "Rome"], "ner_tags": tags} for tags in (["I-PER", "O", "I-LOC"], *[["B-PER", "O", "B-LOC"]] * 9)]
    path.write_text(lines(*rows))
    faults: list[str] = []
    list(read(path, faults=faults).records)
    assert [fault.partition(": tag")[0] for fault in faults] == ['x.jsonl:1: token 1 "Ann"', 'x.jsonl:1: token 3 "Rome"']


LIBERTIES = {  # a file, its text, and what the audit says of how it was read
    "white space": (
        "x.conll",
        "Ann B-PER\nran O\n \nBob B-PER\n\n",
        "lines of white space alone, read as empty lines (1, first at x.conll:3)",
    ),
    "tabs": (
        "x.conll",
        "Ann B-PER\nran O\nto O\n\nBob\tB-PER\nran\tO\n\n",
        "tabs between columns that spaces part elsewhere, read as spaces (2, first at x.conll:5)",
    ),
    "entities": (
        "x.jsonl",
        lines(NAMES[0], NAMES[1] | {"entities": [[0, 7, "PER"]] * 3}),
        "entities marked twice alike, read as one (2, first at x.jsonl:2)",
    ),
    "answers": (
        "x.jsonl",
        lines(*QUESTIONS[:2], QUESTIONS[2] | {"answers": {"text": ["Rome", " Rome"], "answer_start": [8, 7]}}),
        "white space around answers, read as no part of them (1, first at x.jsonl:3)",
    ),
    "questions": (
        "x.json",
        json.dumps(
            {"data": [{"paragraphs": [SQUAD | {"qas": [{"id": "7", "question": "?", "answers": [{"text": " saw", "answer_start": 3}]}]}]}]}
        ),
        "white space around answers, read as no part of them (1, first at x.json#7)",
    ),
}


@pytest.mark.parametrize("name", LIBERTIES)
def test_the_audit_says_what_was_read_though_it_is_not_quite_right(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file, text, said = LIBERTIES[name]
    Path(file).write_text(text)
    shown = headway("audit", file).stdout
    assert f"not quite as the format has it: {said}\n" in shown


def test_the_audit_says_what_stands_in_no_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(f"{name}.txt").write_text("Ann ran")
        Path(f"{name}.ann").write_text("T1\tPER 0 3\tAnn\n#1\tNote T1\tsure\n")
    shown = headway("audit", "a.ann", "--test", "b.ann").stdout
    assert "a.ann           not in the records: notes (1)" in shown
    assert "b.ann           not in the records: notes (1)" in shown


def test_the_report_of_an_audit_says_what_stands_in_no_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, note in (("a", "#1\tNote T1\tsure\n"), ("b", "")):
        Path(f"{name}.txt").write_text("Ann ran")
        Path(f"{name}.ann").write_text(f"T1\tPER 0 3\tAnn\n{note}")
    headway("audit", "a.ann", "--test", "b.ann", "--out", "report")
    assert json.loads(Path("report/audit.json").read_text())["left_out"] == {"train": {"notes": 1}, "test": {}}
    page = Path("report/audit.html").read_text()
    assert page.count("Not in the records of") == 1
    assert "Not in the records of a.ann: notes (1)</p>" in page


def test_a_file_without_a_readable_record_is_audited_all_the_same(tmp_path):
    (tmp_path / "x.jsonl").write_text(lines(CROSSING))
    result = headway("audit", str(tmp_path / "x.jsonl"))
    assert result.exit_code == 3
    assert "0 rows of train" in result.stdout
    assert OVERLAP in result.stdout


def test_of_many_the_screen_shows_the_first_and_says_where_the_others_are(tmp_path):
    (tmp_path / "x.jsonl").write_text(lines(*NAMES, *[CROSSING] * 30))
    shown = headway("audit", str(tmp_path / "x.jsonl")).stdout
    assert shown.count(OVERLAP) + shown.count(BEYOND) == 20
    assert "and 40 more; --out DIR writes all of them into audit.json" in shown


def test_training_stops_in_one_line_that_names_the_audit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my names.jsonl").write_text(lines(*NAMES, CROSSING))
    result = headway("train", "my names.jsonl", "--set", "data.label=entities", "--base-model", "x")
    assert result.exit_code == 3
    assert result.stderr == (
        f"DataError: my names.jsonl:10: {BEYOND}; all that cannot be read: "
        "headway audit 'my names.jsonl' --model x --set data.label=entities\n"
    )


def test_other_jobs_stop_in_one_line_of_the_kind_that_people_know(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_text(lines(*NAMES, CROSSING))
    result = headway("convert", "x.jsonl", "x.conll")
    assert (result.exit_code, result.stderr) == (3, f"DataError: x.jsonl:10: {BEYOND}\n")
    assert not Path("x.conll").exists()
