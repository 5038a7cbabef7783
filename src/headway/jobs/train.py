"""headway train: labelled files -> a run folder with a fine-tuned model and honest scores."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from headway import model
from headway.backend import pick_dtype
from headway.config import Config
from headway.errors import ConfigError
from headway.events import Event, Finished, Said, Scored, Worked
from headway.folders import write_text
from headway.goldens import choose
from headway.jobs import failures
from headway.jobs.answers import answer
from headway.jobs.audit import quick_audit
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.coverage import coverage_json, measure_coverage, say_coverage
from headway.jobs.laps import Laps
from headway.jobs.learning import Started, fitted_answers, learn
from headway.jobs.pace import planning, seconds_of
from headway.jobs.run_folder import CHECKPOINTS, MODEL, PREDICTIONS, SCORES, check_same_data, find_run, new_folder, open_folder
from headway.jobs.scores import label_rows, scores_json, sliced, weak
from headway.jobs.seeds import train_seeds
from headway.jobs.start import starting
from headway.jobs.track import check_tracker, tracked
from headway.jobs.worth import baselines_json, beside_model, say_worth, score_baselines
from headway.metrics import Scores, complete
from headway.model import Model
from headway.records import Prediction, Record
from headway.tasks import Task

BELOW = "below chance"


def train(
    data: Path | None = None,
    *,
    dev: Path | None = None,
    test: Path | None = None,
    out: Path | None = None,
    config: Config | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Fine-tune, and tell how it goes. The run folder ends up with everything that the last event, `Finished`, points to.

    A KeyboardInterrupt that is thrown in at a `yield` saves a checkpoint first.

    Raises:
        HeadwayError: something a person can put right.
    """
    if resume:
        folder, config, files = find_run(data, out, config)
    else:
        config = config or Config()
        files = find_files(config, data=data, dev=dev, test=test)
        folder = new_folder(out, files.train.stem)
    if resume and (folder / SCORES).is_file():
        yield Said("resume", f"{folder} has already finished")
        yield Finished(folder)
        return
    check_tracker(config)
    laps, begun = Laps(), time.monotonic()
    seconds = _seconds(config)
    corpus = yield from reading_corpus(files, config)
    laps.lap("read")
    yield from say_corpus(corpus, files)
    if not resume:
        yield from quick_audit(corpus, files, config)
        laps.lap("audit")
    started = yield from starting(corpus, config)
    if seconds is not None:
        left = seconds - (time.monotonic() - begun)
        started, told = yield from planning(started, corpus.train, seconds=left / config.train.seeds)
        yield told
    laps.lap("start")
    yield from say_start(started, corpus)
    if resume:
        check_same_data(folder, corpus, files)
    else:
        open_folder(folder, started.config, corpus, files)
    laps.keep(folder)
    if started.config.train.seeds > 1:
        yield from train_seeds(started, corpus, files, folder, train_one=_train_one)
    else:
        yield from _train_one(started, corpus, folder)
    yield Said("try it", f"headway predict {folder} {_an_input(corpus.dev or corpus.train)}")
    yield Finished(folder)


def _seconds(config: Config) -> float | None:
    """That the training may take; None: as long as it takes."""
    if config.train.time and config.train.epochs != "auto":
        raise ConfigError(f"train.epochs = {config.train.epochs:g} and train.time: each says how long to train; leave one of them away")
    return seconds_of(config.train.time, name="train.time") if config.train.time else None


def _train_one(started: Started, corpus: Corpus, folder: Path) -> Iterator[Event]:
    yield from tracked(_learn_and_finish(started, corpus, folder), folder, started.config)


def _learn_and_finish(started: Started, corpus: Corpus, folder: Path) -> Iterator[Event]:
    laps = Laps()
    yield from learn(started, folder)
    laps.lap("train")
    yield Worked("scoring", 0)
    yield from finish(started, corpus, folder, laps)
    laps.keep(folder)
    shutil.rmtree(folder / CHECKPOINTS)  # three times the model's size, and nothing is left to go on with


def finish(started: Started, corpus: Corpus, folder: Path, laps: Laps) -> Iterator[Event]:
    """The best model with its decisions fitted on dev, scored; test is opened here and nowhere else."""
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
    if not scores:
        yield Said("not scored", "there is neither dev nor test: nothing says how good this model is", warning=True)
    else:
        last = list(scores)[-1]
        yield Scored(f"scores on {last}", beside_model(scores, beside))
        failed = list(_failures(best, corpus, answered["dev"], scores["dev"], beside["dev"])) if corpus.dev else []
        yield from failed
        if BELOW not in [said.topic for said in failed]:
            yield from say_worth(scores, beside)
        if rows := label_rows(scores[last]):
            yield Scored(f"{last}, each by itself", rows)
        yield from weak(scores[last], slices[last], title=f"{last}, weak where")
    yield from say_coverage(best.task, coverage)
    told = scores_json(scores, slices) | baselines_json(beside) | coverage_json(best.task, coverage)
    laps.lap("tell")
    write_text(folder / SCORES, json.dumps(told, indent=1))


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


# --- what is said before training


def say_corpus(corpus: Corpus, files: Files) -> Iterator[Said]:
    held = f"{len(corpus.dev):,} for dev ({corpus.how})" if corpus.dev else "no dev set"
    tested = f" · {len(corpus.test):,} for test" if corpus.test else ""
    yield Said(files.train.name, f"{len(corpus.train):,} to learn from · {held}{tested}")
    yield Said("", f"read as {corpus.task} · {corpus.guessed}")
    for name, count in corpus.unlabelled.items():
        yield Said(name, f"{count:,} records have no label and are left out", warning=True)
    for name, kinds in corpus.left_out.items():
        yield Said(name, f"not in the records: {kinds}", warning=True)
    if corpus.cut and corpus.cut.left_out:
        yield Said("", f"{len(corpus.cut.left_out):,} late records share text or group with older ones and are left out", warning=True)


def say_start(started: Started, corpus: Corpus) -> Iterator[Said]:
    encoder, train = started.model.encoder, started.config.train
    device = encoder.network.device
    millions = sum(weight.numel() for weight in encoder.network.parameters()) / 1e6
    where = "bundled · " if started.source.bundled else ""
    where = "random weights · " if started.config.model.weights == "random" else where
    dtype = {torch.bfloat16: "bf16", torch.float32: "fp32"}[pick_dtype(train.precision, device)]
    yield Said("base model", f"{started.source.name} · {millions:.1f} M parameters · {where}{dtype} on {device}")
    if encoder.layout == "padded":
        yield Said(
            "", "this architecture takes no packed batches: it is called padded, which is slower, and keeps its own attention dropout"
        )
    yield Said("new layer", _describe_layer(started.model, corpus))
    lengths = np.array([len(window) for window in started.train])
    several = sum(count > 1 for count in Counter(window.record for window in started.train).values())
    text = f"median {int(np.median(lengths))} tokens, 99% under {int(np.quantile(lengths, 0.99)) + 1}"
    yield Said("length", text + (f"; {several:,} texts are read in several windows" if several else ""))
    if started.unreachable:
        what = {"ner": "entities", "qa": "answers"}.get(started.model.task.name, "labels")
        yield Said("", f"{started.unreachable:,} {what} begin or end inside a token: they count, and cannot be found", warning=True)
    yield Said(
        "recipe", f"AdamW {train.learning_rate:g} · {train.epochs:g} epochs of {len(started.train):,} windows, {train.batch_size} an update"
    )


def _describe_layer(fresh: Model, corpus: Corpus) -> str:
    outputs = fresh.task.outputs()
    shown = ", ".join(outputs[:5]) + (f" and {len(outputs) - 5} more" if len(outputs) > 5 else "")
    reads = {"classification": f"one row a text, its {'first token' if fresh.encoder.pooling == 'first' else 'mean'}"}.get(
        corpus.task, "every token"
    )
    return f"{type(fresh.encoder.network).__name__} reads {reads} · {len(outputs)} outputs: {shown}"


def _an_input(records: Sequence[Record]) -> str:
    """A short text to try, quoted for a shell."""
    record = min(records[:200], key=lambda record: abs(len(record.text) - 60))
    if record.question or record.text_pair:
        return "questions.jsonl" if record.question else "pairs.csv"
    return json.dumps(" ".join(record.text.split())[:120], ensure_ascii=False).replace("$", "\\$").replace("`", "\\`")
