"""The end of a training: the best model, with its decisions fitted on dev, scored beside its baselines, and all of it written down."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from headway import model
from headway.events import Event, Said, Scored
from headway.folders import write_text
from headway.goldens import MOST_TOKENS, choose
from headway.jobs import failures
from headway.jobs.answers import answer
from headway.jobs.corpus import Corpus
from headway.jobs.coverage import coverage_json, measure_coverage, say_coverage
from headway.jobs.laps import Laps
from headway.jobs.learning import Started, fitted_answers
from headway.jobs.recovery import RATE, ROLL_BACK, read_rollbacks
from headway.jobs.run_folder import MODEL, PREDICTIONS, SCORES, STEPS
from headway.jobs.scores import Sliced, label_rows, scores_json, sliced, weak
from headway.jobs.worth import Baseline, Beside, Worth, beside_model, say_worth, score_baselines, weigh_worth, worth_json
from headway.metrics import Scores, complete
from headway.packing import Order
from headway.records import Prediction, Record
from headway.tasks import Task

FEW_GOLDENS = 3  # times fewer than were wanted: worth a word
SAID_BEFORE = (ROLL_BACK, failures.NO_LEARNING)  # while it learned


def finish(started: Started, corpus: Corpus, folder: Path, laps: Laps) -> Iterator[Event]:
    """Score the best model on dev and test; test is opened here and nowhere else."""
    how = started.config.train
    best = model.load(folder / MODEL, precision=how.precision, device=how.device, token_budget=how.token_budget)
    answered: dict[str, list[Prediction]] = {}
    if corpus.dev:
        best.task, answered["dev"] = fitted_answers(best, corpus.dev, started.dev)
    laps.lap("answer")
    chosen = _goldens(started, corpus)
    kept = _keep_decisions(best.task, folder, chosen)
    laps.lap("save")
    if corpus.test:
        answered["test"] = [prediction for _, prediction in best.stream(corpus.test)]
    laps.lap("answer")
    parts = {part: {"dev": corpus.dev, "test": corpus.test}[part] for part in answered}
    beside = score_baselines(started, corpus.train, parts, folder)
    laps.lap("baselines")
    scores, slices, coverage, worth, lines = {}, {}, {}, {}, []
    for part, predictions in answered.items():
        records = parts[part]
        scores[part] = complete(best.task.score(records, predictions), records, predictions)
        slices[part] = sliced(best.task, records, predictions, started.config.report, corpus.sliced.get(part, {}))
        rows = ({"part": part, **answer(record, said, gold=True)} for record, said in zip(records, predictions, strict=True))
        lines += [json.dumps(row, ensure_ascii=False) for row in rows]
        coverage[part] = measure_coverage(best.task, records, predictions)
        worth[part] = weigh_worth(best.task, records, predictions, beside[part])
    laps.lap("score")
    write_text(folder / PREDICTIONS, "".join(line + "\n" for line in lines))
    failed = _learning_failures(started, folder)
    if scores:
        part = next(iter(scores))  # dev, by which the model was chosen, or else test
        sample = corpus.train[:: max(len(corpus.train) // failures.TRAIN_RECORDS, 1)]
        learned = best.task.score(sample, best.answers(sample).predictions)
        failed |= _failures(Part(part, parts[part], answered[part], scores[part]), learned, beside[part])
    yield from _say(scores, beside, worth, failed, slices)
    different = {(record.text, record.text_pair, record.question) for record in corpus.dev or corpus.train}
    yield from say_goldens(kept, chosen=len(chosen), wanted=min(started.config.decide.goldens, len(different)))
    yield from say_coverage(best.task, coverage)
    told = scores_json(scores, slices) | worth_json(beside, worth) | coverage_json(best.task, coverage) | {"failures": failed}
    if (rolled := read_rollbacks(folder).get(RATE)) is not None:
        told |= {"rolled_back": {"times": rolled.times, "learning_rate": rolled.learning_rate}}
    laps.lap("tell")
    write_text(folder / SCORES, json.dumps(told, indent=1))


def _say(
    scores: Mapping[str, Scores], beside: Beside, worth: Mapping[str, Worth], failed: Mapping[str, str], slices: Mapping[str, Sliced]
) -> Iterator[Event]:
    if not scores:
        yield Said("not scored", "there is neither dev nor test: nothing says how good this model is", warning=True)
    else:
        last = list(scores)[-1]
        yield Scored(f"scores on {last}", beside_model(scores, beside))
    yield from (Said(topic, text, warning=True) for topic, text in failed.items() if topic not in SAID_BEFORE)
    if scores:
        if failures.BELOW not in failed:
            yield from say_worth(scores, beside, worth)
        if rows := label_rows(scores[last]):
            yield Scored(f"{last}, each by itself", rows)
        yield from weak(scores[last], slices[last], title=f"{last}, weak where")


class Part(NamedTuple):
    """What was held out and scored."""

    name: str
    records: Sequence[Record]
    said: Sequence[Prediction]
    scores: Scores


def _failures(part: Part, learned: Scores, baselines: Mapping[str, Baseline]) -> dict[str, str]:
    """What has gone wrong without an error, as this part shows it, by topic; `learned` are scores on what was learned from."""
    told = {
        "not computed": failures.not_computed(part.scores, part=part.name),
        "all alike": failures.all_alike(part.records, part.said, part=part.name),
        failures.BELOW: failures.below_constant(part.scores, {n: b.scores for n, b in baselines.items()}, part=part.name),
        "by heart": failures.knows_by_heart(learned, part.scores, part=part.name),
    }
    return {topic: text for topic, text in told.items() if text is not None}


def _learning_failures(started: Started, folder: Path) -> dict[str, str]:
    """The same, as the log of the training shows it."""
    order = Order(len(started.train), started.config.train.batch_size, started.config.train.seed)
    judge, topic = {
        "random": (failures.does_not_learn, failures.NO_LEARNING),
        "fitted": (failures.adds_nothing, failures.ADDS_NOTHING),
    }[started.config.model.head]
    rolled = read_rollbacks(folder).values()
    told = {
        ROLL_BACK: " · ".join(of_one.text for of_one in rolled) or None,
        topic: judge(failures.read_losses(folder / STEPS), updates_per_epoch=order.updates_per_epoch),
    }
    return {topic: text for topic, text in told.items() if text is not None}


def _keep_decisions(task: Task, folder: Path, goldens: Sequence[Record]) -> int:
    """Give the model in the folder its fitted decisions and golden predictions, and say how many; the exact weights are there alone."""
    exact = replace(model.load(folder / MODEL, precision="fp32", device="cpu"), task=task, goldens=None)
    if goldens:
        model.take_goldens(exact, goldens)
    exact.save(folder / MODEL)
    return len(exact.goldens.examples) if exact.goldens else 0


def _goldens(started: Started, corpus: Corpus) -> list[Record]:
    """The inputs whose answers are kept: of dev where there is one."""
    records, windows = (corpus.dev, started.dev) if corpus.dev else (corpus.train, started.train)
    count = started.config.decide.goldens
    return choose(records, windows, count=count, seed=started.config.train.seed) if count else []


def say_goldens(kept: int, *, chosen: int, wanted: int) -> Iterator[Said]:
    """One line where far fewer golden predictions are kept than were asked for."""
    if kept * FEW_GOLDENS >= wanted:
        return
    longer = f"{chosen} texts are as many as {MOST_TOKENS:,} tokens hold, which is what a load reads again" if chosen < wanted else ""
    rounded = f"of {chosen - kept} the answer is another in bf16" if kept < chosen else ""
    why = "; ".join(reason for reason in (longer, rounded) if reason)
    less = "a load checks less" if kept else "a load cannot tell whether the model says what it said"
    yield Said("golden", f"{kept} of {wanted} golden predictions are kept: {why}; {less}", warning=kept == 0)
