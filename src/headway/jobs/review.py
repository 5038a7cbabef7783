"""A copy of a file with one column more, for what somebody should look at; the file itself is never written to."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from headway.config import Data
from headway.errors import OutputError
from headway.readers import read, write
from headway.readers.columnar import with_column
from headway.readers.conllu import word_places
from headway.readers.files import first_bytes, lines_of
from headway.readers.objects import is_document, items_of
from headway.readers.workbooks import first_sheet
from headway.readers.writing import Target, separated
from headway.records import Span

COLUMN = "to_review"  # not "review", which is what many call their texts: a copy is read as its file is
NOTHING = "-"  # of a token that nobody has to look at: an empty cell would move the columns behind it


class Note(NamedTuple):
    """What is to be looked at in a record; in which span of its text, where that is a part, and in which of its words."""

    said: str
    span: Span | None = None
    words: range = range(0)


Notes = Mapping[str, list[Note]]  # by Record.where


def write_review(path: Path, data: Data, notes: Notes, out: Path, *, format: str) -> None:
    """Copy `path`, which was read with `data` (everything decided) as `format`, to `out`.

    Tables, lines of JSON and columns of words keep every byte that is theirs: a last cell in tables, a key in JSON (in the meta of
    Prodigy and the data of Label Studio, which they show), a column before the tag in CoNLL, a mark in MISC in CoNLL-U. Workbooks, Parquet
    and Arrow get a last column. Other formats have no room: the copy is JSONL.

    Raises:
        OutputError: `out` exists, cannot be written, or would need a form that has no room.
    """
    check_place(out, format=format)
    binary = format in _BINARY
    own = _COPIES.get(format) if not (binary and out.suffix.casefold() == _PLAIN) else None
    pieces = (own or _records)(path, data, notes)
    marked = own is not None and not binary and first_bytes(path, 3) == codecs.BOM_UTF8
    encode = codecs.getincrementalencoder("utf-8-sig" if marked else (own and data.encoding) or "utf-8")("backslashreplace").encode
    beside = out.with_name(f"{out.name}.unfinished")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.writelines(piece if isinstance(piece, bytes) else encode(piece) for piece in pieces)
        beside.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}") from None


def check_place(out: Path, *, format: str) -> None:
    """Raise OutputError where no copy of a file of that format can be put."""
    if out.exists():
        raise OutputError(f"{out}: exists; choose another --fix")
    if format not in _COPIES and out.suffix.casefold() != _PLAIN:
        raise OutputError(f"{out}: {format} has no room for a column, the copy is JSONL: call it {out.with_suffix(_PLAIN).name}")


def _table(path: Path, data: Data, notes: Notes) -> Iterator[str]:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in lines_of(path, data.encoding):
            taken.append(line)
            yield line

    quoting = csv.QUOTE_MINIMAL if data.quoting else csv.QUOTE_NONE
    names, number = None, 1
    for cells in csv.reader(lines(), delimiter=data.delimiter, quoting=quoting):
        row, where = "".join(taken), f"{path.name}:{number}"
        number += len(taken)
        taken.clear()
        if not cells:
            yield row
        elif names is None and data.header:
            names = cells
            yield _with_cell(row, _free_name(cells), data)
        else:
            yield _with_cell(row, "; ".join(note.said for note in notes.get(where, ())), data)


def _with_cell(row: str, cell: str, data: Data) -> str:
    body = row.rstrip("\r\n")
    if data.quoting and (data.delimiter in cell or '"' in cell):
        cell = '"' + cell.replace('"', '""') + '"'
    return f"{body}{data.delimiter}{cell if data.quoting else cell.replace(data.delimiter, ' ')}{row[len(body) :] or chr(10)}"


def _free_name(names: list[str]) -> str:
    return next(name for n in count(1) if (name := COLUMN if n == 1 else f"{COLUMN}_{n}") not in names)


def _objects(path: Path, data: Data, notes: Notes, *, inside: str | None = None) -> Iterator[str]:
    """A key more where there is something to review, in the object under `inside` where one is named; a document as a list of objects."""
    if is_document(path, data.encoding):
        whole = (_noted(value, notes[where], inside) if where in notes else value for where, value in items_of(path, data.encoding))
        yield from separated((json.dumps(value, ensure_ascii=False) for value in whole), "[\n", ",\n", "\n]\n")
        return
    for number, line in enumerate(lines_of(path, data.encoding), 1):
        of_line = notes.get(f"{path.name}:{number}", ())
        yield json.dumps(_noted(json.loads(line), of_line, inside), ensure_ascii=False) + "\n" if of_line else line


def _noted(item: Any, notes: Sequence[Note], inside: str | None) -> Any:
    """The object with a key more. What is said of a text as a whole is a text, what is said of its parts a list."""
    cells = item[1] if isinstance(item, list) else item
    cells = cells.setdefault(inside, {}) if inside and isinstance(cells.get(inside, {}), dict) else cells
    parts = any(note.span for note in notes)
    cells[_free_name(list(cells))] = list(map(_described, notes)) if parts else "; ".join(note.said for note in notes)
    return item


def _conll(path: Path, data: Data, notes: Notes) -> Iterator[str]:
    here: list[Note] = []
    word, header = -1, bool(data.header)  # word -1: no sentence has begun
    for number, line in enumerate(lines_of(path, data.encoding), 1):
        body = line.rstrip("\r\n")
        if not body.strip() or body.startswith(("-DOCSTART-", "# ")):
            word = word if body.startswith("# ") else -1
            yield line
        elif header:
            header = False
            yield _before_last(body, COLUMN) + line[len(body) :]
        else:
            here = notes.get(f"{path.name}:{number}", []) if word < 0 else here
            word += 1
            yield _before_last(body, next((note.said for note in here if word in note.words), NOTHING)) + line[len(body) :]


def _before_last(body: str, cell: str) -> str:
    mark = "\t" if "\t" in body else " "
    *cells, last = body.split(mark)
    return mark.join([*cells, "_".join(cell.split()), last])


def _conllu(path: Path, data: Data, notes: Notes) -> Iterator[str]:
    marked: dict[int, str] = {}  # by line
    for where, words in word_places(path, data.encoding):
        for note in notes.get(where, ()):
            inside = (line for line, start, end in words if note.span is None or (start < note.span.end and end > note.span.start))
            marked |= dict.fromkeys(inside, "_".join(note.said.replace("|", "/").split()))
    for number, line in enumerate(lines_of(path, data.encoding), 1):
        body = line.rstrip("\r\n")
        if number in marked:
            *cells, misc = body.split("\t")
            before = [] if misc == "_" else [misc]
            body = "\t".join([*cells, "|".join([*before, f"ToReview={marked[number]}"])])
        yield body + line[len(line.rstrip("\r\n")) :]


def _workbook(path: Path, data: Data, notes: Notes) -> Iterator[bytes]:
    """The whole workbook with one column more in the sheet that was read."""
    from openpyxl import load_workbook

    book = load_workbook(path)
    sheet = book[first_sheet(path)]
    last = sheet.max_column + 1
    filled = (row for row in sheet.iter_rows() if any(cell.value is not None for cell in row))
    if data.header and (names := next(filled, None)):
        sheet.cell(names[0].row, last, _free_name([str(cell.value) for cell in names]))
    for where, of_row in notes.items():
        sheet.cell(int(where.rpartition(":")[2]), last, "; ".join(note.said for note in of_row))
    written = io.BytesIO()
    book.save(written)
    yield written.getvalue()


def _columnar(path: Path, data: Data, notes: Notes) -> Iterator[bytes]:
    said = {where: "; ".join(note.said for note in of_row) for where, of_row in notes.items()}
    return with_column(path, said, name=_free_name)


def _records(path: Path, data: Data, notes: Notes) -> Iterator[str]:
    """What was read, as it would be read from JSONL."""
    for record in read(path, data).records:
        line = "".join(write([record], "jsonl", Target(data.task)))
        yield json.dumps(_noted(json.loads(line), notes[record.where], None), ensure_ascii=False) + "\n" if record.where in notes else line


def _described(note: Note) -> dict:
    return {"note": note.said} | ({"start": note.span.start, "end": note.span.end} if note.span else {})


_PLAIN = ".jsonl"
_BINARY = ("workbook", "parquet", "arrow")
_COPIES: dict[str, Callable[[Path, Data, Notes], Iterable[str | bytes]]] = {
    "table": _table,
    "conll": _conll,
    "conllu": _conllu,
    "workbook": _workbook,
    "parquet": _columnar,
    "arrow": _columnar,
    "prodigy": partial(_objects, inside="meta"),
    "label studio": partial(_objects, inside="data"),
} | dict.fromkeys(("jsonl", "json", "tokens", "doccano", "spacy"), _objects)
