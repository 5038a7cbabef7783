"""Cells under no name of a header: where a text runs on into them, its end is in no record."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from headway.audit import Example, Finding
from headway.audit.findings import share
from headway.config import Data
from headway.events import Worked, Working
from headway.readers.files import Unread
from headway.records import Record

UNNAMED = "unnamed_columns"  # no key of CHECKS: those see records, and this is in none
MOST_ROWS = 0.5  # of a file: a column that is filled in more of them is an index, or one that somebody has forgotten to name
STRIDE = 10_000  # rows between two words of progress, and between two looks for such columns
SHOWN = 5  # examples
LETTERS = 80  # of each side that are shown

Cells = dict[str, list[str]]  # where a row stands -> what it has under no name


def audit_unnamed(path: Path, data: Data, unread: Unread, records: Iterable[Record]) -> Working[list[Finding]]:
    """What there is to say of a file, by what stands in it beside its records, which are asked for their texts."""
    unnamed = [name for name in unread.names if name.isdecimal()] if data.delimiter and data.header and unread.cells else []
    of_column: dict[str, dict[str, str]] = {name: {} for name in unnamed}
    rows = 0
    for rows, (where, cells) in enumerate(unread.cells() if unnamed else (), 1):
        for name in of_column.keys() & cells.keys():
            if cells[name].strip():
                of_column[name][where] = cells[name]
        if rows % STRIDE == 0:
            of_column = _seldom(of_column, rows)
            yield Worked(UNNAMED.replace("_", " "), rows)
    of_column = {name: cells for name, cells in _seldom(of_column, rows).items() if cells}
    behind: Cells = defaultdict(list)
    for cells in of_column.values():
        for where, cell in cells.items():
            behind[where].append(cell)
    return [_finding(path, data, list(of_column), behind, _texts(behind, records), rows=rows)] if behind else []


def _seldom(of_column: dict[str, dict[str, str]], rows: int) -> dict[str, dict[str, str]]:
    return {name: cells for name, cells in of_column.items() if len(cells) < MOST_ROWS * rows}


def _texts(behind: Cells, records: Iterable[Record]) -> dict[str, str]:
    """Of the first few, where they stand and what is in the record."""
    return dict(islice(((record.where, record.text) for record in records if record.where in behind), SHOWN))


def _finding(path: Path, data: Data, columns: list[str], behind: Cells, texts: dict[str, str], *, rows: int) -> Finding:
    return Finding(
        UNNAMED,
        "warning",
        len(behind),
        f"{share(len(behind), rows)} rows of {path.name} run on into columns that the header does not name: {', '.join(columns)}",
        why="where a text holds the delimiter and no quotes are around it, its end is in no record: neither learned from nor answered",
        remedy=f'put double quotes around texts that hold "{data.delimiter}", or name the columns',
        examples=tuple(Example(where, f"…{text[-LETTERS:]}", " | ".join(behind[where])[:LETTERS]) for where, text in texts.items()),
    )
