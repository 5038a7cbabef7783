"""A copy of a file with one column more, for what somebody should look at; the file itself is never written to."""

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import OutputError
from headway.jobs.answers import answer
from headway.readers import read
from headway.readers.files import first_bytes, lines_of
from headway.records import Prediction, Span

COLUMN = "review"
NOTHING = "-"  # of a token that nobody has to look at: an empty cell would move the columns behind it


class Note(NamedTuple):
    """What is to be looked at in a record; in which span of its text, where that is a part, and in which of its words."""

    said: str
    span: Span | None = None
    words: range = range(0)


Notes = Mapping[str, list[Note]]  # by Record.where


def write_review(path: Path, data: Data, notes: Notes, out: Path, *, format: str) -> None:
    """Copy `path`, which was read with `data` (everything decided) as `format`, to `out`.

    Tables, JSONL and CoNLL columns keep their form and every byte that is theirs: a last cell in tables, a key in JSONL, in CoNLL a
    column before the tag, which stays the last. Of other formats the copy is JSONL.

    Raises:
        OutputError: `out` exists, cannot be written, or would need a form that has no columns.
    """
    check_place(out, format=format)
    rows = _COPIES.get(format, _records)(path, data, notes)
    marked = format in _COPIES and first_bytes(path, 3) == codecs.BOM_UTF8
    encoding = "utf-8-sig" if marked else data.encoding if format in _COPIES else "utf-8"
    beside = out.with_name(f"{out.name}.unfinished")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding=encoding, errors="backslashreplace", newline="") as file:
            file.writelines(rows)
        beside.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}") from None


def check_place(out: Path, *, format: str) -> None:
    """Raise OutputError where no copy of a file of that format can be put."""
    if out.exists():
        raise OutputError(f"{out}: exists; choose another --fix")
    if format not in _COPIES and out.suffix.casefold() != ".jsonl":
        raise OutputError(f"{out}: {format} has no room for a column, the copy is JSONL: call it {out.with_suffix('.jsonl').name}")


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


def _jsonl(path: Path, data: Data, notes: Notes) -> Iterator[str]:
    for number, line in enumerate(lines_of(path, data.encoding), 1):
        said = [note.said for note in notes.get(f"{path.name}:{number}", ())]
        if not said:
            yield line
            continue
        item = json.loads(line)
        cells = item[1] if isinstance(item, list) else item
        cells[_free_name(list(cells))] = "; ".join(said)
        yield json.dumps(item, ensure_ascii=False) + "\n"


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


def _records(path: Path, data: Data, notes: Notes) -> Iterator[str]:
    for record in read(path, data).records:
        row = answer(record, Prediction(), gold=True)
        said = [_described(note) for note in notes.get(record.where, ())]
        yield json.dumps(row | ({COLUMN: said} if said else {}), ensure_ascii=False) + "\n"


def _described(note: Note) -> dict:
    return {"note": note.said} | ({"start": note.span.start, "end": note.span.end} if note.span else {})


_COPIES: dict[str, Callable[[Path, Data, Notes], Iterator[str]]] = {"table": _table, "jsonl": _jsonl, "conll": _conll}
