"""Files as lines of text: the one place that opens them, and that knows encodings.

A line is what ends in a line feed, and nothing else: texts may hold every other character that Unicode calls a line break.
"""

import codecs
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headway.config import Data
from headway.errors import ConfigError, DataError, did_you_mean
from headway.records import Record

# Whether labels are looked for, and whether a file without them is a mistake: required to learn from it, welcome where it is converted,
# optional where it is predicted.
Labels = Literal["required", "welcome", "optional"]
LONGEST_LINE = 2**24  # bytes; a longer line is a broken file, and would fill the memory
LONGEST_TEXT = 2**24  # characters of a file that is one text

_WIDE = ("utf-16", "utf-32")  # a line feed is not one byte there
_MARKS = {  # that of UTF-32 begins as one of UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD_LINES = 500
_HEAD_CHARACTERS = 2**22  # guesses are made from less than that
_MOST_PLACES = 20
_PIECE = 2**16  # bytes read at once, where lines do not matter


@dataclass(frozen=True)
class Unread:
    """What stands in a file beside its records: nothing is learned from it, and who writes the records anew is not to forget it."""

    counts: Counter[str]  # by kind; complete when the last record is read
    cells: Callable[[], Iterator[tuple[str, dict[str, Any]]]] | None = field(default=None, compare=False)  # Record.where, cells by name
    names: tuple[str, ...] = ()  # of the cells
    order: tuple[str, ...] = ()  # of all columns of the file
    types: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of the cells by name, where a file of pyarrow tells them


@dataclass
class Liberties:
    """What was read though it is not quite right, and what was made of it."""

    counts: Counter[str] = field(default_factory=Counter)  # by kind
    places: dict[str, list[str]] = field(default_factory=dict)  # the first of each kind

    def take(self, kind: str, where: str) -> None:
        self.counts[kind] += 1
        places = self.places.setdefault(kind, [])
        if len(places) < _MOST_PLACES:
            places.append(where)


class Opened(NamedTuple):
    """A file whose settings are decided, and whose records are read when they are asked for."""

    data: Data
    records: Iterator[Record]
    left_out: Counter[str]  # what stands in the file and in no record, by kind; complete when the last record is read
    unread: Unread | None = None  # None: nothing
    liberties: Liberties | None = None  # complete as `left_out` is; None: none can be taken


def check_file(path: Path) -> None:
    """Nothing, where `path` is a file with something in it, or a folder.

    Raises:
        DataError: it does not exist, is empty or may not be read.
    """
    if path.is_dir():
        return
    if not path.exists():
        neighbours = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path}: no such file{did_you_mean(path.name, neighbours)}")
    if not first_bytes(path, 1):
        raise DataError(f"{path}: the file is empty")


def check_task(path: Path, data: Data, only: str) -> None:
    """Raise where the settings ask for a task that a format of one task does not serve."""
    if data.task not in (None, only):
        raise DataError(f"{path.name}: its format is for {only}, but data.task is {data.task}")


def first_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def encoding_of(path: Path, data: Data) -> str:
    """The encoding that was asked for, else what the mark at the start of the file says, else UTF-8."""
    if data.encoding is None:
        start = first_bytes(path, 4)
        return next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), "utf-8")
    try:
        "".encode(data.encoding)  # refuses codecs that are no encodings of text, such as base64
        return codecs.lookup(data.encoding).name
    except LookupError:
        raise ConfigError(f"data.encoding = {data.encoding!r}: no such encoding") from None


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines with their line ends, without a byte order mark.

    Raises:
        DataError: a line is not in that encoding, or holds a NUL.
    """
    decoded = _wide_lines(path, encoding) if encoding.startswith(_WIDE) else _narrow_lines(path, encoding)
    for number, line in enumerate(decoded, 1):
        if "\0" in line:
            raise DataError(f"{path.name}:{number}: {_way_out_of_nul(line)}")
        yield line.removeprefix("\ufeff") if number == 1 else line


def _way_out_of_nul(line: str) -> str:
    """Read as bytes, every other one of UTF-16 is NUL where letters are Latin, and three of four of UTF-32; one by itself is damage."""
    if line.count("\0") < len(line) / 3:
        return "a NUL byte, which no text has: not a text file, or one that is damaged; take it out"
    bits = 16 if line.count("\0") < len(line) * 2 / 3 else 32
    return f"NUL bytes, as in UTF-{bits}: add --set data.encoding=utf-{bits}-{'be' if line.startswith(chr(0)) else 'le'}"


def head_of(path: Path, encoding: str) -> list[str]:
    """The first lines without their line ends: what guesses about a file are made from."""
    return [line.rstrip("\r\n") for line in few(lines_of(path, encoding), size=len)]


def few(items: Iterable[Any], *, size: Callable[[Any], int]) -> Iterator[Any]:
    """The first items, as many as guesses need and memory allows; `size` counts the characters of one."""
    characters = 0
    for item in islice(items, _HEAD_LINES):
        yield item
        characters += size(item)
        if characters > _HEAD_CHARACTERS:
            return


def whole_text(path: Path, encoding: str) -> str:
    """The text of a file that is one text.

    Raises:
        DataError: it is longer than any text.
    """
    lines, characters = [], 0
    for line in lines_of(path, encoding):
        lines.append(line)
        characters += len(line)
        if characters > LONGEST_TEXT:
            raise DataError(
                f"{path.name}:{len(lines)}: the file goes on after {LONGEST_TEXT >> 20} million characters; cut it into several"
            )
    return "".join(lines)


def pieces_of(path: Path, encoding: str) -> Iterator[str]:
    """The text in pieces of any length, without a byte order mark: for documents that may be one long line.

    Raises:
        DataError: a byte is not in that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    line, first = 1, True
    with path.open("rb") as file:
        while True:
            raw = file.read(_PIECE)
            try:
                piece = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise DataError(f"{path.name}:{line}: {_undecodable(path, encoding, error.object[error.start])}") from None
            except UnicodeError as error:  # a byte order mark is missing
                raise DataError(f"{path.name}:{line}: not {encoding}: {error}") from None
            line += piece.count("\n")
            yield piece.removeprefix("\ufeff") if first else piece
            first = first and not piece
            if not raw:
                return


def _narrow_lines(path: Path, encoding: str) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), 1):
            if len(line) == LONGEST_LINE:
                raise DataError(f"{path.name}:{number}: the line is longer than {LONGEST_LINE >> 20} MiB; is its line end missing?")
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise DataError(f"{path.name}:{number}: {_undecodable(path, encoding, line[error.start])}") from None


def _wide_lines(path: Path, encoding: str) -> Iterator[str]:
    number = 0
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            for line in iter(partial(file.readline, LONGEST_LINE), ""):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise DataError(f"{path.name}:{number}: the line is longer than {LONGEST_LINE >> 20} MiB; is its line end missing?")
                yield line
    except UnicodeError as error:  # also raised where the byte order mark is missing
        raise DataError(f"{path.name}: after line {number}: not {encoding}: {error}") from None


def _undecodable(path: Path, encoding: str, byte: int) -> str:
    found = f"byte 0x{byte:02x} is not {encoding.upper()}"
    if encoding != "utf-8":
        return f"{found}; add --set data.encoding= and the encoding it was saved in"
    other = _single_byte_encoding(path)
    if other is None:
        return f"{found}; add --set data.encoding= and the encoding it was saved in, for example cp1251, gb18030 or shift_jis"
    return f"{found}; the file reads as {other}: add --set data.encoding={other}"


def _single_byte_encoding(path: Path) -> str | None:
    """cp1252 or latin-1; None where bytes beyond ASCII outnumber ASCII letters, which no Western text does."""
    high = letters = undefined = 0
    with path.open("rb") as file:
        for line in iter(partial(file.read, _PIECE), b""):
            ascii_only = line.decode("ascii", errors="ignore")
            high += len(line) - len(ascii_only)
            letters += sum(map(str.isalpha, ascii_only))
            undefined += line.decode("cp1252", errors="replace").count("\ufffd")
    if high > letters:
        return None
    return "latin-1" if undefined else "cp1252"
