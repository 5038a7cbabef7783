"""Parquet and Arrow, with the class names that Hugging Face datasets keep beside the columns, and folders that they save."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, Opened, Unread, first_bytes
from headway.readers.hub import arrow_files, parse_name
from headway.readers.objects import token_rows
from headway.readers.rows import cells_of, read_rows
from headway.readers.survey import Row
from headway.readers.writing import Target
from headway.records import Record

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema

_ROWS_AT_ONCE = 16  # as Python objects a row takes far more memory than in the file
_ROWS_WRITTEN = 1000
_MOST_EXPANDED = 1000  # times, of a column chunk, where that is large
_LARGEST_CHUNK = 2**28  # bytes; what expands to less may expand as it likes
_CHUNKS = """
import json, sys
from pyarrow.parquet import ParquetFile
metadata = ParquetFile(sys.argv[1]).metadata
chunks = (metadata.row_group(group).column(column) for group in range(metadata.num_row_groups) for column in range(metadata.num_columns))
print(json.dumps([[chunk.path_in_schema, chunk.total_uncompressed_size, chunk.total_compressed_size] for chunk in chunks]))
"""
_STREAM = b"\xff\xff\xff\xff"  # how an Arrow stream begins
_STATE, _SPLITS = "state.json", "dataset_dict.json"


def looks_like_arrow(start: bytes) -> bool:
    return start.startswith((b"ARROW1", _STREAM))


def looks_like_saved_dataset(path: Path) -> bool:
    """Whether `datasets` has saved it with `save_to_disk`."""
    return (path / _STATE).is_file() or (path / _SPLITS).is_file()


def read_parquet(path: Path, data: Data, labels: Labels) -> Opened:
    """Row after row, a few in memory; class numbers become their names where the file holds them."""
    return _opened(path.name, [path], _parquet_batches, data, labels)


def read_arrow(path: Path, data: Data, labels: Labels) -> Opened:
    """Arrow files (also called Feather) and streams."""
    return _opened(path.name, [path], _arrow_batches, data, labels)


def read_saved_dataset(path: Path, data: Data, labels: Labels) -> Opened:
    """The Arrow files of a saved data set; of one with splits, those of train."""
    folder = path
    if (path / _SPLITS).is_file():
        splits = _json(path / _SPLITS).get("splits")
        if not isinstance(splits, list) or "train" not in splits:
            raise DataError(f"{path}: the splits are {splits}; name the folder of one of them")
        folder = path / "train"
    files = _json(folder / _STATE).get("_data_files")
    names = [file.get("filename") for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    if not names or not all(isinstance(name, str) and name and Path(name).name == name for name in names):
        raise DataError(f"{folder / _STATE}: no data files are named in it")
    opened = _opened(path.name, [folder / name for name in names], _arrow_batches, data, labels)
    opened.left_out["other splits"] = len(splits) - 1 if folder != path else 0
    return opened


def read_hub(path: Path, data: Data, labels: Labels) -> Opened:
    """A data set of the hub, by its name: the Arrow files that `datasets` keeps of it."""
    named = parse_name(path)
    return _opened(path.name, list(arrow_files(named)), _arrow_batches, data, labels)


def _opened(name: str, paths: Sequence[Path], batches_of: Callable, data: Data, labels: Labels) -> Opened:
    opened = read_rows(name, partial(_rows, paths, batches_of), data, labels)
    return opened._replace(unread=_typed(opened.unread, paths, batches_of))


def _typed(unread: Unread, paths: Sequence[Path], batches_of: Callable) -> Unread:
    """With the types of its cells, so that they can be written again; without the cells where Python does not hold all of them."""
    types: dict[str, Any] = {}
    for path in paths:
        with _told(path, batches_of), batches_of(path) as (schema, _):
            named = _class_names(schema)
            found = {name: _type_again(schema, name, named=name in named) for name in unread.names}
        if None in found.values() or (types and types != found):  # files of one data set may differ
            return replace(unread, cells=None)
        types = found

    def cells() -> Iterator[tuple[str, dict[str, Any]]]:
        return ((row.where, {name: row.cells.get(name) for name in types}) for row in _rows(paths, batches_of))

    return replace(unread, cells=cells, types=types)


def _type_again(schema: "Schema", name: str, *, named: bool) -> Any:
    """The type of a column as its cells are read: of categories and classes that of their names. None where it cannot be told."""
    from pyarrow import list_, string, types

    place = schema.get_field_index(name)
    found = schema.field(place).type if place >= 0 else None
    if named:
        return string() if types.is_integer(found) else list_(string()) if types.is_list(found) else None
    found = found.value_type if found is not None and types.is_dictionary(found) else found
    return found if found is not None and _is_plain(found) else None


def _is_plain(found: Any) -> bool:
    """Whether what pyarrow makes of a cell for Python is made a cell again by pyarrow."""
    from pyarrow import BaseExtensionType, types

    special = (types.is_union, types.is_dictionary, types.is_run_end_encoded, types.is_float16)
    if isinstance(found, BaseExtensionType) or any(is_special(found) for is_special in special):
        return False
    return all(_is_plain(found.field(number).type) for number in range(found.num_fields))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not what datasets writes: {error}") from None
    return found if isinstance(found, dict) else {}


def _rows(paths: Iterable[Path], batches_of) -> Iterator[Row]:
    number = 0
    for path in paths:
        with _told(path, batches_of), batches_of(path) as (schema, batches):
            names = _class_names(schema)
            for batch in batches:
                batch.validate(full=True)  # a damaged one would end Python itself
                for cells in chain.from_iterable(part.to_pylist() for part in _parts(batch)):
                    number += 1
                    where = f"{path.name}#{number}"
                    yield Row(where, cells | {column: _named(cells.get(column), names[column], where) for column in names})


def _parts(batch: "RecordBatch") -> Iterator["RecordBatch"]:
    """A batch in pieces of few rows."""
    return (batch.slice(start, _ROWS_AT_ONCE) for start in range(0, batch.num_rows, _ROWS_AT_ONCE))


@contextmanager
def _told(path: Path, batches_of: Callable) -> Iterator[None]:
    """What pyarrow says of a broken file, as one line."""
    from pyarrow import ArrowException  # here, so that only who reads such files waits for it

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError, ValueError, KeyError, OverflowError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name}: not a whole {'Arrow' if batches_of is _arrow_batches else 'Parquet'} file: {said}") from None


@contextmanager
def _parquet_batches(path: Path) -> Iterator[tuple["Schema", Iterator["RecordBatch"]]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        if any(group.total_byte_size > _LARGEST_CHUNK for group in groups):
            _refuse_bombs(path)
        yield file.schema_arrow, _counted(file.iter_batches(batch_size=_ROWS_AT_ONCE), file.metadata.num_rows, path.name)


def _refuse_bombs(path: Path) -> None:
    """Raise DataError where a column would grow as no text does, by what the file says of each of its chunks.

    In a process of its own: pyarrow ends Python itself where what is said of a column is damaged.
    """
    told = subprocess.run([sys.executable, "-c", _CHUNKS, path], capture_output=True, text=True)
    if told.returncode != 0:
        raise DataError(f"{path.name}: not a whole Parquet file: what it says of its columns is damaged")
    for name, unpacked, packed in json.loads(told.stdout):
        if unpacked > _LARGEST_CHUNK and unpacked > _MOST_EXPANDED * max(1, packed):
            times = unpacked / max(1, packed)
            raise DataError(f"{path.name}: {name} would grow {times:,.0f} times when it is read; no text does that")


def _counted(batches: Iterable["RecordBatch"], announced: int, name: str) -> Iterator["RecordBatch"]:
    """The batches; raises DataError at their end where the file announces another number of rows than it holds."""
    count = 0
    for batch in batches:
        count += batch.num_rows
        yield batch
    if count != announced:
        raise DataError(f"{name}: announces {announced:,} rows, and holds {count:,}: it is damaged")


@contextmanager
def _arrow_batches(path: Path) -> Iterator[tuple["Schema", Iterator["RecordBatch"]]]:
    from pyarrow import ipc, memory_map

    with memory_map(str(path)) as source:
        if first_bytes(path, 4) == _STREAM:
            with ipc.open_stream(source) as stream:
                yield stream.schema, stream
        else:
            with ipc.open_file(source) as file:
                yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def write_parquet(records: Iterable[Record], target: Target) -> Iterator[bytes]:
    from pyarrow.parquet import ParquetWriter

    return _written(records, target, ParquetWriter)


def write_arrow(records: Iterable[Record], target: Target) -> Iterator[bytes]:
    """An Arrow file, which is also called Feather."""
    from pyarrow import ipc

    return _written(records, target, ipc.new_file)


def _written(records: Iterable[Record], target: Target, writer: Callable) -> Iterator[bytes]:
    """A thousand rows at a time; entities as structs, or, where tags were read, as words and tags."""
    from pyarrow import RecordBatch

    names, rows = ([], token_rows(records, target)) if tagged(target) else cells_of(records, target)
    first = list(islice(rows, _ROWS_WRITTEN))
    schema = _schema(first, names, target.types)
    ahead = chain(first, rows)
    sink = _Sink()
    with writer(sink, schema) as file:
        while part := list(islice(ahead, _ROWS_WRITTEN)):
            cells = [{name: _listed(row.get(name)) for name in schema.names} for row in part]
            file.write_batch(RecordBatch.from_pylist(cells, schema=schema))
            yield sink.taken()
    yield sink.taken()


def tagged(target: Target) -> bool:
    """Whether records are written as words and tags: as they were read."""
    return target.task == "ner" and bool(target.data.scheme)


def with_column(path: Path, values: Mapping[str, str], *, name: Callable[[list[str]], str]) -> Iterator[bytes]:
    """A Parquet or Arrow file with a column of texts more, `values` by `Record.where`; `name` gives one that no column has."""
    import pyarrow
    from pyarrow import ipc
    from pyarrow.parquet import ParquetWriter

    arrow = looks_like_arrow(first_bytes(path, 6))
    number = 0
    sink = _Sink()
    with (_arrow_batches if arrow else _parquet_batches)(path) as (schema, batches):
        column = name(schema.names)
        wider = schema.append(pyarrow.field(column, pyarrow.string())).with_metadata(_told_of(schema, column))
        with (ipc.new_file if arrow else ParquetWriter)(sink, wider) as file:
            pieces = (batch.slice(start, _ROWS_WRITTEN) for batch in batches for start in range(0, batch.num_rows, _ROWS_WRITTEN))
            while part := list(islice(pieces, _ROWS_WRITTEN // _ROWS_AT_ONCE)):
                table = pyarrow.Table.from_batches(part)
                said = [values.get(f"{path.name}#{row}") for row in range(number + 1, number + 1 + table.num_rows)]
                number += table.num_rows
                file.write_table(pyarrow.Table.from_arrays([*table.columns, pyarrow.array(said, pyarrow.string())], schema=wider))
                yield sink.taken()
    yield sink.taken()


def _told_of(schema: "Schema", column: str) -> dict[bytes, bytes]:
    """The metadata with the new column in the list of features that Hugging Face datasets keep there."""
    metadata = dict(schema.metadata or {})
    told = json.loads(metadata.get(b"huggingface", b"{}"))
    if isinstance(told, dict) and isinstance(told.get("info"), dict) and isinstance(told["info"].get("features"), dict):
        told["info"]["features"][column] = {"dtype": "string", "_type": "Value"}
        metadata[b"huggingface"] = json.dumps(told).encode()
    return metadata


class _Sink(io.RawIOBase):
    """A file that hands over what is written to it, and remembers only how much that was: files of columns hold their own places."""

    def __init__(self):
        super().__init__()
        self.pieces: list[bytes] = []
        self.count = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.count

    def write(self, piece) -> int:
        self.pieces.append(bytes(piece))
        self.count += len(self.pieces[-1])
        return len(self.pieces[-1])

    def taken(self) -> bytes:
        written = b"".join(self.pieces)
        self.pieces.clear()
        return written


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _schema(rows: Sequence[dict[str, Any]], names: Sequence[str], types: Mapping[str, Any]) -> "Schema":
    """The types of the columns, those that are known and else from the first value that tells it; spans and answers are structs. `names`
    tells their order."""
    import pyarrow

    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    span = pyarrow.struct({"start": whole, "end": whole, "label": text, "text": text, "confidence": number})
    answers = pyarrow.struct({"text": pyarrow.list_(text), "answer_start": pyarrow.list_(whole)})
    kinds = {str: text, float: number, tuple: pyarrow.list_(text), dict: answers, list: pyarrow.list_(span)}
    values: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name in types:
                continue
            if values.get(name) is None or (values[name] == [] and value):
                values[name] = value
    columns = {name: kinds[type(value)] if value is not None else text for name, value in values.items()}
    words = {name: pyarrow.list_(text) for name, value in values.items() if isinstance(value, list) and value and isinstance(value[0], str)}
    columns |= words | dict(types)
    return pyarrow.schema({name: columns[name] for name in (*names, *columns) if name in columns})


def _class_names(schema: "Schema") -> dict[str, list[str]]:
    """Column -> names of its classes, for columns of class numbers or of lists of them."""
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    info = metadata.get("info") if isinstance(metadata, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    inner = {column: _innermost(feature) for column, feature in features.items()} if isinstance(features, dict) else {}
    return {column: feature["names"] for column, feature in inner.items() if _are_classes(feature) and column in schema.names}


def _are_classes(feature: dict[str, Any]) -> bool:
    return feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)


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
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise DataError(f"{where}: class number {value}, but the file names {len(names)} classes")
    return names[value]
