"""brat: texts (.txt) beside stand-off annotations (.ann), in a folder of them or in folders inside it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import RecordError, each, tried
from headway.readers.files import Labels, Liberties, Opened, check_task, encoding_of, whole_text
from headway.readers.spans import read_entities
from headway.readers.writing import Page, Target
from headway.records import Record, Span

_KINDS = {"R": "relations", "E": "events", "A": "attributes", "M": "attributes", "N": "normalizations", "#": "notes", "*": "equivalences"}
_FILE_NAME = re.compile(r"(?=.{1,100}$)(?!\.)[\w. -]*[\w-]")  # no file of that name lies outside its folder, or is hidden


class Mark(NamedTuple):
    """A line that marks a part of the text: `T1\\tPerson 0 4\\tAnna`."""

    line: int
    name: str  # T1
    label: str
    places: list[tuple[int, int]]  # several, where the entity is in pieces
    said: str


def looks_like_brat(path: Path) -> bool:
    """A file of annotations, a text with one beside it, or a folder in which there are some."""
    if path.is_dir():
        return any(path.rglob("*.ann"))
    return path.suffix == ".ann" or (path.suffix == ".txt" and path.with_suffix(".ann").is_file())


def read_brat(path: Path, data: Data, labels: Labels) -> Opened:
    """Documents as records: the name of the file as id, the folder it is in as group. A text without .ann is not labelled.

    An entity in pieces is read from its first piece to its last. What begins an event is no entity.
    """
    check_task(path, data, "ner")
    encoding = encoding_of(path, data) if path.is_file() else data.encoding or "utf-8"
    left_out: Counter[str] = Counter()
    decided = data.model_copy(update={"task": "ner", "encoding": encoding})
    liberties = Liberties()
    record = partial(_record, top=path, encoding=encoding, left_out=left_out, liberties=liberties)
    return Opened(decided, each(record, _texts(path)), left_out, liberties=liberties)


def _texts(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path.with_suffix(".txt")
        return
    inside = path.resolve()
    for text in sorted({found.with_suffix(".txt") for ending in ("*.txt", "*.ann") for found in path.rglob(ending)}):
        for file in (text, text.with_suffix(".ann")):
            if not file.resolve().is_relative_to(inside):
                raise DataError(f"{file.relative_to(path)}: a link that leads out of {path}; copy the file itself there")
        yield text


def _record(path: Path, top: Path, encoding: str, left_out: Counter[str], liberties: Liberties) -> Record:
    marked = path.with_suffix(".ann")
    if not path.is_file():
        raise DataError(f"{marked.name}: its text {path.name} is not beside it")
    text = whole_text(path, encoding)
    folder = path.parent.relative_to(top).as_posix() if top.is_dir() else "."
    spans = _entities(marked, text, encoding, left_out, liberties) if marked.is_file() else None
    return Record(text, entities=spans, id=path.stem, group="" if folder == "." else folder, where=f"{path.name}:1")


def _entities(path: Path, text: str, encoding: str, left_out: Counter[str], liberties: Liberties) -> tuple[Span, ...]:
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(whole_text(path, encoding).split("\n"), 1) if line.strip()]
    marks, faults = tried(lambda numbered: _mark(*numbered, path.name), [line for line in lines if line[1].startswith("T")])
    kinds, unknown = tried(lambda numbered: _kind(*numbered, path.name), [line for line in lines if not line[1].startswith("T")])
    left_out.update(kinds)
    triggers = {name for _, line in lines if line.startswith("E") for name in re.findall(r"\t\S+?:(T\S+)", line)}
    kept = [mark for mark in marks if mark.name not in triggers]
    left_out["triggers of events"] += len(marks) - len(kept)
    left_out["gaps inside entities in pieces, which are read as one stretch"] += sum(len(mark.places) > 1 for mark in kept)
    items, misplaced = tried(lambda mark: _check(mark, text, path.name), kept)
    lines_by_mark = {(item["start"], item["end"], item["label"]): item["line"] for item in items}

    def place(span: Span) -> str:
        return f"{path.name}:{lines_by_mark[span.start, span.end, span.label]}"

    try:
        spans = read_entities(items, text, path.name, liberties=liberties, place=place)
    except RecordError as error:
        misplaced += error.faults
    if faults or unknown or misplaced:
        raise RecordError(*faults, *unknown, *misplaced)
    return spans


def _kind(number: int, line: str, name: str) -> str:
    """What a line tells that marks no entity."""
    kind = _KINDS.get(line[0])
    if kind is None:
        raise DataError(f'{name}:{number}: "{line[:40]}" is no annotation; expected "T1", a tab, "Person 0 4", a tab, "Anna"')
    return kind


def _mark(number: int, line: str, name: str) -> Mark:
    """Raises DataError where the line is not laid out as brat does it."""
    parts = line.split("\t")
    label, _, places = parts[1].partition(" ") if len(parts) > 1 else ("", "", "")
    numbers = [re.fullmatch(r"(\d{1,9}) (\d{1,9})", place) for place in places.split(";")]
    if len(parts) < 3 or not label or not all(numbers):
        raise DataError(f'{name}:{number}: "{line[:40]}" is not laid out as "T1", a tab, "Person 0 4", a tab, "Anna"')
    return Mark(number, parts[0], label, [(int(found[1]), int(found[2])) for found in numbers], parts[2])


def _check(mark: Mark, text: str, name: str) -> dict:
    """The entity as an object; raises DataError where its text is not what stands at its places."""
    pieces = [text[start:end] for start, end in mark.places]
    where = f"{name}:{mark.line}"
    if any(not 0 <= start < end <= len(text) for start, end in mark.places):
        raise DataError(f"{where}: {mark.name} runs to {mark.places[-1][1]}, but the text has {len(text)} characters")
    if " ".join(pieces).split() != mark.said.split():
        raise DataError(f'{where}: {mark.name} is "{mark.said}", but at {mark.places[0][0]} stands "{" ".join(pieces)}"')
    return {"start": min(mark.places)[0], "end": max(end for _, end in mark.places), "label": mark.label, "line": mark.line}


def write_brat(records: Iterable[Record], target: Target) -> Iterator[Page]:
    """A .txt and an .ann for each record, named by its id, in a folder named by its group; none where it is not labelled."""
    taken: set[str] = set()
    for number, record in enumerate(records, 1):
        name = _name(record, number, taken, target.lost)
        taken.add(name.casefold())
        mark = "\ufeff" if record.text.startswith("\ufeff") else ""  # the first is taken for a byte order mark
        yield Page(f"{name}.txt", mark + record.text)
        if record.entities is not None:
            yield Page(f"{name}.ann", "".join(_lines(record, target.lost)))


def _name(record: Record, number: int, taken: set[str], lost: Counter[str]) -> str:
    groups = record.group.split("/")
    folder = record.group if all(map(_FILE_NAME.fullmatch, groups)) else ""
    lost["groups that are no names of folders"] += bool(record.group) and not folder
    prefix = f"{folder}/" if folder else ""
    if record.id and _FILE_NAME.fullmatch(record.id) and f"{prefix}{record.id}".casefold() not in taken:
        return prefix + record.id
    lost["ids that are no names of files, or are used twice"] += bool(record.id)
    while f"{prefix}{number:05}".casefold() in taken:
        number += 1
    return f"{prefix}{number:05}"


def _lines(record: Record, lost: Counter[str]) -> Iterator[str]:
    for number, span in enumerate(record.entities or (), 1):
        label = re.sub(r"\s", "_", span.label)
        lost["white space in entity types, now _"] += label != span.label
        said = re.sub(r"\s", " ", record.text[span.start : span.end])
        yield f"T{number}\t{label} {span.start} {span.end}\t{said}\n"
