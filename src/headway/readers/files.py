"""Files as lines of text: the one place that opens them, and that knows encodings.

A line is what ends in a line feed, and nothing else: texts may hold every other character that Unicode calls a line break.
"""

import codecs
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from headway.config import Data
from headway.errors import ConfigError, DataError, did_you_mean

Labels = Literal["required", "optional"]  # whether a file without labels is a mistake (training) or not (prediction)

_WIDE = ("utf-16", "utf-32")  # a line feed is not one byte there
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_HEAD_LINES = 500


def check_file(path: Path) -> None:
    """Nothing, where `path` is a file with something in it.

    Raises:
        DataError: it does not exist, is a folder, is empty or may not be read.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder; name a file in it")
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
        return _MARKS.get(first_bytes(path, 2), "utf-8")
    try:
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
            raise DataError(f"{path.name}:{number}: a NUL byte: not a text file, or one in UTF-16: add --set data.encoding=utf-16-le")
        yield line.removeprefix("\ufeff") if number == 1 else line


def head_of(path: Path, encoding: str) -> list[str]:
    """The first lines without their line ends: what guesses about a file are made from."""
    return [line.rstrip("\r\n") for line in islice(lines_of(path, encoding), _HEAD_LINES)]


def _narrow_lines(path: Path, encoding: str) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise DataError(f"{path.name}:{number}: {_undecodable(path, encoding, line[error.start])}") from None


def _wide_lines(path: Path, encoding: str) -> Iterator[str]:
    number = 0
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            for line in file:
                number += 1
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
        for line in file:
            ascii_only = line.decode("ascii", errors="ignore")
            high += len(line) - len(ascii_only)
            letters += sum(map(str.isalpha, ascii_only))
            undefined += line.decode("cp1252", errors="replace").count("\ufffd")
    if high > letters:
        return None
    return "latin-1" if undefined else "cp1252"
