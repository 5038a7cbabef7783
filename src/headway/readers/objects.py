"""JSON: one object a line (JSONL), or one document that holds a list of objects. Neither is ever in memory as a whole."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, Opened, encoding_of, lines_of, pieces_of
from headway.readers.rows import cells_of, read_rows
from headway.readers.survey import Row, row_at
from headway.readers.words import tag_words
from headway.readers.writing import Target, separated
from headway.records import Record

_DECODER = json.JSONDecoder()
_FEED = "\n"
_AT_ONCE = 2**16  # characters that a document is read ahead
_LONGEST_ITEM = 2**24  # characters; as Python objects it can take fifty times as much memory
_BLANK = re.compile(r"[ \t\r\n]*")
_BEGINS_WITH_DATA = re.compile(r'\{\s*("version"\s*:\s*"[^"]*"\s*,\s*)?"data"\s*:\s*\[')


class Item(NamedTuple):
    """One item of the list that a JSON document is, or holds."""

    where: str  # "export.json:418#12": the line in which it begins, and which item it is
    value: Any


Cells = Callable[[Any, str], dict[str, Any]]  # an item and where it is -> named cells


def read_jsonl(path: Path, data: Data, labels: Labels) -> Opened:
    """Each line an object, or a text and an object: ["...", {"entities": [...]}]. Empty lines are nothing."""
    data = data.model_copy(update={"encoding": encoding_of(path, data)})
    return read_rows(path.name, partial(rows_of, path, data.encoding), data, labels)


def read_json(path: Path, data: Data, labels: Labels) -> Opened:
    """A list of objects, or an object whose "data" is one."""
    data = data.model_copy(update={"encoding": encoding_of(path, data)})
    return read_rows(path.name, partial(rows_of, path, data.encoding), data, labels)


def write_jsonl(records: Iterable[Record], target: Target) -> Iterator[str]:
    """An object a line, without the keys that have no value."""
    return (f"{line}\n" for line in _objects(records, target))


def write_json(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A list of objects."""
    return separated(_objects(records, target), "[\n", ",\n", "\n]\n")


def _objects(records: Iterable[Record], target: Target) -> Iterator[str]:
    for cells in cells_of(records, target)[1]:
        yield json.dumps({name: value for name, value in cells.items() if value is not None}, ensure_ascii=False)


def write_tokens(records: Iterable[Record], target: Target) -> Iterator[str]:
    """An object a line with tokens and their tags, as data sets on the hub have them."""
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in token_rows(records, target))


def token_rows(records: Iterable[Record], target: Target) -> Iterator[dict[str, Any]]:
    """Records as words and tags; null tags where nobody has labelled one."""
    text, label = (target.data.text or "tokens", target.data.label or "ner_tags") if target.data.scheme else ("tokens", "ner_tags")
    for record in records:
        known = replace(record, entities=record.entities or ())
        words = tag_words(known, scheme=target.data.scheme or "IOB2", lost=target.lost)
        tokens = [record.text[word.start : word.end] for word in words]
        target.lost["white space between words, now one space"] += " ".join(tokens) != record.text
        given = {name: value for name, value in (("id", record.id), ("group", record.group)) if value}
        yield given | {text: tokens, label: None if record.entities is None else [word.tag for word in words]}


def items_of(path: Path, encoding: str) -> Iterator[Item]:
    """The objects of a JSON or JSONL file, one by one.

    Raises:
        DataError: something in it is not JSON; says in which line.
    """
    return _document_items(path, encoding) if is_document(path, encoding) else _line_items(path, encoding)


def rows_of(path: Path, encoding: str, cells: Cells | None = None) -> Iterator[Row]:
    """The objects as rows; `cells` makes the cells where an object has others than its own keys."""
    named = cells or _cells
    if is_document(path, encoding):
        for where, value in _document_items(path, encoding):
            yield row_at(where, partial(named, value, where))
    else:
        for where, line in _lines(path, encoding):
            yield row_at(where, lambda where=where, line=line: named(_parse(line, where), where))


def is_document(path: Path, encoding: str) -> bool:
    """Whether the file is one JSON document, and not one object a line, as far as its beginning shows."""
    start = next(pieces_of(path, encoding)).lstrip()
    if start.startswith("["):
        return not start[1:].lstrip().startswith('"')  # ["text", {...}] is a line
    try:
        value, _ = _DECODER.raw_decode(start)
    except (ValueError, RecursionError):
        first, ended, _ = start.partition("\n")
        return _BEGINS_WITH_DATA.match(start) is not None or (bool(ended) and first.rstrip().endswith(("{", "[", ",", ":")))
    return isinstance(value, dict) and isinstance(value.get("data"), list)


def whole_items(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    """Where each object is, and the object as it stands: for who writes it again."""
    return ((row.where, row.cells) for row in rows_of(path, encoding, lambda item, where: item))


def parse_line(line: str, where: str) -> Row:
    return Row(where, _cells(_parse(line, where), where))


def _parse(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: {_not_json(error)} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {_unreadable(error)}") from None


def _not_json(error: json.JSONDecodeError) -> str:
    message = error.msg.removesuffix(" at")  # which a place is to follow
    return f"not JSON: {message[0].lower()}{message[1:]}"


def _unreadable(error: ValueError | RecursionError) -> str:
    return "JSON that is nested too deeply" if isinstance(error, RecursionError) else "a number with thousands of digits"


def _line_items(path: Path, encoding: str) -> Iterator[Item]:
    for where, line in _lines(path, encoding):
        yield Item(where, _parse(line, where))


def _lines(path: Path, encoding: str) -> Iterator[tuple[str, str]]:
    """The lines in which something stands, each with where it is."""
    for number, line in enumerate(lines_of(path, encoding), 1):
        if line.strip():
            yield f"{path.name}:{number}", line


def _document_items(path: Path, encoding: str) -> Iterator[Item]:
    """The items of a list, or of the list under "data" in an object."""
    source = _Source(path, encoding)
    opened = source.take("[{")
    if opened == "[":
        yield from _list_items(source)
    found = opened == "["
    while opened == "{" and source.peek() != "}":
        key = source.value()
        source.take(":")
        if key == "data" and source.peek() == "[":
            found = True
            source.take("[")
            yield from _list_items(source)
        else:
            source.value()
        if source.peek() != "}":
            source.take(",")
    if not found:
        raise DataError(f'{path.name}: expected a list of objects: [{{"text": "...", "label": "..."}}, ...]')
    if opened == "{":
        source.take("}")
    if source.peek():
        source.take("")


def _list_items(source: "_Source") -> Iterator[Item]:
    number = 0
    while source.peek() != "]":
        number += 1
        yield Item(f"{source.where()}#{number}", source.value())
        if source.peek() != "]":
            source.take(",")
    source.take("]")


class _Source:
    """The text of a JSON document as it is needed: what has been used of it is forgotten."""

    def __init__(self, path: Path, encoding: str):
        self.name = path.name
        self.pieces = pieces_of(path, encoding)
        self.text, self.at = "", 0
        self.line, self.column = 1, 0  # where `text` begins

    def where(self) -> str:
        return f"{self.name}:{self.line + self.text.count(_FEED, 0, self.at)}"

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            self.at = _BLANK.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def take(self, allowed: str) -> str:
        """The next character, which must be one of `allowed`."""
        found = self.peek()
        if not found or found not in allowed:
            expected = " or ".join(allowed) or "nothing more"
            raise DataError(f"{self._place(self.at)}: not JSON: expected {expected}, found {found or 'the end of the file'}")
        self.at += 1
        return found

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                place = f"{self._place(error.pos)}: {_not_json(error)} at column {self._column(error.pos)}"
                if not self._more():
                    raise DataError(place) from None
            except (ValueError, RecursionError) as error:
                raise DataError(f"{self.where()}: {_unreadable(error)}") from None
            else:
                if end < len(self.text) or not self._more():  # a number may go on
                    self.at = end
                    return value

    def _more(self) -> bool:
        """Read on, twice as far each time, so that a long value is not parsed too often."""
        if len(self.text) - self.at > _LONGEST_ITEM:
            raise DataError(
                f"{self.where()}: not JSON, or an item of more than {_LONGEST_ITEM >> 20} million characters; cut it into several"
            )
        self._forget()
        wanted = max(_AT_ONCE, len(self.text) - self.at)
        read: list[str] = []
        while wanted > 0 and (piece := next(self.pieces, None)) is not None:
            read.append(piece)
            wanted -= len(piece)
        self.text += "".join(read)
        return any(read)

    def _forget(self) -> None:
        used = self.text[: self.at]
        self.line += used.count(_FEED)
        self.column = len(used) - used.rfind(_FEED) - 1 if _FEED in used else self.column + len(used)
        self.text, self.at = self.text[self.at :], 0

    def _place(self, position: int) -> str:
        return f"{self.name}:{self.line + self.text.count(_FEED, 0, position)}"

    def _column(self, position: int) -> int:
        before = self.text.rfind(_FEED, 0, position)
        return position - before if before >= 0 else self.column + position + 1


def _cells(item: Any, where: str) -> dict[str, Any]:
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
        return {"text": item[0], **item[1]}
    if not isinstance(item, dict):
        raise DataError(f'{where}: expected an object: {{"text": "...", "label": "..."}}')
    choices = [name for name, value in item.items() if isinstance(value, dict) and value.keys() == {"choices"}]
    return item | {name: item[name]["choices"] for name in choices}  # as Label Studio writes several
