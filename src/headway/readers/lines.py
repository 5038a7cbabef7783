"""One text a line: alone, after a label (TREC), or after fastText's __label__ marks."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, Opened, encoding_of, lines_of
from headway.readers.rows import read_rows
from headway.readers.survey import Row
from headway.readers.writing import Target
from headway.records import Record

_MARK = "__label__"
_LABEL = re.compile(r"[A-Z][A-Z0-9_]*(:\S+)? ")  # capitals, for else every sentence begins with its label


def looks_like_fasttext(head: Sequence[str]) -> bool:
    return sum(line.startswith(_MARK) for line in head) > len(head) / 2


def looks_like_label_lines(head: Sequence[str]) -> bool:
    """Whether every line begins with a word in capitals, and the same few words begin them all."""
    labels = {match[0] for line in head if (match := _LABEL.match(line))}
    return all(map(_LABEL.match, head)) and len(labels) <= max(2, len(head) / 2)


def read_fasttext(path: Path, data: Data, labels: Labels) -> Opened:
    return _read(path, data, labels, cells=_fasttext_cells)


def read_label_lines(path: Path, data: Data, labels: Labels) -> Opened:
    """The label ends at the first space. data.label=coarse takes what stands before its colon, data.label=fine what stands after."""
    return _read(path, data, labels, cells=_label_cells)


def read_text(path: Path, data: Data, labels: Labels) -> Opened:
    """Every line a text, empty ones too, so that line n of what is predicted answers line n of the file."""
    if labels == "required":
        raise DataError(f"{path.name}: lines of text without labels; expected a table, JSON, CoNLL columns or __label__ lines")
    return _read(path, data, labels, cells=lambda line, where: {"text": line})


def write_fasttext(records: Iterable[Record], target: Target) -> Iterator[str]:
    """__label__ marks and the text, on one line."""
    for record in records:
        labels = [record.label] if isinstance(record.label, str) else record.label or ()
        target.lost["records without a class that holds, now lines without a mark"] += not labels
        marks = [_MARK + re.sub(r"\s", "_", label) for label in labels]
        target.lost["white space in labels, now _"] += sum(re.search(r"\s", label) is not None for label in labels)
        text = record.text.replace("\r", " ").replace("\n", " ")
        target.lost["line breaks in texts, now spaces"] += text != record.text
        yield " ".join([*marks, text]) + "\n"


def _read(path: Path, data: Data, labels: Labels, *, cells: Callable[[str, str], dict[str, Any]]) -> Opened:
    """The lines as rows; names that columns have in files of another format do not count here."""
    encoding = encoding_of(path, data)
    label = data.label if data.label in ("coarse", "fine") else None
    here = data.model_copy(update={"text": None, "text_pair": None, "label": label, "id": None, "group": None, "encoding": encoding})
    opened = read_rows(path.name, partial(_rows, path, encoding, cells), here, labels)
    return opened._replace(unread=None)  # coarse and fine are parts of the one label


def _rows(path: Path, encoding: str, cells: Callable[[str, str], dict[str, Any]]) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path, encoding), 1):
        where = f"{path.name}:{number}"
        yield Row(where, cells(line.rstrip("\r\n"), where))


def _fasttext_cells(line: str, where: str) -> dict[str, Any]:
    """The marks that begin a line are its labels; one further on belongs to the text."""
    labels, rest = [], line
    while rest.startswith(_MARK):
        label, _, rest = rest.partition(" ")
        labels.append(label.removeprefix(_MARK))
        rest = rest.lstrip(" ")
    return {"text": rest, "label": labels}


def _label_cells(line: str, where: str) -> dict[str, Any]:
    label, space, text = line.partition(" ")
    if not space:
        raise DataError(f'{where}: "{line}" is a label without a text')
    coarse, _, fine = label.partition(":")
    return {"text": text, "label": label, "coarse": coarse, "fine": fine or None}
