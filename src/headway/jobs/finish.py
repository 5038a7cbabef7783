"""The end of a training: the best model, with its decisions fitted on dev, scored beside its baselines, and all of it written down."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from headway import model
from headway.events import Event, Said, Scored
from headway.folders import write_text
from headway.goldens import choose
from headway.jobs import failures
from headway.jobs.answers import answer
from headway.jobs.corpus import Corpus
from headway.jobs.coverage import coverage_json, measure_coverage, say_coverage
from headway.jobs.laps import Laps
from headway.jobs.learning import Started, fitted_answers
from headway.jobs.run_folder import MODEL, PREDICTIONS, SCORES
from headway.jobs.scores import label_rows, scores_json, sliced, weak
from headway.jobs.worth import baselines_json, beside_model, say_worth, score_baselines
from headway.metrics import Scores, complete
from headway.model import Model
from headway.records import Prediction, Record
from headway.tasks import Task

BELOW = "below chance"


def finish(started: Started, corpus: Corpus, folder: Path, laps: Laps) -> Iterator[Event]:
    """Score the best model on dev and test; test is opened here and nowhere else."""
    how = started.config.train
    best = model.load(folder / MODEL, precision=how.precision, device=how.device, token_budget=how.token_budget)
    answered: dict[str, list[Prediction]] = {}
    if corpus.dev:
        best.task, answered["dev"] = fitted_answers(best, corpus.dev, started.dev)
    laps.lap("answer")
    _keep_decisions(best.task, folder, _goldens(started, corpus))
    laps.lap("save")
    if corpus.test:
        answered["test"] = [prediction for _, prediction in best.stream(corpus.test)]
    laps.lap("answer")
    parts = {part: {"dev": corpus.dev, "test": corpus.test}[part] for part in answered}
    beside = score_baselines(started, corpus.train, parts, folder)
    laps.lap("baselines")
    scores, slices, coverage, lines = {}, {}, {}, []
    for part, predictions in answered.items():
        records = parts[part]
        scores[part] = complete(best.task.score(records, predictions), records, predictions)
        slices[part] = sliced(best.task, records, predictions, started.config.report, corpus.sliced.get(part, {}))
        rows = ({"part": part, **answer(record, said, gold=True)} for record, said in zip(records, predictions, strict=True))
        lines += [json.dumps(row, ensure_ascii=False) for row in rows]
        coverage[part] = measure_coverage(best.task, records, predictions)
    laps.lap("score")
    write_text(folder / PREDICTIONS, "".join(line + "\n" for line in lines))
    failed = list(_failures(best, corpus, answered["dev"], scores["dev"], beside["dev"])) if corpus.dev else []
    if not scores:
        yield Said("not scored", "there is neither dev nor test: nothing says how good this model is", warning=True)
    else:
        last = list(scores)[-1]
        yield Scored(f"scores on {last}", beside_model(scores, beside))
        yield from failed
        if BELOW not in [said.topic for said in failed]:
            yield from say_worth(scores, beside)
        if rows := label_rows(scores[last]):
            yield Scored(f"{last}, each by itself", rows)
        yield from weak(scores[last], slices[last], title=f"{last}, weak where")
    yield from say_coverage(best.task, coverage)
    told = scores_json(scores, slices) | baselines_json(beside) | coverage_json(best.task, coverage)
    laps.lap("tell")
    write_text(folder / SCORES, json.dumps(told | {"failures": {said.topic: said.text for said in failed}}, indent=1))


def _failures(best: Model, corpus: Corpus, said: Sequence[Prediction], dev: Scores, baselines: dict[str, Scores]) -> Iterator[Said]:
    """What has gone wrong without an error, as dev shows it."""
    sample = corpus.train[:: max(len(corpus.train) // failures.TRAIN_RECORDS, 1)]
    learned = best.task.score(sample, best.answers(sample).predictions)
    told = {
        "not computed": failures.not_a_number(dev),
        "all alike": failures.all_alike(corpus.dev, said),
        BELOW: failures.below_constant(dev, baselines),
        "by heart": failures.knows_by_heart(learned, dev),
    }
    yield from (Said(name, text, warning=True) for name, text in told.items() if text is not None)


def _keep_decisions(task: Task, folder: Path, goldens: Sequence[Record]) -> None:
    """Give the model in the folder its fitted decisions and golden predictions; the exact weights are there and nowhere else."""
    exact = replace(model.load(folder / MODEL, precision="fp32", device="cpu"), task=task, goldens=None)
    if goldens:
        model.take_goldens(exact, goldens)
    exact.save(folder / MODEL)


def _goldens(started: Started, corpus: Corpus) -> list[Record]:
    """The inputs whose answers are kept: of dev where there is one."""
    records, windows = (corpus.dev, started.dev) if corpus.dev else (corpus.train, started.train)
    count = started.config.decide.goldens
    return choose(records, windows, count=count, seed=started.config.train.seed) if count else []
