"""Short trainings: all learn from few records, the better half from twice as many, until two are left that learn from the most.

Each training is whole, with its own schedule, and starts from the pretrained weights: one that was broken off in the midst of its schedule
would say little of what its candidate can do. Records are nested, so that each rung adds to those before.

Source: Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter Optimization, arXiv:1502.07943 (successive
halving); Renggli et al. 2022, SHiFT, arXiv:2204.01457 (of pretrained networks, after a look at their features).
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from headway import model, recipe
from headway.errors import ConfigError, ModelError, TrainingError
from headway.events import Estimate, Evaluated, Event, Said, Stepped, Worked, Working, relay
from headway.folders import put_back, write_text
from headway.jobs.answers import answer
from headway.jobs.learning import STOPPED, Started, fitted_answers, learn
from headway.jobs.pace import KEPT_BACK, Pace, clock_words, fitting_seconds, measuring
from headway.jobs.pristine import keep_pristine
from headway.jobs.rank.features import Contest, positions_of, sample_size, told
from headway.jobs.rank.kept import TRAINED, Judged, Plan, Rung, Trained, keep, read_judged, read_trained
from headway.jobs.run_folder import MODEL, PREDICTIONS, SCORES
from headway.jobs.scores import scores_json
from headway.jobs.start import starting
from headway.metrics import Scores, complete
from headway.records import Prediction, Record
from headway.wording import metric_text, score_text

LEARNING = "learning"  # the folder of the training that is made
ALWAYS_TRAINED = 4  # candidates that frozen features do not put out: they are right in most cases, and not in all
TRAINED_RECORDS, TRAINED_CHARACTERS = 2_000, 500_000  # at most, of the last rung, where no time is given
FEWEST_RECORDS = 64  # of a rung
LAST = 2  # candidates of the last rung
WATCHED, FEWEST_WATCHED = 4, 100  # of so many records learned from, one of dev is answered after each epoch; and how many at least
FINER = 1.1  # times fewer records, until all fits into the time
LOST = (ModelError, TrainingError, ConfigError, torch.OutOfMemoryError)  # what ends a training of one candidate, and not the others


def planning(contest: Contest, *, seconds: float | None) -> Working[Plan]:
    """Fields and records of all rungs: as many records as fit into the seconds that are left, by the pace of every candidate here.

    Raises:
        ConfigError: not even the fewest fit.
    """
    judged = read_judged(contest.folder)
    field = first_field(contest, judged)
    most = len(contest.corpus.train)
    usual = sample_size(contest.corpus.train, most=TRAINED_RECORDS, characters=TRAINED_CHARACTERS)
    if seconds is None:
        return Plan(contest.candidates, rungs(len(field), last=usual))
    begun = time.monotonic()
    costs = []
    for candidate in field:
        costs.append((yield from _cost(contest, candidate, usual, seconds=seconds / len(field))))
    left = seconds * (1 - KEPT_BACK) - (time.monotonic() - begun)
    last = float(most)
    while (needed := _needed(rungs(len(field), last=round(last)), costs)) > left:
        if last <= FEWEST_RECORDS:
            text = f"trainings of {len(field)} candidates on {FEWEST_RECORDS} records and more take {clock_words(needed)} on this machine"
            raise ConfigError(f"--time: too short: {text}, {clock_words(max(left, 0))} are left; --quick looks at features alone")
        last = max(last / FINER, FEWEST_RECORDS)
    return Plan(contest.candidates, rungs(len(field), last=round(last)))


def first_field(contest: Contest, judged: Mapping[str, Judged]) -> list[str]:
    """Those that are trained at all, the most promising first: of more than a few, the half whose features explain more."""
    there = [candidate for candidate in contest.candidates if candidate in judged]
    ordered = sorted(there, key=lambda candidate: -(judged[candidate].explained or 0.0))
    known = all(judged[candidate].explained is not None for candidate in there)
    return ordered[: max(ALWAYS_TRAINED, -(-len(ordered) // 2))] if known else ordered


def rungs(field: int, *, last: int) -> list[Rung]:
    """The better half goes on to twice the records; the last rung has `last` of them."""
    fields = [field]
    while fields[-1] > LAST:
        fields.append(-(-fields[-1] // 2))
    sizes = [max(last // 2**back, min(FEWEST_RECORDS, last)) for back in reversed(range(len(fields)))]
    return [Rung(records, count) for records, count in zip(sizes, fields, strict=True)]


@dataclass(frozen=True)
class Cost:
    """What a training of a candidate takes here."""

    contest: Contest
    candidate: str
    started: Started  # on `records`
    pace: Pace  # of that
    records: int

    def seconds(self, records: int) -> float:
        """Loaded, trained for the epochs that the recipe has for so many, and asked about all of dev at the end."""
        share = records / self.records
        windows = max(round(share * len(self.started.train)), 1)
        asked, task = self.contest.config_of(self.candidate), self.started.model.task.name
        decided = recipe.decided(asked, task=task, parameters=0, windows=windows, pairs=False, pooling="first")
        dev, whole = len(self.contest.corpus.dev), self.pace.evaluation
        start = self.pace.start
        if self.started.config.model.head == "fitted":
            answer = whole / len(self.started.dev)
            start += fitting_seconds(answer, windows) - fitting_seconds(answer, len(self.started.train))
        pace = replace(self.pace, start=start, evaluation=whole * watched_size(records, dev) / dev)
        return pace.training(decided.train.epochs, evaluations=decided.train.evaluations, share=share) + whole


def watched_size(records: int, dev: int) -> int:
    """Records of dev that are answered after each epoch: of a short training answering all of them would take the most time."""
    return min(max(records // WATCHED, FEWEST_WATCHED), dev)


def _cost(contest: Contest, candidate: str, records: int, *, seconds: float) -> Working[Cost]:
    positions = positions_of(contest.corpus.train, count=records, seed=contest.config.train.seed)
    started = yield from starting(contest.corpus, contest.config_of(candidate), positions=positions)
    pace = yield from measuring(keep_pristine(started), contest.corpus.train, seconds=seconds)
    return Cost(contest, candidate, started, pace, records)


def _needed(ladder: Sequence[Rung], costs: Sequence[Cost]) -> float:
    """Seconds of all rungs, if the slowest go on."""
    return sum(sum(sorted((cost.seconds(rung.records) for cost in costs), reverse=True)[: rung.field]) for rung in ladder)


# --- the trainings


def halve(contest: Contest, plan: Plan) -> Iterator[Event]:
    """Train what the plan asks for and was not trained before; a training that fails ends its candidate, and the rest goes on.

    Raises:
        TrainingError: of a rung not one training came to its end.
    """
    field = first_field(contest, read_judged(contest.folder))
    yield from _say_field(contest, field)
    for number, rung in enumerate(plan.rungs, start=1):
        field = field[: rung.field]
        yield Said(
            f"rung {number} of {len(plan.rungs)}", f"{_count(len(field))} on {rung.records:,} of {len(contest.corpus.train):,} records"
        )
        for candidate in field:
            if (candidate, rung.records) not in read_trained(contest.folder):
                try:
                    yield from _train(contest, candidate, rung.records)
                except LOST as error:
                    yield Said(contest.shown(candidate), f"left out: {told(error, candidate)}", warning=True)
        done = read_trained(contest.folder)
        there = [candidate for candidate in field if (candidate, rung.records) in done]
        if not there:
            raise TrainingError(f"of {_count(len(field))} on {rung.records:,} records not one was trained to its end")
        field = _best_first(there, rung, done)


def _best_first(field: Sequence[str], rung: Rung, done: Mapping[tuple[str, int], Trained]) -> list[str]:
    return sorted(field, key=lambda candidate: -done[candidate, rung.records].score.value)


def failed(contest: Contest, plan: Plan) -> dict[str, int]:
    """The candidates whose training came to no end, and on how many records that was."""
    field, done, found = first_field(contest, read_judged(contest.folder)), read_trained(contest.folder), {}
    for rung in plan.rungs:
        field = field[: rung.field]
        found |= {candidate: rung.records for candidate in field if (candidate, rung.records) not in done}
        field = _best_first([candidate for candidate in field if candidate not in found], rung, done)
    return found


def _count(field: int) -> str:
    return f"{field} {'candidate' if field == 1 else 'candidates'}"


def _say_field(contest: Contest, field: Sequence[str]) -> Iterator[Said]:
    out = [contest.shown(candidate) for candidate in read_judged(contest.folder) if candidate not in field]
    if out:
        yield Said("not trained", f"{', '.join(out)}: their features explain least")


def _train(contest: Contest, candidate: str, records: int) -> Iterator[Event]:
    """By the same path as `headway train`: the best model on dev, with its decisions fitted there."""
    begun, name = time.monotonic(), contest.folder_of(candidate, records)
    positions = positions_of(contest.corpus.train, count=records, seed=contest.config.train.seed)
    started = yield from starting(contest.corpus, contest.config_of(candidate), positions=positions)
    folder, how = contest.folder / f"{LEARNING}-{name}", started.config.train
    put_back(folder / MODEL)
    folder.mkdir(exist_ok=True)
    steps: list[Stepped] = []
    yield from relay(learn(_watching(contest, started, records), folder), partial(_progress, folder=contest.folder, steps=steps))
    best = model.load(folder / MODEL, precision=how.precision, device=how.device, token_budget=how.token_budget)
    task, predictions = fitted_answers(best, contest.corpus.dev, started.dev)
    scores = complete(task.score(contest.corpus.dev, predictions), contest.corpus.dev, predictions)
    keep_predictions(contest.folder / TRAINED / name, contest.corpus.dev, predictions, scores)
    value = scores.values[scores.main]
    tokens = float(np.mean([len(window) for window in started.train]))
    pace = steps[-1].tokens_per_second / tokens if steps else 0.0
    estimate = Estimate(value, *(scores.interval(scores.main) or (value, value)))
    trained = Trained(candidate, records, scores.main, estimate, round(pace, 2), round(time.monotonic() - begun, 3), name)
    keep(contest.folder, trained)
    shutil.rmtree(folder)
    shown_score = f"{metric_text(trained.metric)} {score_text(value)} ({score_text(estimate.low)}–{score_text(estimate.high)})"
    yield Said(contest.shown(candidate), f"{shown_score} · {clock_words(trained.seconds)} · {pace:,.0f} texts/s")


def _watching(contest: Contest, started: Started, records: int) -> Started:
    """The same with a part of dev to choose the best epoch by."""
    count = watched_size(records, len(started.dev_records))
    watched = positions_of(started.dev_records, count=count, seed=contest.config.train.seed)
    place = {position: number for number, position in enumerate(watched)}
    windows = [replace(window, record=place[window.record]) for window in started.dev if window.record in place]
    return replace(started, dev_records=[started.dev_records[position] for position in watched], dev=windows)


def keep_predictions(folder: Path, records: Sequence[Record], predictions: Sequence[Prediction], scores: Scores) -> None:
    """As `headway evaluate --out` leaves them, so that `headway compare` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ({"part": "dev", **answer(record, said, gold=True)} for record, said in zip(records, predictions, strict=True))
    write_text(folder / PREDICTIONS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_text(folder / SCORES, json.dumps(scores_json({"dev": scores}, {}), indent=1))


def _progress(event: Event, folder: Path, steps: list[Stepped]) -> Iterator[Event]:
    """Only what moves, and what has gone wrong: the rest would be said once for every training."""
    if isinstance(event, Stepped):
        steps[:] = [event]
    if isinstance(event, Stepped | Evaluated | Worked) or (isinstance(event, Said) and event.warning):
        yield event
    elif isinstance(event, Said) and event.topic == STOPPED:
        yield Said(STOPPED, f"saved. Go on with the same command and --out {folder}")
