"""headway evaluate: a model and a labelled file -> a table, scores.json and predictions.jsonl."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from headway import model
from headway.config import read_config
from headway.errors import DataError, OutputError
from headway.events import Event, Finished, Said, Scored, Worked, Working
from headway.folders import write_text
from headway.jobs.answers import answer
from headway.jobs.corpus import slicing
from headway.jobs.coverage import coverage_json, measure_coverage, say_coverage
from headway.jobs.scored import EVALUATED, describe_evaluation
from headway.jobs.scores import label_rows, overall_row, scores_json, sliced, weak
from headway.metrics import complete
from headway.model import Model
from headway.readers import meaning, read, say_left_out
from headway.records import Prediction, Record


def evaluate(path: Path, data: Path, *, out: Path | None = None, settings: list[str] | None = None) -> Iterator[Event]:
    """Score the model at `path` on `data`; with `out`, write what was found there.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = read_config(None, settings or [])
    if out is not None and (out / "scores.json").exists():
        raise OutputError(f"{out / 'scores.json'}: exists; choose another --out")
    trained = model.load(path, precision=config.train.precision, device=config.train.device, token_budget=config.train.token_budget)
    yield Worked(f"reading {data.name}", 0)
    reading = read(data, meaning(trained.data, given=config.data))
    columns = slicing(data, reading, config)
    everything = list(reading.records)
    records = list(model.labelled(everything))
    if not records:
        raise DataError(f"{data.name}: no labelled record to evaluate on")
    trained.task.check(records)
    yield Said(data.name, f"{len(records):,} records · {reading.guessed}")
    if len(records) < len(everything):
        yield Said("", f"{len(everything) - len(records):,} records have no label and are left out", warning=True)
    if said := say_left_out(reading.left_out):
        yield Said("", f"not in the records: {said}", warning=True)
    predictions = yield from _answering(trained, records)
    scores = complete(trained.task.score(records, predictions), records, predictions)
    yield Scored("scores", {data.stem: overall_row(scores)})
    if rows := label_rows(scores):
        yield Scored("each by itself", rows)
    slices = sliced(trained.task, records, predictions, config.report, columns)
    yield from weak(scores, slices, title="weak where")
    coverage = {data.stem: measure_coverage(trained.task, records, predictions)}
    yield from say_coverage(trained.task, coverage)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        rows = (answer(record, prediction, gold=True) for record, prediction in zip(records, predictions, strict=True))
        write_text(out / "predictions.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        told = scores_json({data.stem: scores}, {data.stem: slices}) | coverage_json(trained.task, coverage)
        write_text(out / EVALUATED, json.dumps(describe_evaluation(path, data), indent=1))
        write_text(out / "scores.json", json.dumps(told, indent=1))
        yield Finished(out)


def _answering(trained: Model, records: Sequence[Record]) -> Working[list[Prediction]]:
    """What the model says of each, and how far it has come: it answers `model.BUFFER` records at once."""
    predictions: list[Prediction] = []
    yield Worked("answering", 0, len(records), "records")
    for _, prediction in trained.stream(records):
        predictions.append(prediction)
        if len(predictions) % model.BUFFER == 0:
            yield Worked("answering", len(predictions), len(records), "records")
    return predictions
