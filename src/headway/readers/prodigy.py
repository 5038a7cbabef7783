"""Prodigy: one task a line, with what the annotator made of it: spans, a choice among options, or yes or no to one label."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, Opened, Unread, check_task, encoding_of
from headway.readers.objects import items_of, rows_of, whole_items
from headway.readers.rows import read_rows
from headway.readers.writing import Target, under
from headway.records import Record

Kind = Literal["spans", "choice", "binary"]
_ANSWERS = ("accept", "reject", "ignore")
_MARKS = {"_input_hash", "_task_hash", "_view_id"}
_SAID = {"spans", "label", "options", "accept", "answer", "config", "_view_id", "_task_hash"}  # the answer, and what hangs on it
_READ = {"text", "meta", *_SAID}


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
    most, rejected = 1, 0
    left_out, unread = Counter(), Counter()
    for where, item in items_of(path, encoding):
        kind = _kind(item, where)
        kinds[kind] += 1
        asked.update([str(item["label"])] if kind == "binary" and "label" in item else [])
        accepted = item.get("accept")
        most = max(most, len(accepted) if isinstance(accepted, list) else 1)
        left_out["relations"] += len(item["relations"]) if isinstance(item.get("relations"), list) else 0
        unread.update(_unread(item))
        rejected += item.get("answer") == "reject"
    kind = next((kind for kind in ("choice", "spans") if kinds[kind]), "binary" if asked or data.task == "classification" else "spans")
    task = "ner" if kind == "spans" else "classification"
    check_task(path, data, task)
    several = {"kind": "multi" if most > 1 or kind == "binary" else "single"} if task == "classification" else {}
    columns = {"task": task, "text": "text", "text_pair": None, "label": "label", "id": "id", "group": "group", "encoding": encoding}
    here = data.model_copy(update=columns | (several if data.kind is None else {}))
    alone = len(asked) == 1
    opened = read_rows(path.name, partial(rows_of, path, encoding, partial(_cells, kind=kind, alone=alone)), here, labels)
    counts = Counter(
        {under(list(unread)): unread.total(), "rejections, now tasks without a label": 0 if kind == "binary" and alone else rejected}
    )
    return Opened(opened.data, opened.records, left_out, Unread(counts, partial(whole_items, path, encoding)), opened.liberties)


def _kind(item: Any, where: str) -> Kind:
    if not isinstance(item, dict):
        raise DataError(f'{where}: expected a task: {{"text": "...", "answer": "accept"}}')
    if (answer := item.get("answer", "accept")) not in _ANSWERS:
        raise DataError(f"{where}: answer {answer!r}; expected accept, reject or ignore")
    if _is_choice(item):
        return "choice"
    return "spans" if "spans" in item else "binary"


def _unread(item: dict[str, Any]) -> Iterator[str]:
    """What is in a task and in no record, by name."""
    yield from (name for name in item if name not in _READ)
    meta = item["meta"] if isinstance(item.get("meta"), dict) else {}
    yield from (f"meta.{name}" for name in meta if name not in ("id", "group"))


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
    """Tasks to load: spans for ner.manual, options for choice. What a model says carries no answer yet.

    A task that was read is written as it was where people have made it, and with all that is not of the answer where a model answers it.
    """
    met = dict.fromkeys(target.labels)  # classes, in order: all that are known, and what comes beside them
    for record in records:
        given = target.beside(record)
        if given and target.made_by == "people":
            task = given
        else:
            met |= dict.fromkeys(_chosen(record) if record.label is not None else ())
            task = {name: value for name, value in given.items() if name not in _SAID} | _task(record, target, given, met)
        yield json.dumps(task, ensure_ascii=False) + "\n"


def _task(record: Record, target: Target, given: dict[str, Any], met: Iterable[str]) -> dict[str, Any]:
    task: dict[str, Any] = {"text": record.text}
    if record.entities is not None:
        task["spans"] = [_span(span) for span in record.entities]
    if record.label is not None:
        offered = [option for option in given.get("options") or [] if isinstance(option, dict)]
        known = {option.get("id") for option in offered}
        options = offered + [{"id": name, "text": name} for name in met if name not in known]
        style = "single" if isinstance(record.label, str) else "multiple"
        task |= {"options": options, "accept": _chosen(record), "config": {"choice_style": style}}
    if not given and (meta := {name: value for name, value in (("id", record.id), ("group", record.group)) if value}):
        task["meta"] = meta
    if target.made_by == "people":
        task["answer"] = "accept" if record.entities is not None or record.label is not None else "ignore"
    return task | {"_view_id": "ner_manual" if target.task == "ner" else "choice"}


def _chosen(record: Record) -> list[str]:
    return [record.label] if isinstance(record.label, str) else list(record.label)


def _span(span) -> dict[str, Any]:
    confidence = {} if span.confidence is None else {"confidence": round(span.confidence, 6)}
    return {"start": span.start, "end": span.end, "label": span.label} | confidence
