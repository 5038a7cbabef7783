"""doccano: a text a line with its classes or spans, and what was imported, related or commented on beside them."""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from headway.config import Data
from headway.readers.files import Labels, Opened, Unread
from headway.readers.objects import read_jsonl, whole_items
from headway.readers.writing import Target
from headway.records import Record

_RELATED = "entities"  # where spans have ids, so that relations can name them
_ANSWERS = {"label", "labels", _RELATED, "relations"}


def looks_like_doccano(item: object) -> bool:
    """An object with the key Comments, or with a text and triples of start, end and label."""
    if not isinstance(item, dict) or "text" not in item:
        return False
    marks = item.get("label", item.get("labels"))
    triples = isinstance(marks, list) and bool(marks) and isinstance(marks[0], list) and len(marks[0]) == 3
    return "Comments" in item or triples


def read_doccano(path: Path, data: Data, labels: Labels) -> Opened:
    opened = read_jsonl(path, data, labels)
    return opened._replace(unread=Unread(opened.unread.counts, partial(whole_items, path, opened.data.encoding)))


def write_doccano(records: Iterable[Record], target: Target) -> Iterator[str]:
    """An object a line with a list under label: spans as [start, end, type], or classes.

    What was read is written as it was where people have made it, and with all that is not of the answer where a model answers it; relations
    between what people have marked are counted there.
    """
    ids = count(1)
    for record in records:
        given = target.beside(record)
        if given and target.made_by == "people":
            item = given
        else:
            label = (given and target.data.label) or "label"
            known = {name: value for name, value in (("id", record.id), ("group", record.group)) if value} | {"text": record.text}
            kept = {name: value for name, value in given.items() if name not in _ANSWERS | {label}}
            related = given.get("relations")
            target.lost["relations between entities that people have marked"] += len(related) if isinstance(related, list) else 0
            item = (kept or known) | _said(record, label, ids) | ({} if given else {"Comments": []})
        yield json.dumps(item, ensure_ascii=False) + "\n"


def _said(record: Record, label: str, ids: Iterator[int]) -> dict[str, Any]:
    """The answer under `label`; nothing where nobody has labelled the record."""
    if record.label is not None:
        return {label: [record.label] if isinstance(record.label, str) else record.label}
    if record.entities is None:
        return {}
    if label == _RELATED:
        spans = [{"id": next(ids), "label": span.label, "start_offset": span.start, "end_offset": span.end} for span in record.entities]
        return {label: spans, "relations": []}
    return {label: [[span.start, span.end, span.label] for span in record.entities]}
