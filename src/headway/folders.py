"""Folders that are whole or not there: written beside, hashed, and renamed at last."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from headway.errors import OutputError

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"
DESCRIPTION = "headway.json"  # of a model: all that decides beside its weights
CARD = "README.md"  # for people, who may write in it: a folder is whole with whatever it says


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `path` when the block ends, and vanishes when it fails.

    The manifest with the hash and size of every file is written last. An older `path` is moved aside first and removed afterwards,
    so that a crash at any moment leaves one of the two; between the two renames it is the older one, which `put_back` finds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    put_back(path)
    fresh = path.with_name(f"{path.name}{UNFINISHED}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        write_text(fresh / MANIFEST, json.dumps({"files": _hashes(fresh)}, indent=1))
        _sync_all(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    replaced = _aside(path)
    shutil.rmtree(replaced, ignore_errors=True)
    if path.exists():
        path.rename(replaced)
    fresh.rename(path)
    _sync(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def put_back(path: Path) -> None:
    """Undo the first half of an exchange that a crash has cut short."""
    if not path.exists() and _aside(path).exists():
        _aside(path).rename(path)


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.replaced")


def find_damage(folder: Path) -> str | None:
    """What is wrong with a folder that `whole_folder` made, in a few words; None where nothing is."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        kept = {name: (of_file["bytes"], of_file["sha256"]) for name, of_file in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is missing or damaged"
    for name, (size, sha256) in ((name, about) for name, about in kept.items() if name != CARD):
        if not (folder / name).is_file():
            return f"{name} is missing"
        if (folder / name).stat().st_size != size or hash_file(folder / name) != sha256:
            return f"{name} has changed since it was written"
    return None


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(files: Sequence[Path]) -> str:
    """The hash of one file, or of the hashes of several in their order."""
    hashes = [hash_file(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it: readers see the old one or the new one.

    Half a surrogate pair, which UTF-8 lacks, is spelt as JSON spells it, \\ud83d, and so JSON is read back as it was.

    Raises:
        OutputError: the disk is full, or the place may not be written to.
    """
    beside = path.with_name(f"{path.name}{UNFINISHED}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None


def read_log(path: Path) -> list:
    """What stands in a file of JSON lines, nothing where it is not there; a line that a crash has cut short is none."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def add_to_log(path: Path, line: object) -> None:
    """Add a line, after one that may have been cut short."""
    torn = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write("\n" * torn + json.dumps(line, ensure_ascii=False) + "\n")


def _hashes(folder: Path) -> dict[str, dict]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD)
    return {path.relative_to(folder).as_posix(): {"sha256": hash_file(path), "bytes": path.stat().st_size} for path in files}


def _sync_all(folder: Path) -> None:
    """To the disk, and readable by whom the umask lets read: safetensors writes files for their owner alone."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file():
            path.chmod(0o666 & ~_umask())
        _sync(path)


def _umask() -> int:
    """The only way to read it is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
