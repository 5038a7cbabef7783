"""Label Studio: its JSON export, a list of tasks with annotations inside, and what it imports: tasks with annotations or predictions."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from headway.config import Data
from headway.errors import DataError, did_you_mean
from headway.readers.files import Labels, Opened, Unread, check_task, encoding_of
from headway.readers.objects import items_of, rows_of, whole_items
from headway.readers.rows import read_rows
from headway.readers.writing import Target, separated
from headway.records import Record, Span

_TASKS = {"choices": "classification", "rating": "classification", "number": "classification", "labels": "ner", "hypertextlabels": "ner"}
_NUMBER = re.compile(r"[0-9]{1,9}")  # as a text, which is how its documentation has the positions of a span
_ANSWER = "Answer"  # what the one label of its template for questions is called


class Control(NamedTuple):
    """A part of the labelling interface: what it is called there, and what its results are."""

    name: str
    kind: str


def looks_like_label_studio(item: Any) -> bool:
    """A task; one that is still to be imported has nothing but its data."""
    if not isinstance(item, dict) or not isinstance(item.get("data"), dict):
        return False
    return not item.keys().isdisjoint({"annotations", "predictions"}) or item.keys() <= {"id", "data", "meta"}


def read_label_studio(path: Path, data: Data, labels: Labels) -> Opened:
    """Tasks as records. A task that nobody has annotated, or that was skipped, is not labelled; of several annotations, the first counts.

    `data.label` may name the control whose results are read. Predictions are not read: no person has drawn them.
    """
    encoding = encoding_of(path, data)
    controls: Counter[Control] = Counter()
    shown: dict[str, str] = {}  # by control, the tag that it is about
    left_out: Counter[str] = Counter()
    predictions = 0
    asked = False
    for where, item in items_of(path, encoding):
        _check(item, where)
        asked = asked or "question" in item["data"]
        predictions += len(item["predictions"]) if isinstance(item.get("predictions"), list) else 0
        annotations = _annotations(item)
        left_out["annotations beside the first of a task"] += max(0, len(annotations) - 1)
        for result in _results(annotations):
            controls[Control(str(result.get("from_name")), str(result.get("type")))] += 1
            shown.setdefault(str(result.get("from_name")), str(result.get("to_name") or ""))
    control = _pick(controls, data, path.name, labels)
    left_out["results of other controls"] += controls.total() - controls[control]
    task = "qa" if asked and _TASKS[control.kind] == "ner" else _TASKS[control.kind]
    if {data.task, task} == {"ner", "qa"}:
        task = data.task  # spans are either, as a person wants it
    check_task(path, data, task)
    names = {"label": control.name, "shown_by": shown.get(control.name) or data.shown_by, "id": "id", "group": None}
    here = data.model_copy(update={"encoding": encoding, "task": task} | names)
    cells = partial(_cells, control=control.name, qa=task == "qa")
    opened = read_rows(path.name, partial(rows_of, path, encoding, cells), here, labels)
    counts = opened.unread.counts + Counter({"predictions of models": predictions})
    return Opened(opened.data, opened.records, left_out, Unread(counts, partial(whole_items, path, encoding)), opened.liberties)


def _check(item: Any, where: str) -> None:
    if not looks_like_label_studio(item):
        raise DataError(f'{where}: expected a task: {{"data": {{"text": "..."}}, "annotations": [...]}}')


def _annotations(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that hold, the ground truth first where one is marked."""
    given = item.get("annotations")
    valid = [one for one in given if isinstance(one, dict) and not one.get("was_cancelled")] if isinstance(given, list) else []
    return sorted(valid, key=lambda one: not one.get("ground_truth"))


def _results(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = annotations[0].get("result") if annotations else None
    return [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []


def _pick(controls: Counter[Control], data: Data, name: str, labels: Labels) -> Control:
    readable = [control for control, _ in controls.most_common() if control.kind in _TASKS]
    fitting = [control for control in readable if control.name == data.label] or [
        control
        for control in readable
        if data.task in (None, _TASKS[control.kind]) or (data.task == "qa" and _TASKS[control.kind] == "ner")
    ]
    if fitting:
        return fitting[0]
    if controls and labels == "required":
        found = ", ".join(f"{control.name} ({control.kind})" for control in controls)
        raise DataError(f"{name}: no results of a kind that can be learned from, but {found}{did_you_mean(data.label or '', found)}")
    learned = data.label if data.label and "+" not in data.label else "label"  # as a model knows it, whose file had annotations
    return Control(learned, "choices" if data.task == "classification" else "labels")


def _cells(item: Any, where: str, *, control: str, qa: bool) -> dict[str, Any]:
    _check(item, where)
    annotations = _annotations(item)
    values = [result.get("value") for result in _results(annotations) if result.get("from_name") == control]
    if not all(isinstance(value, dict) for value in values):
        raise DataError(f"{where}: a result of {control} has no value")
    said = [given for value in values for given in (_answers(value) if qa else _given(value))] if annotations else None
    if said is not None and len(said) == 1 and isinstance(said[0], int | float):
        said = said[0]
    own = item["data"].get("id")  # the task's own number is given anew at every import
    return item["data"] | {"id": item.get("id") if own is None else own, control: said}


def _given(value: dict[str, Any]) -> list[Any]:
    """The classes, the number, or the spans, one for each of its labels."""
    if "choices" in value:
        return value["choices"] if isinstance(value["choices"], list) else [value["choices"]]
    if isinstance(number := value.get("rating", value.get("number")), int | float):
        return [number]
    place = value | value["globalOffsets"] if isinstance(value.get("globalOffsets"), dict) else value
    marks = value.get("labels", value.get("hypertextlabels"))
    span = {name: place[name] for name in ("start", "end", "text") if name in place}
    span |= {name: int(at) for name in ("start", "end") if isinstance(at := span.get(name), str) and _NUMBER.fullmatch(at)}
    return [span | {"label": mark} for mark in (marks if isinstance(marks, list) and marks else [marks])]


def _answers(value: dict[str, Any]) -> list[Any]:
    return [{"text": span.get("text"), "answer_start": span.get("start")} for span in _given(value)[:1] if isinstance(span, dict)]


def write_label_studio(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A list of tasks to import. What people say becomes an annotation; what a model says a prediction, to be reviewed.

    A task that was read is written as it was where people have annotated it, and keeps all of its data where a model does.
    """
    yield from separated((json.dumps(_task(record, target), ensure_ascii=False) for record in records), "[\n", ",\n", "\n]\n")


def _task(record: Record, target: Target) -> dict[str, Any]:
    given = target.beside(record)
    if given and target.made_by == "people":
        return given
    named = {"id": record.id, "group": record.group, "question": record.question, "text_pair": record.text_pair}
    column = target.data.text or "text"
    data = {column: record.text} | {name: value for name, value in named.items() if value}
    task = {name: given[name] for name in ("id", "data", "meta") if name in given} or {"data": data}
    results = _written(record, target.data.label or "label", target.data.shown_by or column)
    if results is None:
        return task | {"annotations": []}
    if target.made_by == "people":
        return task | {"annotations": [{"result": results}]}
    confidences = [span.confidence for span in record.entities or record.answers or () if span.confidence is not None]
    least = {"score": round(min(confidences), 6)} if confidences else {}  # tasks are sorted by it, the least sure first
    return task | {"predictions": [{"model_version": "headway", "result": results} | least]}


def _written(record: Record, name: str, shown: str) -> list[dict[str, Any]] | None:
    if record.label is not None:
        label = record.label
        kind = "number" if isinstance(label, float) else "choices"
        value = {"number": label} if isinstance(label, float) else {"choices": [label] if isinstance(label, str) else list(label)}
        return [{"from_name": name, "to_name": shown, "type": kind, "value": value}]
    spans = record.answers if record.answers is not None else record.entities
    return None if spans is None else [_region(span, record.text, name, shown) for span in spans]


def _region(span: Span, text: str, name: str, shown: str) -> dict[str, Any]:
    value = {"start": span.start, "end": span.end, "text": text[span.start : span.end], "labels": [span.label or _ANSWER]}
    score = {} if span.confidence is None else {"score": round(span.confidence, 6)}
    return {"from_name": name, "to_name": shown, "type": "labels", "value": value | score}
