"""Parquet, with the class names that Hugging Face datasets keep beside the columns."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels
from headway.readers.rows import read_rows
from headway.readers.survey import Row
from headway.records import Record

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_ROWS_AT_ONCE = 1024


def read_parquet(path: Path, data: Data, labels: Labels) -> tuple[Data, Iterator[Record]]:
    """Row after row, a thousand or so in memory; class numbers become their names where the file holds them."""
    return read_rows(path.name, partial(_rows, path), data, labels)


def _rows(path: Path) -> Iterator[Row]:
    from pyarrow import ArrowException  # here, so that only who reads Parquet waits for it
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            names = _class_names(file)
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for cells in batch.to_pylist():
                    number += 1
                    where = f"{path.name}#{number}"
                    yield Row(where, cells | {column: _named(cells[column], names[column], where) for column in names})
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: not a whole Parquet file: {str(error).splitlines()[0]}") from None


def _class_names(file: "ParquetFile") -> dict[str, list[str]]:
    """Column -> names of its classes, for columns of class numbers or of lists of them."""
    metadata = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    inner = {column: _innermost(feature) for column, feature in features.items()}
    return {column: feature["names"] for column, feature in inner.items() if feature.get("_type") == "ClassLabel"}


def _innermost(feature: Any) -> dict[str, Any]:
    while isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
        feature = feature["feature"]
    return feature if isinstance(feature, dict) else {}


def _named(value: Any, names: list[str], where: str) -> Any:
    """The name of a class number; -1 is how the hub writes that a row has no label."""
    if isinstance(value, list):
        return [_named(item, names, where) for item in value]
    if value is None or value == -1:
        return None
    if not 0 <= value < len(names):
        raise DataError(f"{where}: class number {value}, but the file names {len(names)} classes")
    return names[value]
