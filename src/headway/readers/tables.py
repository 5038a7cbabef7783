"""Tables of text: commas, semicolons, tabs or bars between cells, with and without quotes, with and without a header."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.cells import parsed, structured_columns
from headway.readers.columns import is_known_name
from headway.readers.files import Labels, Opened, encoding_of, few, lines_of
from headway.readers.numbers import is_number
from headway.readers.rows import cells_of, read_rows
from headway.readers.survey import MOST_COLUMNS, Row, row_at
from headway.readers.writing import UNHOLDABLE, Target
from headway.records import Record

_DELIMITERS = {".tsv": "\t,;|", ".tab": "\t,;|", ".psv": "|,;\t"}  # what is tried, the likeliest first
_PLAIN = "; where quotes are part of the text, add --set data.quoting=false"
_LONGEST_CELL = 2**24  # characters; the csv module's own limit is less than a long document


class Line(NamedTuple):
    number: int  # where the row begins
    cells: list[str]
    fault: str = ""  # why there are no cells


class Dialect(NamedTuple):
    delimiter: str
    quoting: bool


def looks_like_table(head: Sequence[str]) -> bool:
    """Whether nearly all lines have the same tabs; for files whose name does not say that they are tables."""
    counts = Counter(line.count("\t") for line in head)
    tabs, lines = counts.most_common(1)[0]
    return tabs > 0 and lines > 0.9 * len(head)


def read_table(path: Path, data: Data, labels: Labels) -> Opened:
    """Rows as records. Columns without a header are called 1, 2, 3 ...; a number also names a column that has a name."""
    encoding = encoding_of(path, data)
    dialect = _guess_dialect(path, encoding, data)
    sample = sample_of(_lines(path, encoding, dialect))
    if not sample:
        raise DataError(f"{path.name}: no rows in it")
    header = data.header if data.header is not None else has_header([line.cells for line in sample])
    names = column_names(sample[0], path.name, header)
    update = {"encoding": encoding, "header": header, "delimiter": dialect.delimiter, "quoting": dialect.quoting}
    data = data.model_copy(update=update | by_position(data, names))
    structured = structured_columns([line.cells for line in sample[int(header) :]], names)
    return read_rows(path.name, partial(_rows, path, encoding, dialect, names, structured, header=header), data, labels, named=header)


def sample_of(lines: Iterator[Line]) -> list[Line]:
    """The first rows, up to the first that is broken: that one is for the pass that reads, which tells the first of all faults.

    Raises:
        DataError: it is the very first, so that nothing is known of the columns.
    """
    sample: list[Line] = []
    try:
        for line in few(lines, size=lambda line: sum(map(len, map(str, line.cells)))):
            if line.fault:
                raise DataError(line.fault)
            sample.append(line)
    except DataError:
        if not sample:
            raise
    return sample


def _rows(path: Path, encoding: str, dialect: Dialect, names: list[str], structured: Sequence[str], *, header: bool) -> Iterator[Row]:
    for number, cells, fault in islice(_lines(path, encoding, dialect), int(header), None):
        where = f"{path.name}:{number}"
        if fault:
            yield Row(where, {}, fault)
        elif len(cells) == len(names):
            yield row_at(where, partial(parsed, dict(zip(names, cells, strict=True)), structured, where))
        else:
            yield Row(where, {}, f"{where}: {_ragged(cells, names, dialect, header)}")


def write_csv(records: Iterable[Record], target: Target) -> Iterator[str]:
    return _write(records, target, target.data.delimiter or ",")


def write_tsv(records: Iterable[Record], target: Target) -> Iterator[str]:
    return _write(records, target, target.data.delimiter or "\t")


def _write(records: Iterable[Record], target: Target, delimiter: str) -> Iterator[str]:
    """A header and a row a record, quoted where it must be; spans and answers as JSON, several labels parted as they were, or by a bar."""
    written = io.StringIO(newline="")
    plain = csv.writer(written, delimiter=delimiter, lineterminator="\n")
    quoted = csv.writer(written, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    names, rows = cells_of(records, target)
    flat = partial(_flat, separator=target.data.label_separator or "|", lost=target.lost)
    for row in chain([dict(zip(names, names, strict=True))], rows):
        cells = [flat(row.get(name)) for name in names]
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)  # which the csv module does not think of as a line end
        (quoted if returns else plain).writerow(cells)
        yield written.getvalue()
        written.seek(0)
        written.truncate()


def _flat(value: Any, *, separator: str, lost: Counter[str]) -> Any:
    if isinstance(value, tuple):
        lost["records that say that no label holds"] += not value
        lost[f'labels with "{separator}" in them'] += sum(separator in label for label in value)
        return separator.join(value)
    if isinstance(value, str):
        text, replaced = UNHOLDABLE.subn("\ufffd", value)
        lost["characters that no text file holds, now U+FFFD"] += replaced
        return text
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _lines(path: Path, encoding: str, dialect: Dialect) -> Iterator[Line]:
    """Rows of cells, empty lines left out, each with the line it begins in; what cannot be taken apart from some line on is the last."""
    csv.field_size_limit(_LONGEST_CELL)
    source = _Source(lines_of(path, encoding))
    reader = csv.reader(source, delimiter=dialect.delimiter, quoting=csv.QUOTE_MINIMAL if dialect.quoting else csv.QUOTE_NONE)
    begins = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Line(begins, [], f"{path.name}:{begins}: {_not_csv(error, source.taken)}")
            return
        if cells is None:
            return
        if source.ended:  # the reader asked for one more line before the row was whole
            opened = begins + _opening_line(source.taken)
            yield Line(opened, [], f"{path.name}:{opened}: a quote opens here and is never closed{_PLAIN}")
            return
        if cells:
            yield Line(begins, cells)
        begins += len(source.taken)
        source.taken.clear()


def _not_csv(error: csv.Error, taken: Sequence[str]) -> str:
    if taken and "\r" in taken[-1].rstrip("\r\n"):
        return "a carriage return inside a line, as where lines end in nothing else (CR, of old Macs); save the file with line feeds (LF)"
    return f"{error}; is a quote left open here?{_PLAIN[1:]}"


class _Source:
    """Lines for the csv module that remember which of them the row at hand has taken."""

    def __init__(self, lines: Iterator[str]):
        self.lines = lines
        self.taken: list[str] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            self.taken.append(next(self.lines))
        except StopIteration:
            self.ended = True
            raise
        return self.taken[-1]


def _opening_line(lines: Iterable[str]) -> int:
    """Which line of an unfinished row opens the quote that stays open."""
    opened, inside = 0, False
    for position, line in enumerate(lines):
        if line.count('"') % 2:
            inside = not inside
            opened = position if inside else opened
    return opened


def _guess_dialect(path: Path, encoding: str, data: Data) -> Dialect:
    delimiter = data.delimiter or _guess_delimiter(path, encoding)
    return Dialect(delimiter, data.quoting if data.quoting is not None else _uses_quotes(path, encoding, delimiter))


def _guess_delimiter(path: Path, encoding: str) -> str:
    """What parts the most rows of a sample into equally many cells."""
    sample = list(few(lines_of(path, encoding), size=len))
    candidates = _DELIMITERS.get(path.suffix.casefold(), ",\t;|")
    return max(candidates, key=lambda delimiter: _evenness(sample, delimiter))


def _evenness(lines: Sequence[str], delimiter: str) -> float:
    try:
        widths = Counter(len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells)
    except csv.Error:
        return 0.0
    width, rows = widths.most_common(1)[0] if widths else (1, 0)
    return rows / widths.total() if width > 1 else 0.0


def _uses_quotes(path: Path, encoding: str, delimiter: str) -> bool:
    """Whether quotes enclose cells, or are characters of the text like any other.

    They are characters only between tabs, where all lines have the same number of cells as they stand, and a cell that begins with a
    quote is not enclosed. A comma is in too many texts for a table without quotes.
    """
    if delimiter != "\t":
        return True
    width, enclosed = None, True
    for line in lines_of(path, encoding):
        cells = line.rstrip("\r\n").split(delimiter)
        if len(cells) != (width or len(cells)):
            return True
        width = len(cells)
        enclosed = enclosed and all(map(_is_enclosed, cells))
    return enclosed


def _is_enclosed(cell: str) -> bool:
    """Whether the quotes of a cell are in order: none at its start, or one at each end and pairs between."""
    return not cell.startswith('"') or (len(cell) > 1 and cell.endswith('"') and '"' not in cell[1:-1].replace('""', ""))


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Numbers name nothing, and no column is called like one of its own cells; a known name or a word above numbers tells a header."""
    first, rest = [cell.strip() for cell in rows[0]], rows[1:]
    filled = [cell for cell in first if cell]
    columns = [[row[position].strip() for row in rest if len(row) > position] for position in range(len(first))]
    if any(map(is_number, filled)) or any(name and name in column for name, column in zip(first, columns, strict=True)):
        return False
    if any(map(is_known_name, filled)):
        return True
    if len(first) == 1 or len(set(filled)) < len(filled):
        return False
    if any(column and all(map(is_number, column)) for column in columns):
        return True
    longest = max(range(len(first)), key=lambda position: sum(map(len, columns[position])))
    return " " not in first[longest]


def column_names(first: Line, file: str, header: bool) -> list[str]:
    if len(first.cells) > MOST_COLUMNS:
        raise DataError(f"{file}:{first.number}: {len(first.cells):,} columns, {MOST_COLUMNS:,} are allowed")
    positions = [str(position) for position in range(1, len(first.cells) + 1)]
    if not header:
        return positions
    names = [cell.strip() or position for cell, position in zip(first.cells, positions, strict=True)]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f'{file}:{first.number}: two columns are called "{twice}"; rename one of them')
    return names


def by_position(data: Data, names: Sequence[str]) -> dict[str, str]:
    """Settings that name a column by its number, with the name it has here: mrpc's test file has a header, its training file none."""
    update = {}
    for setting in ("text", "text_pair", "question", "label", "id", "group"):
        wanted = getattr(data, setting) or ""
        parts = [part if part in names else _name_at(part, names) for part in wanted.split("+")]
        if wanted and wanted not in names:
            update[setting] = "+".join(parts)
    return update


def _name_at(position: str, names: Sequence[str]) -> str:
    return names[int(position) - 1] if position.isdigit() and 1 <= int(position) <= len(names) else position


def _ragged(cells: Sequence[str], names: Sequence[str], dialect: Dialect, header: bool) -> str:
    expected = f"the header names {len(names)} ({', '.join(names)})" if header else f"the first row has {len(names)}"
    found = f"{len(cells)} cell{'s' * (len(cells) != 1)}, but {expected}"
    if any("\n" in cell for cell in cells):
        return f"{found}; is a quote left open here?"
    if len(cells) < len(names):
        return found
    return f'{found}; a cell that holds "{dialect.delimiter}" needs double quotes around it'
