"""Cells under no name of a header: where a text runs on into them, its end is in no record."""

import csv
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from headway.audit import Example, Finding
from headway.audit.findings import share
from headway.config import Data
from headway.events import Worked, Working
from headway.readers import read
from headway.readers.files import lines_of

UNNAMED = "unnamed_columns"  # no key of CHECKS: those see records, and this is in none
MOST_ROWS = 0.5  # of a file: a column that is filled in more of them is an index, or one that somebody has forgotten to name
FIRST_ROWS = 1000  # after which that is clear
SHOWN = 5  # examples
STRIDE = 10_000  # rows between two words of progress
LETTERS = 80  # of each side that are shown

Cells = dict[str, tuple[str, list[str]]]  # where a row stands -> its text, and what stands behind


def audit_unnamed(files: Mapping[Path, Data]) -> Working[list[Finding]]:
    """What there is to say of each file, which was read with these settings (everything decided)."""
    found: list[Finding] = []
    for path, data in files.items():
        rows, columns, cells = 0, [], Cells()
        for column in _unnamed(path, data):
            rows, filled = yield from _filled(path, data, column)
            columns += [column] if filled else []
            for where, (text, cell) in filled.items():
                cells.setdefault(where, (text, []))[1].append(cell)
        found += _finding(path, data, columns, cells, rows=rows)
    return found


def _unnamed(path: Path, data: Data) -> list[str]:
    """The columns of a table that its header does not name and nobody has chosen, by their numbers."""
    if not (data.delimiter and data.header):
        return []
    quoting = csv.QUOTE_MINIMAL if data.quoting else csv.QUOTE_NONE
    header = next((cells for cells in csv.reader(lines_of(path, data.encoding), delimiter=data.delimiter, quoting=quoting) if cells), [])
    meant = (data.text, data.text_pair, data.question, data.label, data.id, data.group)
    chosen = {part for name in meant for part in (name or "").split("+")}
    return [str(number) for number, name in enumerate(header, 1) if not name.strip() and str(number) not in chosen]


def _filled(path: Path, data: Data, column: str) -> Working[tuple[int, dict[str, tuple[str, str]]]]:
    """How many rows there are, and of the few that have something in the column, where they stand, their text and the cell."""
    rows, filled = 0, {}
    by_column = data.model_copy(update={"group": column})  # a record then carries the cell in the place of its group
    for record in read(path, by_column, labels="optional", faults=[]).records:
        rows += 1
        if rows % STRIDE == 0:
            yield Worked(UNNAMED.replace("_", " "), rows)
        if record.group.strip():
            filled[record.where] = record.text, record.group
        if rows > FIRST_ROWS and len(filled) > MOST_ROWS * rows:
            break
    return rows, filled if len(filled) < MOST_ROWS * rows else {}


def _finding(path: Path, data: Data, columns: Sequence[str], cells: Cells, *, rows: int) -> list[Finding]:
    if not cells:
        return []
    shown = islice(cells.items(), SHOWN)
    return [
        Finding(
            UNNAMED,
            "warning",
            len(cells),
            f"{share(len(cells), rows)} rows of {path.name} run on into columns that the header does not name: {', '.join(columns)}",
            why="where a text holds the delimiter and no quotes are around it, its end is in no record: neither learned from nor answered",
            remedy=f'put double quotes around texts that hold "{data.delimiter}", or name the columns',
            examples=tuple(Example(where, f"…{text[-LETTERS:]}", " | ".join(behind)[:LETTERS]) for where, (text, behind) in shown),
        )
    ]
