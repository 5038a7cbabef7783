"""What scored predictions are on disk: the folder of a run, or of `headway evaluate --out`, read back as records and predictions."""

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from headway.errors import DataError, did_you_mean
from headway.folders import hash_files
from headway.jobs.run_folder import DATA, MODEL, PREDICTIONS, SETTINGS
from headway.metrics import Scores, score_answers, score_classes, score_label_sets, score_numbers, score_spans, with_probabilities
from headway.readers import files_of
from headway.records import Prediction, Record, Span

EVALUATED = "evaluated.json"  # of `headway evaluate --out`: the run whose model was scored, and the file; no run.toml, as it is no run


class Example(NamedTuple):
    """A record and what a model says of it."""

    record: Record
    said: Prediction


@dataclass(frozen=True)
class Run:
    """What a folder tells of a run; settings and data are empty where nothing says how its model was trained."""

    name: str
    folder: Path
    parts: dict[str, list[Example]]  # "test", "dev"; "" where predictions are of one file
    settings: dict[str, dict]
    data: dict


def read_run(folder: Path) -> Run:
    """
    Raises:
        DataError: there are no scored predictions, or they cannot be read.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        near = did_you_mean(folder.name, [other.name for other in folder.parent.glob("*")]) if folder.parent.is_dir() else ""
        what = (
            "holds no predictions.jsonl; expected a finished run, or headway evaluate --out" if folder.is_dir() else f"no such folder{near}"
        )
        raise DataError(f"{folder}: {what}")
    parts = read_examples(path)
    if not parts:
        raise DataError(f"{path}: holds no scored example; train with a dev or test set")
    told = read_object(folder / EVALUATED)
    settings = read_settings(folder) or told.get("settings", {})
    return Run(folder.name or str(folder), folder, parts, settings, read_object(folder / DATA) or told.get("data", {}))


def describe_evaluation(path: Path, data: Path) -> dict:
    """What tells later how the model at `path`, of a run or by itself, was trained, and what it was scored on."""
    run = path if (path / SETTINGS).is_file() or path.resolve().name != MODEL else path.resolve().parent
    of_run = read_object(run / DATA)
    return {
        "model": str(path.resolve()),
        "file": {"path": str(data), "sha256": hash_files(files_of(data))},
        "settings": read_settings(run),
        "data": {name: of_run[name] for name in ("files", "records") if name in of_run},
    }


def read_settings(folder: Path) -> dict[str, dict]:
    """Of a run folder; empty where it is none.

    Raises:
        DataError: they cannot be read.
    """
    return _parsed(folder / SETTINGS, tomllib.loads)


def read_object(path: Path) -> dict:
    """A JSON file of a run folder; empty where there is none.

    Raises:
        DataError: it cannot be read.
    """
    return _parsed(path, json.loads)


def _parsed(path: Path, parse: Callable[[str], dict]) -> dict:
    if not path.is_file():
        return {}
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path}: not the {path.suffix[1:].upper()} that was written there; the file has been damaged")
    return found


def read_examples(path: Path) -> dict[str, list[Example]]:
    """The scored examples of a predictions.jsonl, by part.

    Raises:
        DataError: a line is none.
    """
    parts: dict[str, list[Example]] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            part, example = _read(line, f"{path}:{number}")
            parts.setdefault(part, []).append(example)
    return parts


def _read(line: str, where: str) -> tuple[str, Example]:
    try:
        row = json.loads(line)
        record, said = _record(row, where), _prediction(row)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{where}: not a scored prediction; expected a line as headway train or headway evaluate --out writes it") from None
    return row.get("part", ""), Example(record, said)


def _record(row: dict, where: str) -> Record:
    gold = row["gold"]
    inputs = {name: row.get(name) for name in ("text_pair", "question")} | {name: row.get(name, "") for name in ("id", "group")}
    if "entities" in row or "answer" in row:
        field = "entities" if "entities" in row else "answers"
        return Record(row["text"], **inputs, **{field: _spans(gold)}, where=where)
    return Record(row["text"], **inputs, label=tuple(gold) if isinstance(gold, list) else gold, where=where)


def _prediction(row: dict) -> Prediction:
    label, span = row.get("label"), row.get("span")
    return Prediction(
        label=tuple(label) if isinstance(label, list) else label,
        entities=_spans(row["entities"]) if "entities" in row else None,
        answer=row.get("answer"),
        span=Span(span["start"], span["end"]) if span else None,
        confidence=row.get("confidence"),
        scores=row.get("scores"),
    )


def _spans(rows: Sequence[dict]) -> tuple[Span, ...]:
    return tuple(Span(row["start"], row["end"], row.get("label", ""), row.get("confidence")) for row in rows)


# --- scored again, without the model


def kind_of(example: Example) -> str:
    """What is predicted: the key of `SCORERS`."""
    record = example.record
    if record.entities is not None:
        return "entities"
    if record.answers is not None:
        return "answers"
    return "labels" if isinstance(record.label, tuple) else "class" if isinstance(record.label, str) else "number"


def score(examples: Sequence[Example]) -> Scores:
    """The scores of a task, of its predictions alone."""
    scores = SCORERS[kind_of(examples[0])](examples)
    return with_probabilities(scores, [example.record for example in examples], [example.said for example in examples])


def _score_classes(examples: Sequence[Example]) -> Scores:
    classes = list(examples[0].said.scores or {})  # in the order of the model: of two, the second is the one a problem is about
    positive = classes[1] if len(classes) == 2 else None
    return score_classes([e.record.label for e in examples], [e.said.label for e in examples], positive=positive)


def _score_labels(examples: Sequence[Example]) -> Scores:
    return score_label_sets([e.record.label for e in examples], [e.said.label for e in examples])


def _score_numbers(examples: Sequence[Example]) -> Scores:
    return score_numbers([e.record.label for e in examples], [e.said.label for e in examples])


def _score_entities(examples: Sequence[Example]) -> Scores:
    return score_spans([e.record.entities for e in examples], [e.said.entities for e in examples])


def _score_answers(examples: Sequence[Example]) -> Scores:
    gold = [[e.record.text[answer.start : answer.end] for answer in e.record.answers] for e in examples]
    return score_answers(gold, [e.said.answer for e in examples])


SCORERS: dict[str, Callable[[Sequence[Example]], Scores]] = {
    "class": _score_classes,
    "labels": _score_labels,
    "number": _score_numbers,
    "entities": _score_entities,
    "answers": _score_answers,
}
