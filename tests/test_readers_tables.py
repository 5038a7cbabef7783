"""Tables of text: what is guessed of them, and what is said of broken ones."""

import csv
import tracemalloc
from pathlib import Path

import pytest
from openpyxl import Workbook

from headway.config import Data
from headway.errors import ConfigError, DataError
from headway.readers import meaning, read
from headway.records import Record, Span

FORMATS = Path(__file__).parents[2] / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="the sample files of shared/data are not here")


def table(folder: Path, text: str, *, name: str = "reviews.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def everything(path: Path, data: Data = Data(), labels: str = "required") -> list[Record]:  # noqa: B008
    return list(read(path, data, labels=labels).records)


def error_of(path: Path, data: Data = Data()) -> str:  # noqa: B008
    with pytest.raises(DataError) as caught:
        everything(path, data)
    return str(caught.value)


def test_what_was_guessed_is_said_in_one_line(tmp_path):
    path = table(tmp_path, "review,sentiment\nfine,good\nawful,bad\n")
    assert read(path).guessed == 'text = "review" · label = "sentiment"'


def test_a_record_knows_its_file_and_line(tmp_path):
    path = table(tmp_path, 'text,label\n"two\nlines",a\none line,b\n')
    assert [record.where for record in everything(path)] == ["reviews.csv:2", "reviews.csv:4"]


def test_what_was_decided_reads_the_same_again(tmp_path):
    path = table(tmp_path, "a\tone two three\nb\tfour five six\na\tseven eight nine\nb\tten eleven twelve\n", name="x.tsv")
    first = read(path)
    records = list(first.records)
    assert read(path, first.data).data == first.data
    assert everything(path, first.data) == records


def test_meaning_goes_to_another_file_and_layout_stays(tmp_path):
    train = read(table(tmp_path, "text;label\na b;x\nc d;y\n")).data
    other = meaning(train, given=Data(encoding="cp1252"))
    assert (other.text, other.label, other.kind, other.encoding, other.delimiter) == ("text", "label", "single", "cp1252", None)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(tmp_path, delimiter):
    path = table(tmp_path, f"text{delimiter}label\none fine day{delimiter}good\none bad day{delimiter}bad\n")
    assert [record.label for record in everything(path)] == ["good", "bad"]


def test_delimiter_that_is_set_is_not_guessed(tmp_path):
    path = table(tmp_path, "text,x;label\na,b;good\nc,d;bad\n")
    assert everything(path, Data(delimiter=";"))[0].text == "a,b"


def test_columns_without_a_header_are_counted(tmp_path):
    path = table(tmp_path, "good,a very fine film\nbad,a very dull film\ngood,another fine film\nbad,another dull film\n")
    reading = read(path)
    assert (reading.data.text, reading.data.label, reading.data.header) == ("2", "1", False)
    assert reading.guessed == 'text = "2" · label = "1" · no header'


def test_a_number_names_a_column_that_has_a_name(tmp_path):
    path = table(tmp_path, "note,label,text\nx,good,fine\ny,bad,dull\n")
    assert everything(path, Data(text="1"))[0].text == "x"


def test_several_columns_are_read_as_one_text(tmp_path):
    path = table(tmp_path, "title,body,label\nBig news,Nothing happened,a\nSmall news,All happened,b\n")
    assert everything(path, Data(text="title+body"))[0].text == "Big news Nothing happened"


def test_quotes_that_enclose_nothing_are_text(tmp_path):
    path = table(tmp_path, 'ham\t"Stop", she said\nspam\t"Win now\nham\tOk\nspam\tWin\n', name="sms.tsv")
    assert [record.text for record in everything(path)] == ['"Stop", she said', '"Win now', "Ok", "Win"]


def test_a_cell_that_recurs_is_no_header_though_it_could_be_a_name(tmp_path):
    path = table(tmp_path, "question,What is it ?\nremark,It is nothing .\nquestion,Who is it ?\nremark,It is me .\n")
    assert len(everything(path, Data(task="classification"))) == 4


def test_doubled_quotes_are_one(tmp_path):
    path = table(tmp_path, 'text,label\n"He said ""no""",a\nyes,b\n')
    assert everything(path)[0].text == 'He said "no"'


def test_text_keeps_its_white_space_and_labels_lose_it(tmp_path):
    path = table(tmp_path, "text,label\n  two  ,good \nx,bad\n")
    assert (everything(path)[0].text, everything(path)[0].label) == ("  two  ", "good")


def test_an_empty_label_is_none_and_na_is_a_label(tmp_path):
    path = table(tmp_path, "text,label\na,\nb,NA\nc,nan\nd,none\n")
    assert [record.label for record in everything(path)] == [None, "NA", "nan", "none"]


def test_fractions_are_numbers_and_small_whole_numbers_are_classes(tmp_path):
    numbers = table(tmp_path, "text,score\na b,1.5\nc d,2\n", name="numbers.csv")
    classes = table(tmp_path, "text,score\na b,1\nc d,2\n", name="classes.csv")
    assert [record.label for record in everything(numbers)] == [1.5, 2.0]
    assert [record.label for record in everything(classes)] == ["1", "2"]


def test_a_comma_in_one_label_does_not_make_it_two(tmp_path):
    path = table(tmp_path, 'text,label\nx,"Mergers, Acquisitions"\ny,Sports\nz,Politics\n')
    assert everything(path)[0].label == "Mergers, Acquisitions"


def test_parts_that_recur_are_several_labels(tmp_path):
    path = table(tmp_path, "text,label\na b,joy|love\nc d,joy\ne f,love\n")
    assert [record.label for record in everything(path)] == [("joy", "love"), ("joy",), ("love",)]


def test_kind_that_is_set_is_not_guessed(tmp_path):
    path = table(tmp_path, "text,label\na b,joy|love\nc d,joy\ne f,love\n")
    assert everything(path, Data(kind="single"))[0].label == "joy|love"


LISTS = {  # how a cell writes the labels joy and love, and how none
    "JSON": ('["joy", "love"]', '["joy"]', "[]"),
    "Python": ("['joy', 'love']", "['joy']", "[]"),
    "numpy": ("['joy' 'love']", "['joy']", "[]"),
}


def rows_of_lists(both: str, one: str, none: str) -> list[list[str]]:
    return [["text", "labels"], ["so fine", both], ["fine", one], ["a table", none], ["hm", ""]]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.xlsx"])
@pytest.mark.parametrize("writer", LISTS)
def test_a_list_in_a_cell_is_a_set_of_labels(tmp_path, writer, name):
    rows = rows_of_lists(*LISTS[writer])
    if name == "x.xlsx":
        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / name)
    else:
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file, delimiter="," if name == "x.csv" else "\t").writerows(rows)
    assert [record.label for record in everything(tmp_path / name)] == [("joy", "love"), ("joy",), (), None]


@pytest.mark.parametrize(("cell", "label"), [("[3, 14]", ("3", "14")), ('["it\'s"]', ("it's",)), ("['a \\'b\\'', 'c']", ("a 'b'", "c"))])
def test_items_of_a_list_are_read_as_they_are_meant(tmp_path, cell, label):
    quoted = cell.replace('"', '""')
    path = table(tmp_path, f"text,labels\nfine,\"{quoted}\"\nbad,\"['p', 'q']\"\n")
    assert everything(path)[0].label == label


def test_a_list_that_is_none_is_named_and_not_taken_for_a_label(tmp_path):
    path = table(tmp_path, "text,labels\nfine,\"['joy', 'love']\"\nso,\"['joy'\"\nbad,['joy']\n")
    assert error_of(path) == "reviews.csv:3: labels begins as a list or an object, and is none: ['joy'"


@pytest.mark.parametrize("written", ["[1, 0, 0]", "[1 0 0]"])
def test_a_list_of_yes_and_no_is_not_taken_for_a_set_of_numbers(tmp_path, written):
    path = table(tmp_path, f'text,labels\nfine,"{written}"\nbad,"{written}"\n')
    assert error_of(path) == (
        "reviews.csv:2: the labels [1, 0, 0] name one number twice; if it says yes or no of each class in turn, "
        "write the names of those that hold, or a column for each class"
    )


def test_entities_as_python_writes_them_are_entities(tmp_path):
    path = table(tmp_path, "text,entities\nAnn ran,\"[{'start': 0, 'end': 3, 'label': 'PER'}]\"\nrain,[]\n")
    assert [record.entities for record in everything(path)] == [(Span(0, 3, "PER"),), ()]


def test_texts_in_brackets_are_texts(tmp_path):
    path = table(tmp_path, "text,label\n[deleted],a\n[a note],b\n[1] first,a\n")
    assert [record.text for record in everything(path)] == ["[deleted]", "[a note]", "[1] first"]


def test_columns_of_zeros_and_ones_are_several_labels(tmp_path):
    path = table(tmp_path, "text,joy,love,fear\nx y,1,0,1\nz w,0,1,0\nv u,0,0,0\n")
    assert [record.label for record in everything(path)] == [("joy", "fear"), ("love",), ()]


def test_two_columns_of_flags_are_two_labels(tmp_path):
    path = table(tmp_path, "text,joy,anger\nhi there,1,0\nyo man,0,1\noh no,0,0\nhm well,1,1\n")
    assert [record.label for record in everything(path)] == [("joy",), ("anger",), (), ("joy", "anger")]


def test_columns_that_differ_in_their_count_are_a_pair(tmp_path):
    path = table(tmp_path, "sentence1,sentence2,label\na man sleeps,a man rests,1\na man runs,a man rests,0\n")
    record = everything(path)[0]
    assert (record.text, record.text_pair, record.label) == ("a man sleeps", "a man rests", "1")


def test_prediction_needs_no_label(tmp_path):
    path = table(tmp_path, "text,date\nfine,2020\nbad,2021\n")
    decided = Data(task="classification", text="text", label="sentiment", kind="single")
    assert [record.label for record in everything(path, decided, "optional")] == [None, None]


def test_the_only_column_is_the_text_whatever_it_is_called(tmp_path):
    path = table(tmp_path, "comment\nfine\nbad\n")
    assert [record.text for record in everything(path, Data(text="review"), "optional")] == ["fine", "bad"]


def test_other_encodings_are_read_when_named(tmp_path):
    path = table(tmp_path, "text,label\ncafé,a\nthé,b\n", encoding="cp1252")
    assert everything(path, Data(encoding="cp1252"))[0].text == "café"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, encoding):
    path = table(tmp_path, "text,label\ncafé,a\nthé,b\n", encoding=encoding)
    assert everything(path)[0].text == "café"


def test_a_long_file_is_never_held_in_memory(tmp_path):
    path = table(tmp_path, "text,label\n" + "".join(f"text number {i} {'x' * 200},{i % 3}\n" for i in range(10_000)))
    tracemalloc.start()
    count = sum(1 for _ in read(path).records)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 10_000
    assert peak_bytes < 1_900_000 < path.stat().st_size


BROKEN = {
    "latin1": (
        b"text,label\nok,a\ncaf\xe9,b\n",
        "bad.csv:3: byte 0xe9 is not UTF-8; the file reads as cp1252: add --set data.encoding=cp1252",
    ),
    "undefined in cp1252": (
        b"text,label\ncaf\xe9 \x81,b\n",
        "bad.csv:2: byte 0xe9 is not UTF-8; the file reads as latin-1: add --set data.encoding=latin-1",
    ),
    "another script": (
        "text,label\nпривет мир как дела сегодня,a\n".encode("cp1251"),
        "bad.csv:2: byte 0xef is not UTF-8; add --set data.encoding= and the encoding it was saved in, "
        "for example cp1251, gb18030 or shift_jis",
    ),
    "NUL": (b"text,label\nab\0c,x\n", "bad.csv:2: a NUL byte, which no text has: not a text file, or one that is damaged; take it out"),
    "UTF-16, little-endian": ("text,label\n".encode("utf-16-le"), "bad.csv:1: NUL bytes, as in UTF-16: add --set data.encoding=utf-16-le"),
    "UTF-16, big-endian": ("text,label\n".encode("utf-16-be"), "bad.csv:1: NUL bytes, as in UTF-16: add --set data.encoding=utf-16-be"),
    "UTF-32, little-endian": ("text,label\n".encode("utf-32-le"), "bad.csv:1: NUL bytes, as in UTF-32: add --set data.encoding=utf-32-le"),
    "UTF-32, big-endian": ("text,label\n".encode("utf-32-be"), "bad.csv:1: NUL bytes, as in UTF-32: add --set data.encoding=utf-32-be"),
    "an open quote in the header": (
        b'"text,label\na,b\nc,d\n',
        "bad.csv:1: a quote opens here and is never closed; where quotes are part of the text, add --set data.quoting=false",
    ),
    "carriage returns alone": (
        b"text,label\ra good film,pos\ra bad film,neg\r",
        "bad.csv:1: a carriage return inside a line, as where lines end in nothing else (CR, of old Macs); "
        "save the file with line feeds (LF)",
    ),
    "too many cells": (
        b"text,label\na,x\nb,c,x\n",
        'bad.csv:3: 3 cells, but the header names 2 (text, label); a cell that holds "," needs double quotes around it',
    ),
    "too few cells": (b"text,label\na,x\nb\n", "bad.csv:3: 1 cell, but the header names 2 (text, label)"),
    "an open quote": (
        b'text,label\na,x\n"b,y\nc,z\n',
        "bad.csv:3: a quote opens here and is never closed; where quotes are part of the text, add --set data.quoting=false",
    ),
    "an open quote in a later line of its row": (
        b'text,label\n"b\nc",x\n"d\ne",y\n"f,z\ng\n',
        "bad.csv:6: a quote opens here and is never closed; where quotes are part of the text, add --set data.quoting=false",
    ),
    "two columns of one name": (b"text,label,label\na,b,c\n", 'bad.csv:1: two columns are called "label"; rename one of them'),
    "no label": (
        b"text,date\na fine day,2020-01-01\na bad day,2020-01-02\n",
        "bad.csv: no column looks like a label; the columns are text, date; name one with --set data.label=",
    ),
    "a header alone": (b"text,label\n", "bad.csv: no rows in it"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_table_is_named_with_its_line(tmp_path, broken):
    content, message = BROKEN[broken]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    assert error_of(path) == message


def test_a_misspelt_column_names_the_nearest_one(tmp_path):
    path = table(tmp_path, "review,sentiment\nfine,good\nawful,bad\n")
    assert error_of(path, Data(label="sentimnt")) == 'reviews.csv: no column "sentimnt" (data.label); did you mean "sentiment"?'


def test_a_column_that_is_nowhere_near_names_all(tmp_path):
    path = table(tmp_path, "review,sentiment\nfine,good\nawful,bad\n")
    assert error_of(path, Data(text="zzz")) == 'reviews.csv: no column "zzz" (data.text); the columns are review, sentiment'


def test_a_word_among_numbers_is_named(tmp_path):
    path = table(tmp_path, "text,label\na,1.5\nb,high\n")
    assert error_of(path, Data(kind="number")) == (
        'reviews.csv:3: "high" is not a number; mend it, or read the labels as classes: add --set data.kind=single'
    )


def test_a_missing_file_names_the_nearest_one(tmp_path):
    table(tmp_path, "text,label\na,b\n")
    assert error_of(tmp_path / "reviws.csv") == f'{tmp_path / "reviws.csv"}: no such file; did you mean "reviews.csv"?'


def test_a_folder_of_nothing_is_no_data(tmp_path):
    found = "a folder with no texts by class, no brat annotations and no saved data set in it"
    assert error_of(tmp_path) == f"{tmp_path}: {found}; name a file"


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    assert error_of(table(tmp_path, "")) == f"{tmp_path / 'reviews.csv'}: the file is empty"


def test_an_unknown_encoding_is_a_setting_that_does_not_fit(tmp_path):
    with pytest.raises(ConfigError, match=r"^data.encoding = 'utf9': no such encoding$"):
        read(table(tmp_path, "text,label\na,b\n"), Data(encoding="utf9"))


@needs_formats
def test_the_first_fault_of_a_ragged_file_is_told():
    assert error_of(FORMATS / "csv" / "ragged_broken.csv") == (
        'ragged_broken.csv:3: 3 cells, but the header names 2 (text, label); a cell that holds "," needs double quotes around it'
    )


@needs_formats
@pytest.mark.parametrize(
    ("name", "count"),
    [("textcat.csv", 32), ("no_header.csv", 20), ("numeric_labels.csv", 32), ("quoted_newlines_commas.csv", 9), ("utf16_tab.tsv", 12)],
)
def test_sample_tables_read_as_single_labels(name, count):
    reading = read(FORMATS / "csv" / name)
    assert reading.data.kind == "single"
    assert sum(isinstance(record.label, str) for record in reading.records) == count


@needs_formats
@pytest.mark.parametrize("name", ["multilabel_onehot.csv", "multilabel_pipe.csv"])
def test_sample_tables_of_several_labels_agree(name):
    records = everything(FORMATS / "csv" / name)
    assert (len(records), sum(len(record.label) for record in records)) == (30, 47)


@needs_formats
def test_a_german_spreadsheet_is_a_regression_of_pairs():
    records = everything(FORMATS / "csv" / "german_excel_cp1252_semicolon.csv", Data(encoding="cp1252"))
    assert len(records) == 25
    assert (records[1].text_pair, records[1].label) == ("Ein Mann spielt eine Flöte.", 2.75)
