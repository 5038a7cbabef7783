"""What one pass over a file of rows sees of its columns: all that guesses are made from, in memory that does not grow with the file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headway.errors import DataError
from headway.readers.numbers import is_number

_LONGEST_LABEL = 200  # characters; longer cells are counted and forgotten
_MOST_DISTINCT = 5000
MOST_COLUMNS = 5000


class Row(NamedTuple):
    where: str  # "reviews.csv:418"
    cells: dict[str, Any]
    fault: str = ""  # why there are no cells; the rows behind it can be read all the same


def row_at(where: str, cells: Callable[[], dict[str, Any]]) -> Row:
    """The row with these cells, or without any where they cannot be read."""
    try:
        return Row(where, cells())
    except DataError as error:
        return Row(where, {}, str(error))


Rows = Callable[[], Iterator[Row]]  # called anew for every pass over the file


@dataclass
class Column:
    """What the filled cells of one column have been; None and "" are not filled."""

    filled: int = 0
    characters: int = 0
    words: int = 0
    longest: int = 0  # characters of one cell
    shapes: set[str] = field(default_factory=set)  # as `shape_of` names them
    most_items: int = 0  # in one cell, where cells are lists
    cells: set[str] = field(default_factory=set)  # the distinct short cells, as far as they are remembered

    def see(self, value: Any) -> None:
        shape = shape_of(value)
        if shape == "empty":
            return
        self.filled += 1
        self.shapes.add(shape)
        if isinstance(value, list):
            self.most_items = max(self.most_items, len(value))
            return
        cell = str(value)
        self.characters += len(cell)
        self.words += len(cell.split())
        self.longest = max(self.longest, len(cell))
        if len(cell) <= _LONGEST_LABEL and len(self.cells) < _MOST_DISTINCT:
            self.cells.add(cell.strip())

    @property
    def is_text(self) -> bool:
        return self.shapes == {"text"} and not self.is_number

    @property
    def is_number(self) -> bool:
        return bool(self.cells) and self.longest <= _LONGEST_LABEL and all(map(is_number, self.cells))

    @property
    def words_per_cell(self) -> float:
        return self.words / max(1, self.filled)


@dataclass
class Survey:
    file: str
    rows: int
    columns: dict[str, Column]  # in the order in which the file names them
    named: bool  # whether the file names them at all
    fault: str = ""  # of the first row that cannot be read

    @property
    def names(self) -> list[str]:
        return list(self.columns)


def survey(rows: Iterable[Row], *, file: str, named: bool) -> Survey:
    """All columns of all rows that can be read; a column that some rows lack counts as empty there."""
    columns: dict[str, Column] = {}
    count = 0
    fault = ""
    try:
        for row in rows:
            fault = fault or row.fault
            count += not row.fault
            for name, value in row.cells.items():
                columns.setdefault(name, Column()).see(value)
            if len(columns) > MOST_COLUMNS:
                raise DataError(f"{row.where}: more than {MOST_COLUMNS:,} different columns up to here; are names and values mixed up?")
    except DataError:
        if fault:  # the first is told
            raise DataError(fault) from None
        raise
    return Survey(file, count, columns, named, fault)


def shape_of(value: Any) -> str:
    """One of: empty, flag, number, text, object, list (an empty one), texts, numbers, spans (dicts or triples)."""
    if value is None or value == "":
        return "empty"
    if not isinstance(value, list):
        return _SHAPES.get(type(value), "text")
    return _ITEMS.get(type(value[0]), "spans") if value else "list"


_SHAPES = {bool: "flag", int: "number", float: "number", dict: "object"}
_ITEMS = {str: "texts", int: "numbers", float: "numbers", bool: "numbers"}
