"""spaCy's training data: a text and its annotations a line, and the JSON documents of its version 2."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import RecordError, each
from headway.readers.files import Labels, Opened, Unread, check_task, encoding_of
from headway.readers.objects import Item, items_of, rows_of
from headway.readers.rows import read_rows
from headway.readers.tags import TagFaults, Tagging, entities, join_tokens, survey_tags
from headway.readers.words import align
from headway.readers.writing import Target, under
from headway.records import Record, Span

_HOLDS = 0.5  # a class with at least that value


def looks_like_spacy(item: Any) -> bool:
    """A text and a dict of annotations, or an object with `cats`."""
    pair = isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict)
    return pair or (isinstance(item, dict) and isinstance(item.get("cats"), dict) and "text" in item)


def looks_like_spacy_documents(item: Any) -> bool:
    paragraphs = item.get("paragraphs") if isinstance(item, dict) else None
    return isinstance(paragraphs, list) and bool(paragraphs) and isinstance(paragraphs[0], dict) and "sentences" in paragraphs[0]


def read_spacy(path: Path, data: Data, labels: Labels) -> Opened:
    """["...", {"entities": [[0, 5, "PER"]]}] or {"text": "...", "cats": {"A": 1.0}} a line, or in a list."""
    encoding = encoding_of(path, data)
    counts: set[int | None] = set()  # how many classes hold of an example; None where it says nothing of classes
    unread: Counter[str] = Counter()
    for where, item in items_of(path, encoding):
        label = _cells(item, where).get("label")
        unread.update(_unread(item))
        counts.add(len(label) if isinstance(label, list) else None)
    task = "ner" if counts == {None} else "classification"
    check_task(path, data, task)
    kind = data.kind or (None if task == "ner" else "single" if counts <= {1, None} else "multi")
    columns = {"text": "text", "text_pair": None, "label": "entities" if task == "ner" else "label", "id": "id", "group": None}
    here = data.model_copy(update={"task": task, "encoding": encoding, "kind": kind} | columns)
    opened = read_rows(path.name, partial(rows_of, path, encoding, _cells), here, labels)
    return opened._replace(unread=Unread(Counter({under(list(unread)): unread.total()})))


def _unread(item: Any) -> Iterator[str]:
    """What is said of a text beside its classes or its entities, by name."""
    said = item[1] if isinstance(item, list) else item
    yield from (name for name in said if name not in ("text", "meta", "cats") and not (name == "entities" and "cats" not in said))
    yield from (f"meta.{name}" for name in (said["meta"] if isinstance(said.get("meta"), dict) else {}) if name != "id")


def _cells(item: Any, where: str) -> dict[str, Any]:
    text, said = item if isinstance(item, list) and len(item) == 2 else (item.get("text"), item) if isinstance(item, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(said, dict):
        raise DataError(f'{where}: expected ["...", {{"entities": [[0, 5, "PER"]]}}] or {{"text": "...", "cats": {{"A": 1.0}}}}')
    meta = said["meta"] if isinstance(said.get("meta"), dict) else {}
    cells = {"text": text, "id": meta.get("id")}
    if isinstance(said.get("cats"), dict):
        return cells | {"label": [name for name, value in said["cats"].items() if _number(value, where) >= _HOLDS]}
    return cells | {"entities": said.get("entities")}


def _number(value: Any, where: str) -> float:
    if not isinstance(value, bool | int | float):
        raise DataError(f"{where}: the value of a class is {value!r}; expected a number from 0 to 1")
    return float(value)


def read_spacy_documents(path: Path, data: Data, labels: Labels) -> Opened:
    """Paragraphs as records: the raw text, where the tokens stand in it, else the tokens joined by single spaces."""
    check_task(path, data, "ner")
    encoding = encoding_of(path, data)
    tagging = survey_tags((tags for item in items_of(path, encoding) for *_, tags in _paragraphs(item)), scheme=data.scheme)
    decided = data.model_copy(update={"task": "ner", "encoding": encoding, "scheme": tagging.scheme})
    left_out: Counter[str] = Counter()
    paragraphs = ((item, paragraph) for item in items_of(path, encoding) for paragraph in _paragraphs(item))
    return Opened(decided, each(partial(_record, tagging=tagging, left_out=left_out), paragraphs), left_out)


def _paragraphs(item: Item) -> Iterator[tuple[str | None, list[str], list[str]]]:
    """The raw text, the tokens and their tags; "-" says that nobody knows, and is no entity."""
    try:
        for paragraph in item.value["paragraphs"]:
            tokens = [token for sentence in paragraph["sentences"] for token in sentence["tokens"]]
            tags = [
                str(token.get("ner", "O")).replace("-", "O") if token.get("ner") == "-" else str(token.get("ner", "O")) for token in tokens
            ]
            yield paragraph.get("raw"), [str(token["orth"]) for token in tokens], tags
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{item.where}: not laid out as spaCy's JSON is (paragraphs, sentences, tokens, orth, ner): {error}") from None


def _record(told: tuple[Item, tuple[str | None, list[str], list[str]]], *, tagging: Tagging, left_out: Counter[str]) -> Record:
    item, (raw, tokens, tags) = told
    try:
        found = entities(tags, tagging)
    except TagFaults as error:
        raise RecordError(*(f'{item.where}: token {at + 1} "{tokens[at]}": {said}' for at, said in error.faults)) from None
    places = align(tokens, raw) if isinstance(raw, str) else None
    text, spans = join_tokens(tokens, found)
    if places is None:
        left_out["raw texts in which the tokens do not stand"] += isinstance(raw, str)
    else:
        text, spans = raw, tuple(Span(places[one.start][0], places[one.end - 1][1], one.label) for one in found)
    return Record(text, entities=spans, id=str(item.value.get("id", "")), where=item.where)


def write_spacy(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A text and its annotations a line: entities as [start, end, type], classes that hold with 1.0."""
    for record in records:
        said: dict[str, Any] = {}
        if record.entities is not None:
            said["entities"] = [[span.start, span.end, span.label] for span in record.entities]
        if record.label is not None:
            said["cats"] = dict.fromkeys([record.label] if isinstance(record.label, str) else record.label, 1.0)
        yield json.dumps([record.text, said], ensure_ascii=False) + "\n"
