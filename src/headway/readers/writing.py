"""What all formats that are written share: what is asked of them, and the count of what they cannot hold."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headway.config import Data
from headway.errors import OutputError
from headway.folders import UNFINISHED
from headway.records import Record


class Page(NamedTuple):
    """A file of a format that is a folder of files."""

    name: str  # inside the folder, with "/" between the parts
    text: str


Piece = str | bytes | Page  # a format is written piece by piece: text (as UTF-8), bytes, or whole files of a folder


class Holds(NamedTuple):
    """What a format can hold."""

    tasks: tuple[str, ...]
    fields: tuple[str, ...] = ()  # of id, group, text_pair and confidence
    escapes: bool = False  # whether it spells the characters that no text file holds, as JSON does


@dataclass(frozen=True)
class Target:
    """How records are to be written."""

    task: str
    data: Data = field(default_factory=Data)  # names of columns, scheme, delimiter: as a person or the file that was read has them
    made_by: Literal["people", "model"] = "people"  # whose word the labels are: annotation tools keep the two apart
    lost: Counter[str] = field(default_factory=Counter)  # what the format cannot hold, by kind; complete when all is written
    labels: tuple[str, ...] = ()  # all classes there are, where they are known
    beside: Callable[[Record], dict[str, Any]] = lambda record: {}  # cells that stood beside it; asked once for each, in their order
    columns: tuple[str, ...] = ()  # that these cells are under
    types: Mapping[str, Any] = field(default_factory=dict)  # of these columns, where the file that was read tells them
    order: tuple[str, ...] = ()  # of all columns, as the file that was read has them


_MOST_NAMED = 3  # columns
UNHOLDABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and half a surrogate pair
_LOST = {"id": "ids", "group": "groups", "text_pair": "second texts"}


def in_step(cells: Iterator[tuple[str, dict[str, Any]]]) -> Callable[[Record], dict[str, Any]]:
    """The cells beside a record, from those of the whole file: both are in the order of the file."""
    return lambda record: next((found for where, found in cells if where == record.where), {})


def under(names: Sequence[str]) -> str:
    """What the cells of these columns are called in a count."""
    more = f" and {len(names) - _MOST_NAMED} more columns" if len(names) > _MOST_NAMED + 1 else ""
    return f"cells under {', '.join(names[:_MOST_NAMED] if more else names)}{more}"


def fitting(records: Iterable[Record], holds: Holds, target: Target) -> Iterator[Record]:
    """The records without what the format cannot hold, which is counted."""
    for record in records:
        if not holds.escapes and any(UNHOLDABLE.search(text) for text in (record.text, record.text_pair, record.question) if text):
            target.lost["records with a NUL or half a character in them"] += 1
            continue
        for name, kind in _LOST.items():
            target.lost[kind] += name not in holds.fields and bool(getattr(record, name))
        if "confidence" not in holds.fields:
            spans = record.entities or record.answers or ()
            target.lost["confidences"] += sum(span.confidence is not None for span in spans)
        yield record


def save(pieces: Iterable[Piece], path: Path) -> None:
    """Write a file, or a folder of files, beside `path` until all is there. Nothing that exists is written over.

    Raises:
        OutputError: `path` exists, or cannot be written.
    """
    for _ in saving(pieces, path):
        pass


def saving(pieces: Iterable[Piece], path: Path) -> Iterator[None]:
    """`save`, with a stop behind every piece. Who does not go on to the end leaves nothing at `path`."""
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path}: exists; choose another place")
    beside = path.with_name(f"{path.name}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield from _write(iter(pieces), beside)
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from None
    finally:
        _remove(beside)


def _write(pieces: Iterator[Piece], beside: Path) -> Iterator[None]:
    first = next(pieces, "")
    if not isinstance(first, Page):
        with beside.open("wb") as file:
            for piece in chain([first], pieces):
                file.write(to_bytes(piece))
                yield
        return
    beside.mkdir()
    for page in chain([first], pieces):
        file = beside / page.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(page.text.encode())
        yield


def to_bytes(piece: str | bytes) -> bytes:
    """As UTF-8; half a surrogate pair, which UTF-8 lacks, is spelt as JSON spells it: \\ud83d."""
    return piece if isinstance(piece, bytes) else piece.encode(errors="backslashreplace")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def one_line(text: str, what: str, lost: Counter[str]) -> str:
    """The text with single spaces for all its white space; `lost` counts where that changes it."""
    line = " ".join(text.split())
    lost[f"white space in {what}"] += line != text
    return line


def separated(parts: Iterable[str], before: str, between: str, after: str) -> Iterator[str]:
    """The parts one by one with something between them."""
    yield before
    for number, part in enumerate(parts):
        yield between + part if number else part
    yield after
