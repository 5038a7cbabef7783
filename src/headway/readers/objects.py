"""JSON: one object a line (JSONL), or one document that holds a list of objects."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, encoding_of, lines_of
from headway.readers.rows import read_rows
from headway.readers.survey import Row
from headway.records import Record


def read_jsonl(path: Path, data: Data, labels: Labels) -> tuple[Data, Iterator[Record]]:
    """Each line an object, or a text and an object: ["...", {"entities": [...]}]. Empty lines are nothing."""
    data = data.model_copy(update={"encoding": encoding_of(path, data)})
    return read_rows(path.name, partial(_line_rows, path, data.encoding), data, labels)


def read_json(path: Path, data: Data, labels: Labels) -> tuple[Data, Iterator[Record]]:
    """A list of objects, or an object whose "data" is one. The whole document is held in memory."""
    data = data.model_copy(update={"encoding": encoding_of(path, data)})
    document = load_document(path, data.encoding)
    items = document.get("data") if isinstance(document, dict) else document
    if not isinstance(items, list):
        raise DataError(f'{path.name}: expected a list of objects: [{{"text": "...", "label": "..."}}, ...]')
    return read_rows(path.name, partial(_item_rows, path.name, items), data, labels)


def load_document(path: Path, encoding: str) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it is not JSON; says in which line.
    """
    try:
        return json.loads("".join(lines_of(path, encoding)))
    except json.JSONDecodeError as error:
        raise DataError(f"{path.name}:{error.lineno}: {not_json(error)}") from None


def parse_line(line: str, where: str) -> Row:
    try:
        return Row(where, _cells(json.loads(line), where))
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: {not_json(error)}") from None


def not_json(error: json.JSONDecodeError) -> str:
    return f"not JSON: {error.msg[0].lower()}{error.msg[1:]} at column {error.colno}"


def _line_rows(path: Path, encoding: str) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path, encoding), 1):
        if line.strip():
            yield parse_line(line, f"{path.name}:{number}")


def _item_rows(name: str, items: list[Any]) -> Iterator[Row]:
    for number, item in enumerate(items, 1):
        yield Row(f"{name}#{number}", _cells(item, f"{name}#{number}"))


def _cells(item: Any, where: str) -> dict[str, Any]:
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
        return {"text": item[0], **item[1]}
    if not isinstance(item, dict):
        raise DataError(f'{where}: expected an object: {{"text": "...", "label": "..."}}')
    return item
