"""Files -> records. One module a family of formats; all that varies between files of a format is guessed, said, and can be set.

`Record.where` is the file and the line ("reviews.csv:418"), or, where a format has no lines, the file and the number of the record or
the id of the question ("dev.json#56be4db0").
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.conll import looks_like_conll, read_conll
from headway.readers.files import Labels, check_file, encoding_of, first_bytes, head_of
from headway.readers.lines import looks_like_fasttext, looks_like_label_lines, read_fasttext, read_label_lines, read_text
from headway.readers.objects import parse_line, read_json, read_jsonl
from headway.readers.parquet import read_parquet
from headway.readers.rows import read_rows
from headway.readers.squad import read_squad
from headway.readers.survey import Row
from headway.readers.tables import looks_like_table, read_table
from headway.records import Record

Reader = Callable[[Path, Data, Labels], tuple[Data, Iterator[Record]]]

READERS: dict[str, Reader] = {
    "table": read_table,
    "jsonl": read_jsonl,
    "json": read_json,
    "squad": read_squad,
    "parquet": read_parquet,
    "conll": read_conll,
    "fasttext": read_fasttext,
    "label lines": read_label_lines,
    "text": read_text,
}

_NOTHING_SET = Data()

_TABLES = {".csv", ".tsv", ".tab", ".psv"}
_MOST_NAMED = 3  # columns; a line that names twenty is not read
_ZIP = b"PK\x03\x04"
_MEANING = ("task", "text", "text_pair", "question", "label", "kind", "label_separator")
_SAID = {"text": "text", "text_pair": "second text", "question": "question", "label": "label"}


class Reading(NamedTuple):
    """A file that is being read. What is wrong in it is raised by `records` when it is reached."""

    format: str  # a key of READERS
    guessed: str  # one line of what was decided: 'text = "review" · label = "sentiment"'
    data: Data  # the settings with everything decided: they read the same file in the same way
    records: Iterator[Record]  # one by one; only JSON documents are held in memory


def read(path: Path, data: Data = _NOTHING_SET, *, labels: Labels = "required") -> Reading:
    """The records of a file. What `data` sets is not guessed.

    With labels="optional" a file, or any record of it, may have no label: what is predicted needs none.

    Raises:
        DataError: the file cannot be read, or what is in it cannot be understood.
    """
    check_file(path)
    name = guess_format(path, data)
    decided, records = READERS[name](path, data, labels)
    return Reading(name, _describe(decided) or f"{name} layout", decided, _not_none(records, path.name))


def meaning(decided: Data, *, given: Data = _NOTHING_SET) -> Data:
    """What the settings of one file say about another: which columns, which labels; not how its bytes are laid out.

    `given` are the settings that a person made: they hold for every file.
    """
    return given.model_copy(update={setting: getattr(decided, setting) for setting in _MEANING})


def read_lines(stream: Iterable[str], name: str, data: Data = _NOTHING_SET) -> Iterator[Record]:
    """Records from lines as they come: JSON where a line begins with "{", else the line is a text. Labels are optional."""
    for number, line in enumerate(stream, 1):
        where = f"{name}:{number}"
        line = line.rstrip("\r\n")
        row = parse_line(line, where) if line.startswith("{") else Row(where, {"text": line})
        yield from read_rows(where, lambda row=row: iter([row]), data, "optional")[1]


def guess_format(path: Path, data: Data = _NOTHING_SET) -> str:
    """The key of READERS that fits the file, by what it begins with; its name only says whether it is a table."""
    start = first_bytes(path, 1 << 16)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(_ZIP):
        raise DataError(f"{path.name}: a workbook or an archive; save the sheet as CSV")
    head = head_of(path, encoding_of(path, data))
    first = next((line.lstrip() for line in head if line.strip()), "")
    table = path.suffix.casefold() in _TABLES
    if first.startswith(("{", "[")) and not table:
        return _guess_json(first, start)
    looks = {
        "conll": looks_like_conll(path, head),
        "table": table or data.delimiter is not None or looks_like_table(head),
        "fasttext": looks_like_fasttext(head),
        "label lines": looks_like_label_lines(head),
    }
    return next((name for name, fits in looks.items() if fits), "text")


def _guess_json(first: str, start: bytes) -> str:
    if first.startswith("{") and b'"paragraphs"' in start and b'"data"' in start:
        return "squad"
    try:
        item = json.loads(first)
    except json.JSONDecodeError:
        return "json" if first.rstrip() in ("{", "[") or first.startswith("[") else "jsonl"
    return "jsonl" if isinstance(item, dict) or (item and isinstance(item[0], str)) else "json"


def _describe(data: Data) -> str:
    said = [f"{noun} = {_brief(value)}" for setting, noun in _SAID.items() if (value := getattr(data, setting))]
    said += [f"{data.kind} labels"] if data.kind in ("multi", "number") else []
    said += [f"{data.scheme} tags"] if data.scheme else []
    said += ["no header"] if data.delimiter and not data.header else []
    return " · ".join(said)


def _brief(columns: str) -> str:
    count = columns.count("+") + 1
    return f'"{columns}"' if count <= _MOST_NAMED else f"{count} columns"


def _not_none(records: Iterator[Record], name: str) -> Iterator[Record]:
    for record in records:
        return chain([record], records)
    raise DataError(f"{name}: no records in it")
