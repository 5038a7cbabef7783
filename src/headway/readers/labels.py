"""Labels of classification: which kind a column holds, and what one cell says."""

from typing import Any, Literal, NamedTuple

from headway.errors import DataError
from headway.readers.numbers import is_number, to_number
from headway.readers.survey import Column
from headway.records import Label

_SEPARATORS = ("|", ";", ",")
_MOST_NUMBERED_CLASSES = 100  # whole numbers beyond that many are amounts, not classes


class Kind(NamedTuple):
    name: Literal["single", "multi", "number"]
    separator: str | None = None  # of several labels in one cell


def guess_kind(column: Column, *, rows: int, separator: str | None) -> Kind:
    """What the cells of a label column are; a `separator` that is given says that they hold several labels."""
    if column.most_items:
        return Kind("multi" if column.most_items > 1 else "single")
    if separator is not None:
        return Kind("multi", separator)
    if column.is_number:
        return Kind("number" if _are_amounts(column.cells, rows) else "single")
    found = guess_separator(column)
    return Kind("multi", found) if found else Kind("single")


def guess_separator(column: Column) -> str | None:
    """What parts the labels of one cell, if the parts are labels of other cells too: "a, b" alone is one label with a comma."""
    return next((mark for mark in _SEPARATORS if _parts_recur(column.cells, mark)), None)


def read_label(value: Any, kind: Kind, where: str) -> Label | None:
    """The label of a cell; None where it is empty, () where it is an empty list of several."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, dict):
        raise DataError(f"{where}: the label is an object; expected a text, a number or a list of them")
    return _READ[kind.name](value, kind, where)


def _read_single(value: Any, kind: Kind, where: str) -> str | None:
    if not isinstance(value, list):
        return _word(value)
    if len(value) > 1:
        raise DataError(f"{where}: {len(value)} labels where one is expected; add --set data.kind=multi")
    return _word(value[0]) if value else None


def _read_multi(value: Any, kind: Kind, where: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else _word(value).split(kind.separator) if kind.separator else [value]
    if len(set(map(str, items))) < len(items) and all(isinstance(item, bool | int | float) for item in items):
        remedy = "if it says yes or no of each class in turn, write the names of those that hold, or a column for each class"
        raise DataError(f"{where}: the labels {value} name one number twice; {remedy}")
    return tuple(dict.fromkeys(filter(None, map(_word, items))))  # a label that is said twice is one label


def _read_number(value: Any, kind: Kind, where: str) -> float:
    cell = _word(value)
    if not is_number(cell):
        raise DataError(f'{where}: "{cell}" is not a number; mend it, or read the labels as classes: add --set data.kind=single')
    return to_number(cell)


_READ = {"single": _read_single, "multi": _read_multi, "number": _read_number}


def _word(value: Any) -> str:
    """White space around a label is noise that nobody means; JSON's true is a class as JSON writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _are_amounts(cells: set[str], rows: int) -> bool:
    """Fractions, or more different whole numbers than there would be classes."""
    return any(not to_number(cell).is_integer() for cell in cells) or len(cells) > max(_MOST_NUMBERED_CLASSES, rows / 10)


def _parts_recur(cells: set[str], separator: str) -> bool:
    """Whether most parts of the cells with a separator occur in other cells too."""
    seen: dict[str, int] = {}
    joined: set[str] = set()
    for cell in cells:
        parts = {part.strip() for part in cell.split(separator)}
        for part in parts:
            seen[part] = seen.get(part, 0) + 1
        if separator in cell:
            joined |= parts
    return bool(joined) and "" not in joined and sum(seen[part] > 1 for part in joined) > len(joined) / 2
