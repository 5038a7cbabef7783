"""headway train --seeds N: trainings that differ by train.seed alone, beside each other, what they score together, and the one to keep.

Each lies in a run folder of its own and is what `headway train --set train.seed=...` makes; data is read, audited and tokenised once.
The folder above them is that of the run that was kept, with the table of all in `seeds.json`.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from headway.config import Config
from headway.events import Estimate, Evaluated, Event, Said, Scored, Stepped, Worked, relay
from headway.folders import MANIFEST, put_back, whole_folder, write_text
from headway.jobs.corpus import Corpus, Files
from headway.jobs.learning import STOPPED, Started
from headway.jobs.provenance import open_provenance
from headway.jobs.recovery import keep_rollback, read_rollbacks
from headway.jobs.report import write_report
from headway.jobs.report.spread import say_kept, say_spread
from headway.jobs.run_folder import CHECKPOINTS, DATA, MODEL, PROVENANCE, SCORES, SEEDS, SETTINGS, open_folder
from headway.jobs.scored import read_run, score
from headway.jobs.scores import shown_metrics
from headway.jobs.start import start_on
from headway.metrics import Choice, choose_run, spread

MEAN, DEVIATION, OF_ONE = "mean of seeds", "deviation", "± of one run"  # rows of the table

TrainOne = Callable[[Started, Corpus, Path], Iterator[Event]]


@dataclass(frozen=True)
class Ran:
    """A finished training."""

    seed: int
    folder: Path
    scores: dict  # what its scores.json holds


def train_seeds(started: Started, corpus: Corpus, files: Files, folder: Path, *, train_one: TrainOne) -> Iterator[Event]:
    """Train with each seed that has not finished, compare them, and keep one."""
    count, first = started.config.train.seeds, started.config.train.seed
    told = f"{count} trainings that differ by train.seed alone, {first} to {first + count - 1}"
    yield Said("seeds", f"{told}; each in a folder of its own under {folder}")
    ran = []
    for seed in range(first, first + count):
        run = folder / f"seed-{seed}"
        if (run / SCORES).is_file():
            yield Said(f"seed {seed}", "has already finished")
            shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)  # it may have been killed before it did so itself
        else:
            yield Said(f"seed {seed}", f"{len(ran) + 1} of {count}")
            fresh = start_on(started, corpus.train, range(len(corpus.train)), _with_seed(started.config, seed))
            put_back(run / MODEL)
            if not (run / SETTINGS).is_file():
                open_folder(run, fresh.config, corpus, files, about=json.loads((folder / DATA).read_text(encoding="utf-8")))
                write_text(run / PROVENANCE, json.dumps(open_provenance(fresh), indent=1))
            for rolled in read_rollbacks(folder).values():
                keep_rollback(run, rolled)  # of what all seeds start from
            yield from relay(train_one(fresh, corpus, run), partial(_of_one, seed=seed, folder=folder))
        ran.append(Ran(seed, run, json.loads((run / SCORES).read_text(encoding="utf-8"))))
    yield from _answer(ran, folder)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # of what all seeds started from


def _with_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed, "seeds": 1})})


def _of_one(event: Event, *, seed: int, folder: Path) -> Iterator[Event]:
    """What moves, and what has gone wrong; scores are told of all together."""
    if isinstance(event, Said) and event.topic == STOPPED:
        yield Said(STOPPED, f"in seed {seed}, saved. Go on with: headway train --resume {folder}")
    elif isinstance(event, Stepped | Evaluated | Worked) or (isinstance(event, Said) and event.warning):
        yield event


# --- all together


def _answer(ran: Sequence[Ran], folder: Path) -> Iterator[Event]:
    """Tables, the choice, and the files of the run that is kept; its scores come last, as they say that all is there."""
    parts = list(ran[0].scores["main"])
    for part in parts:
        yield Scored(part, _rows(ran, part))
    choice = _choice(ran) if "dev" in parts else None
    kept = ran[choice.best if choice else 0]
    told = _as_json(ran, kept, choice)
    yield from _say(told, kept.scores["main"])
    write_text(folder / SEEDS, json.dumps(told, indent=1))
    keep_run(kept.folder, folder)
    yield from write_report(folder)


def keep_run(run: Path, folder: Path) -> None:
    """Give the folder above the files of the run that is kept, but for its settings and data; its scores come last."""
    with whole_folder(folder / MODEL) as fresh:
        shutil.copytree(run / MODEL, fresh, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    for file in run.iterdir():
        if file.is_file() and file.name not in (SETTINGS, DATA, SCORES):
            shutil.copyfile(file, folder / file.name)
    write_text(folder / SCORES, (run / SCORES).read_text(encoding="utf-8"))


def _choice(ran: Sequence[Ran]) -> Choice:
    """By what each says of dev, read back from its predictions."""
    said = [read_run(run.folder).parts["dev"] for run in ran]
    return choose_run([score(examples) for examples in said], [example.record.unit for example in said[0]])


def _metrics(ran: Sequence[Ran], part: str) -> list[str]:
    """Those that every run has: without a single entity found, say, there is no calibration."""
    return [metric for metric in ran[0].scores[part] if all(metric in run.scores[part] for run in ran)]


def _values(ran: Sequence[Ran], part: str, metric: str) -> list[float]:
    return [run.scores[part][metric]["value"] for run in ran]


def _half_width(ran: Sequence[Ran], part: str, metric: str) -> float | None:
    """Of the interval of one run over the examples, in the mean of all runs; None where there is none."""
    cells = [run.scores[part][metric] for run in ran]
    return fmean((cell["high"] - cell["low"]) / 2 for cell in cells) if all("low" in cell for cell in cells) else None


def _rows(ran: Sequence[Ran], part: str) -> dict[str, dict[str, float | Estimate]]:
    metrics = shown_metrics(_metrics(ran, part))
    spreads = {metric: spread(metric, _values(ran, part, metric)) for metric in metrics}
    widths = {metric: width for metric in metrics if (width := _half_width(ran, part, metric)) is not None}
    return {f"seed {run.seed}": {metric: run.scores[part][metric]["value"] for metric in metrics} for run in ran} | {
        MEAN: {metric: Estimate(of.mean, of.low, of.high) for metric, of in spreads.items()},
        DEVIATION: {metric: of.deviation for metric, of in spreads.items()},
        OF_ONE: widths,
    }


def _say(told: Mapping, main: Mapping[str, str]) -> Iterator[Said]:
    if not main:
        yield Said("not scored", "there is neither dev nor test: nothing says how good these models are", warning=True)
    if told["choice"]:
        yield Said("seeds", say_spread(told, main["dev"]))
    yield Said("kept", say_kept(told, main.get("dev")))


def _as_json(ran: Sequence[Ran], kept: Ran, choice: Choice | None) -> dict:
    """Every metric of every part; `examples` is half of one run's interval over the examples."""
    return {
        "seeds": [run.seed for run in ran],
        "kept": kept.seed,
        "choice": choice and {name: value for name, value in choice._asdict().items() if name != "best"},
        "parts": {
            part: {
                metric: spread(metric, _values(ran, part, metric))._asdict()
                | {"examples": _half_width(ran, part, metric), "each": _values(ran, part, metric)}
                for metric in _metrics(ran, part)
            }
            for part in ran[0].scores["main"]
        },
    }
