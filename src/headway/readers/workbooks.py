"""Excel workbooks (.xlsx): the rows of one sheet, read as they come."""

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.cells import parsed, structured_columns
from headway.readers.files import Labels, Opened
from headway.readers.rows import read_rows
from headway.readers.survey import MOST_COLUMNS, Row, row_at
from headway.readers.tables import Line, by_position, column_names, has_header, sample_of

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

_MOST_EXPANDED = 200  # times; XML of a sheet shrinks to a tenth, a bomb to a thousandth
_LARGEST_BOMB = 2**25  # bytes; what expands to less may expand as it likes
_MOST_SHARED = 2**28  # bytes of the texts that cells share, which are held in memory


def looks_like_workbook(path: Path) -> bool:
    return zipfile.is_zipfile(path) and any(name.startswith("xl/") for name in _parts(path))


def read_workbook(path: Path, data: Data, labels: Labels) -> Opened:
    """The rows of the first sheet that holds any. Empty rows are nothing; a date is the text 2024-03-05 00:00:00."""
    _refuse_bombs(path)
    with _sheet(path) as (sheet, others):
        sample = sample_of(_lines(sheet, path.name))
    if not sample:
        raise DataError(f"{path.name}: no rows in it")
    texts = [[str(cell) for cell in line.cells] for line in sample]
    header = data.header if data.header is not None else has_header(texts)
    names = column_names(Line(sample[0].number, texts[0]), path.name, header)
    data = data.model_copy(update={"header": header} | by_position(data, names))
    structured = structured_columns([line.cells for line in sample[int(header) :]], names)
    opened = read_rows(path.name, partial(_rows, path, names, structured, header), data, labels, named=header)
    opened.left_out["other sheets"] = others
    return opened


def _parts(path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files in the archive, by name. Their sizes can be relied on: zipfile reads no more of a file than it announces."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {part.filename: part for part in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path.name}: not a whole workbook: {error}") from None


def _refuse_bombs(path: Path) -> None:
    for name, part in _parts(path).items():
        if part.file_size > _LARGEST_BOMB and part.file_size > _MOST_EXPANDED * max(1, part.compress_size):
            raise DataError(f"{path.name}: {name} would grow from {part.compress_size:,} to {part.file_size:,} bytes; no sheet does that")
        if not name.startswith("xl/worksheets/") and part.file_size > _MOST_SHARED:
            raise DataError(f"{path.name}: {name} has {part.file_size >> 20} MiB, {_MOST_SHARED >> 20} are allowed; save the sheet as CSV")


@contextmanager
def _sheet(path: Path) -> Iterator[tuple["ReadOnlyWorksheet", int]]:
    """The first sheet with a filled cell in it, and how many other sheets there are.

    Raises:
        DataError: the workbook is damaged: openpyxl tells that by errors of many kinds.
    """
    from openpyxl import load_workbook  # here, so that only who reads workbooks waits for it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which hold no text
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                sheets = book.worksheets
                for sheet in sheets:
                    sheet.reset_dimensions()  # what a sheet says of its size need not be so
                yield next(filter(_is_filled, sheets), sheets[0]), len(sheets) - 1
            finally:
                book.close()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path.name}: not a whole workbook: {type(error).__name__}: {str(error)[:200]}") from None


def _is_filled(sheet: "ReadOnlyWorksheet") -> bool:
    return any(cell is not None for row in sheet.iter_rows(values_only=True) for cell in row)


def first_sheet(path: Path) -> str:
    """The name of the sheet that is read."""
    with _sheet(path) as (sheet, _):
        return sheet.title


def _lines(sheet: "ReadOnlyWorksheet", name: str) -> Iterator[Line]:
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        if len(row) > MOST_COLUMNS:
            raise DataError(f"{name}:{number}: {len(row)} columns, {MOST_COLUMNS} are allowed")
        cells = [_plain(cell) for cell in row]
        while cells and cells[-1] == "":
            cells.pop()
        if cells:
            yield Line(number, cells)


def _plain(cell: Any) -> Any:
    """A number that is whole as it is shown; nothing as an empty cell; flags and numbers as they are, all else as text."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if isinstance(cell, bool | int | float | str) else str(cell)


def _rows(path: Path, names: list[str], structured: list[str], header: bool) -> Iterator[Row]:
    with _sheet(path) as (sheet, _):
        for number, cells, _ in islice(_lines(sheet, path.name), int(header), None):
            where = f"{path.name}:{number}"
            if len(cells) > len(names):
                yield Row(where, {}, f"{where}: {len(cells)} cells, but the first row has {len(names)}")
            else:
                filled = chain(cells, [""] * (len(names) - len(cells)))
                yield row_at(where, partial(parsed, dict(zip(names, filled, strict=True)), structured, where))
