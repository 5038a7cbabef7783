"""Prodigy: one task a line, with what the annotator made of it: spans, a choice among options, or yes or no to one label."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, Opened, check_task, encoding_of
from headway.readers.objects import items_of, rows_of
from headway.readers.rows import read_rows
from headway.readers.writing import Target
from headway.records import Record

Kind = Literal["spans", "choice", "binary"]
_ANSWERS = ("accept", "reject", "ignore")
_MARKS = {"_input_hash", "_task_hash", "_view_id"}


def looks_like_prodigy(item: Any) -> bool:
    if not isinstance(item, dict) or "text" not in item or not item.keys().isdisjoint(("question", "context")):
        return False
    answer = item.get("answer")
    return not item.keys().isdisjoint(_MARKS) or _is_choice(item) or (isinstance(answer, str) and answer in _ANSWERS)


def _is_choice(item: dict[str, Any]) -> bool:
    return isinstance(item.get("options"), list) and item.get("answer", "accept") in _ANSWERS


def read_prodigy(path: Path, data: Data, labels: Labels) -> Opened:
    """Tasks as records. What was ignored is not labelled, and neither is what was rejected, but where yes or no is asked of one label:
    there a rejected task says that the label does not hold."""
    encoding = encoding_of(path, data)
    kinds: Counter[Kind] = Counter()
    asked: set[str] = set()  # the labels of yes-or-no tasks
    most, left_out = 1, Counter()
    for where, item in items_of(path, encoding):
        kind = _kind(item, where)
        kinds[kind] += 1
        asked.update([str(item["label"])] if kind == "binary" and "label" in item else [])
        accepted = item.get("accept")
        most = max(most, len(accepted) if isinstance(accepted, list) else 1)
        left_out["relations"] += len(item["relations"]) if isinstance(item.get("relations"), list) else 0
    kind = next((kind for kind in ("choice", "spans") if kinds[kind]), "binary" if asked or data.task == "classification" else "spans")
    task = "ner" if kind == "spans" else "classification"
    check_task(path, data, task)
    several = {"kind": "multi" if most > 1 or kind == "binary" else "single"} if task == "classification" else {}
    columns = {"task": task, "text": "text", "text_pair": None, "label": "label", "id": "id", "group": "group", "encoding": encoding}
    here = data.model_copy(update=columns | (several if data.kind is None else {}))
    cells = partial(_cells, kind=kind, alone=len(asked) == 1)
    opened = read_rows(path.name, partial(rows_of, path, encoding, cells), here, labels)
    return Opened(opened.data, opened.records, left_out)


def _kind(item: Any, where: str) -> Kind:
    if not isinstance(item, dict):
        raise DataError(f'{where}: expected a task: {{"text": "...", "answer": "accept"}}')
    if (answer := item.get("answer", "accept")) not in _ANSWERS:
        raise DataError(f"{where}: answer {answer!r}; expected accept, reject or ignore")
    if _is_choice(item):
        return "choice"
    return "spans" if "spans" in item else "binary"


def _cells(item: dict[str, Any], where: str, *, kind: Kind, alone: bool) -> dict[str, Any]:
    meta = item["meta"] if isinstance(item.get("meta"), dict) else {}
    cells = {"text": item.get("text"), "id": meta.get("id"), "group": meta.get("group")}
    answer = item.get("answer", "accept" if "spans" in item or "accept" in item else None)
    if kind == "binary":
        label = [item["label"]] if answer == "accept" and "label" in item else [] if answer == "reject" and alone else None
        return cells | {"label": label}
    given = item.get("accept" if kind == "choice" else "spans", [])
    return cells | {"label": given if answer == "accept" else None}


def write_prodigy(records: Iterable[Record], target: Target) -> Iterator[str]:
    """Tasks to load: spans for ner.manual, options for choice. What a model says carries no answer yet."""
    options: dict[str, None] = {}  # all classes met so far, in order
    for record in records:
        task: dict[str, Any] = {"text": record.text}
        meta = {name: value for name, value in (("id", record.id), ("group", record.group)) if value}
        if record.entities is not None:
            task["spans"] = [_span(span) for span in record.entities]
        if record.label is not None:
            chosen = [record.label] if isinstance(record.label, str) else list(record.label)
            options |= dict.fromkeys(chosen)
            style = "single" if isinstance(record.label, str) else "multiple"
            task |= {"options": [{"id": name, "text": name} for name in options], "accept": chosen, "config": {"choice_style": style}}
        labelled = record.entities is not None or record.label is not None
        answer = {"answer": "accept" if labelled else "ignore"} if target.made_by == "people" else {}
        task |= ({"meta": meta} if meta else {}) | answer | {"_view_id": "ner_manual" if target.task == "ner" else "choice"}
        yield json.dumps(task, ensure_ascii=False) + "\n"


def _span(span) -> dict[str, Any]:
    confidence = {} if span.confidence is None else {"confidence": round(span.confidence, 6)}
    return {"start": span.start, "end": span.end, "label": span.label} | confidence
