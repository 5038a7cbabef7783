"""Lists and objects inside the cells of a table: spans, answers and sets of labels, as JSON or as Python writes them."""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from headway.errors import DataError

_OBJECTS = re.compile(
    r"""\[\]$|\[\s*\{\s*["'](start|end|text|label|labels)["']\s*:|\{\s*["'](choices|answer_start|text)["']\s*:\s*\[""",
)
_ITEM = r"""(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[-+]?\d[\d.]*+(?:e[-+]?\d++)?)"""
_ITEMS = re.compile(_ITEM)
_LIST = re.compile(rf"\[\s*+{_ITEM}(?:(?:\s*+,\s*+|\s++){_ITEM})*+\s*+,?\s*+\]")  # numpy parts them by spaces alone
_LONGEST_LITERAL = 2**20  # characters; Python's parser takes far more memory than JSON's


def structured_columns(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> list[str]:
    """The columns in most of whose cells a list or an object is written out, as annotation tools and pandas do it."""
    columns = {name: [row[position] for row in rows if position < len(row) and row[position] != ""] for position, name in enumerate(names)}
    return [name for name, cells in columns.items() if sum(map(_is_structured, cells)) > len(cells) / 2]


def parsed(cells: dict[str, Any], structured: Sequence[str], where: str) -> dict[str, Any]:
    """The cells of a row, with what those in `structured` columns say.

    Raises:
        DataError: one begins as a list or an object does, and is none.
    """
    for name in structured:
        cells[name] = None if cells[name] == "" else cells[name]  # nobody has said anything, which is not to say that there is nothing
        if isinstance(cells[name], str) and cells[name].lstrip().startswith(("[", "{")):
            value = _value(cells[name].strip(), name, where)
            cells[name] = value["choices"] if isinstance(value, dict) and "choices" in value else value
    return cells


def _is_structured(cell: Any) -> bool:
    return isinstance(cell, str) and (_OBJECTS.match(cell) or _LIST.fullmatch(cell.strip())) is not None


def _value(cell: str, name: str, where: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        if len(cell) <= _LONGEST_LITERAL and _LIST.fullmatch(cell):
            return [ast.literal_eval(item) for item in _ITEMS.findall(cell)]  # one by one: Python makes 'a' 'b' one text
        if len(cell) <= _LONGEST_LITERAL and _OBJECTS.match(cell):
            return ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    raise DataError(f"{where}: {name} begins as a list or an object, and is none: {cell[:40]}")
