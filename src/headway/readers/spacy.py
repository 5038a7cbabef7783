"""spaCy's training data: a text and its annotations a line, and the JSON documents of its version 2."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import RecordError, each
from headway.readers.files import Labels, Liberties, Opened, Unread, check_task, encoding_of
from headway.readers.objects import Item, items_of, rows_of
from headway.readers.rows import read_rows
from headway.readers.tags import TagFaults, Tagging, entities, join_tokens, survey_tags
from headway.readers.words import BLACK, align, words_to_write
from headway.readers.writing import Target, separated, under
from headway.records import Record, Span

_HOLDS = 0.5  # a class with at least that value
_UNKNOWN = "-"  # the tag of a token of which nobody says whether it is in an entity
_READ = {"raw", "sentences", "tokens", "id", "orth", "ner"}  # of paragraphs, sentences and tokens


class Paragraph(NamedTuple):
    raw: str | None
    tokens: list[str]
    tags: list[str]
    unknown: int  # of the tags, which are given as O
    sentences: int
    unread: list[str]  # the names of what else is said of it, of its sentences and of its tokens


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
    """Paragraphs as records: the raw text, where the tokens stand in it, else the tokens joined by single spaces. Nobody has labelled a
    paragraph in which no token has a tag."""
    check_task(path, data, "ner")
    encoding = encoding_of(path, data)
    unread: Counter[str] = Counter()
    bounds = 0

    def surveyed() -> Iterator[list[str]]:
        nonlocal bounds
        for item in items_of(path, encoding):
            for paragraph in _paragraphs(item):
                unread.update(paragraph.unread)
                bounds += max(0, paragraph.sentences - 1)
                yield paragraph.tags

    tagging = survey_tags(surveyed(), scheme=data.scheme)
    decided = data.model_copy(update={"task": "ner", "encoding": encoding, "scheme": tagging.scheme})
    beside = Unread(Counter({under(list(unread)): unread.total(), "bounds of sentences": bounds}))
    left_out, liberties = Counter(), Liberties()
    paragraphs = ((item, paragraph) for item in items_of(path, encoding) for paragraph in _paragraphs(item))
    record = partial(_record, tagging=tagging, left_out=left_out, liberties=liberties)
    return Opened(decided, each(record, paragraphs), left_out, beside, liberties)


def _paragraphs(item: Item) -> Iterator[Paragraph]:
    try:
        for paragraph in item.value["paragraphs"]:
            sentences = paragraph["sentences"]
            tokens = [token for sentence in sentences for token in sentence["tokens"]]
            tags = [str(token.get("ner") or _UNKNOWN) for token in tokens]
            unread = [
                name for part in (paragraph, *sentences, *tokens) for name, value in part.items() if name not in _READ and value != []
            ]
            known = ["O" if tag == _UNKNOWN else tag for tag in tags]
            words = [str(token["orth"]) for token in tokens]
            yield Paragraph(paragraph.get("raw"), words, known, tags.count(_UNKNOWN), len(sentences), unread)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{item.where}: not laid out as spaCy's JSON is (paragraphs, sentences, tokens, orth, ner): {error}") from None


def _record(told: tuple[Item, Paragraph], *, tagging: Tagging, left_out: Counter[str], liberties: Liberties) -> Record:
    item, paragraph = told
    tokens, raw = paragraph.tokens, paragraph.raw
    try:
        found = entities(paragraph.tags, tagging)
    except TagFaults as error:
        raise RecordError(*(f'{item.where}: token {at + 1} "{tokens[at]}": {said}' for at, said in error.faults)) from None
    places = align(tokens, raw) if isinstance(raw, str) else None
    text, spans = join_tokens(tokens, found)
    if places is None:
        left_out["raw texts in which the tokens do not stand"] += isinstance(raw, str)
    else:
        text, spans = raw, tuple(Span(places[one.start][0], places[one.end - 1][1], one.label) for one in found)
    unlabelled = bool(tokens) and paragraph.unknown == len(tokens)
    if paragraph.unknown and not unlabelled:
        liberties.take('paragraphs with tokens whose tag is "-" or missing, read as in no entity', item.where)
    return Record(text, entities=None if unlabelled else spans, id=str(item.value.get("id", "")), where=item.where)


def write_spacy(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A text and its annotations a line: entities as [start, end, type], classes that hold with 1.0."""
    for record in records:
        said: dict[str, Any] = {}
        if record.entities is not None:
            said["entities"] = [[span.start, span.end, span.label] for span in record.entities]
        if record.label is not None:
            said["cats"] = dict.fromkeys([record.label] if isinstance(record.label, str) else record.label, 1.0)
        yield json.dumps([record.text, said], ensure_ascii=False) + "\n"


def write_spacy_documents(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A list of documents of one paragraph and one sentence each: the raw text, and its words with their tags."""
    return separated(_documents(records, target), "[\n", ",\n", "\n]\n")


def _documents(records: Iterable[Record], target: Target) -> Iterator[str]:
    for record in records:
        known = replace(record, entities=record.entities or ())
        words = words_to_write(known, target, scheme="BILOU", word=BLACK)
        if words:
            tags = [_UNKNOWN if record.entities is None else word.tag for word in words]
            tokens = [
                {"id": number, "orth": record.text[word.start : word.end], "ner": tag}
                for number, (word, tag) in enumerate(zip(words, tags, strict=True))
            ]
            named = {"id": record.id} if record.id else {}
            document = named | {"paragraphs": [{"raw": record.text, "sentences": [{"tokens": tokens}]}]}
            yield json.dumps(document, ensure_ascii=False)
