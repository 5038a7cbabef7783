"""What a search for settings is worth: `headway tune` beside the default recipe, a grid of learning rates and random search, at equal time.

    python benchmarks/tune.py equal --rows sst2,trec,mrpc,conll2003       # test scores of each, three repeats
    python benchmarks/tune.py twenty --rows sst2,conll2003                # what 20 trials cost, in full trainings
    python benchmarks/tune.py equal --rows trec --quick                   # 160 examples, one epoch, one repeat: to see that it runs

The grid is a full training at each of eight rates; what it takes is the time that random search and tune get. Random search draws full
trainings from the space that tune samples. All choose on dev, and the test set decides nothing. Each training and each search is a line of
build/tune.jsonl, and is not made again; one that was stopped goes on within build/tune/. Data is looked for in ../shared/data (see
corpora.py).
"""

import argparse
import hashlib
import json
import math
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import optuna
import torch
from corpora import DATA

from headway.config import Range, read_config
from headway.events import Said, Tried
from headway.jobs.train import train
from headway.jobs.tune import tune
from headway.jobs.tune.space import usual_space
from headway.jobs.tune.study import SECONDS, STUDY
from headway.metrics import spread

WORK = Path("build/tune")
KEPT = Path("build/tune.jsonl")
RATES = (0.125, 0.25, 0.5, 0.7, 1.4, 2, 4, 8)  # of the default rate, which is a contestant of its own
REPEATS = 3
TRIALS = 20
QUICK = 160  # examples of each file
QUICK_SETTINGS = ("train.epochs=1", "windows.max_tokens=32")
NEEDED = {"provenance.json": "base_model", "data.json": "records"}


class Row(NamedTuple):
    train: str
    dev: str | None  # a part of the training file where there is none
    test: str
    settings: tuple[str, ...] = ()


ROWS = {
    "sst2": Row("sst2/train.tsv", "sst2/dev.tsv", "sst2/test.tsv"),
    "trec": Row("trec/train_5500.label", None, "trec/TREC_10.label", ("data.label=coarse",)),
    "mrpc": Row("mrpc/train.tsv", "mrpc/dev.tsv", "mrpc/test.tsv"),
    "conll2003": Row("conll2003/eng.train", "conll2003/eng.testa", "conll2003/eng.testb"),
}


class Asked(NamedTuple):
    """A row, a repeat of it, and the settings that all contestants have."""

    row: str
    repeat: int
    quick: bool
    settings: tuple[str, ...]

    @property
    def key(self) -> str:
        return " ".join([self.row, f"repeat={self.repeat}", *(["quick"] if self.quick else []), *self.settings])

    def files(self) -> dict[str, Path | None]:
        row = ROWS[self.row]
        whole = {"data": DATA / row.train, "dev": row.dev and DATA / row.dev, "test": DATA / row.test}
        return {part: path and few(path) for part, path in whole.items()} if self.quick else whole

    def given(self) -> list[str]:
        seeds = [f"train.seed={100 * self.repeat + 1}", f"split.seed={self.repeat}"]
        return [*ROWS[self.row].settings, *(QUICK_SETTINGS if self.quick else ()), *seeds, *self.settings]


def few(path: Path) -> Path:
    """The first examples of a file, in one beside our work: blocks of lines where blank ones part them, else lines."""
    text = path.read_text(encoding="utf-8-sig")
    blocks = text.split("\n\n")
    cut = "\n\n".join(blocks[:QUICK]) + "\n\n" if len(blocks) > QUICK else "\n".join(text.split("\n")[:QUICK]) + "\n"
    short = WORK / "quick" / path.parent.name / path.name
    short.parent.mkdir(parents=True, exist_ok=True)
    short.write_text(cut, encoding="utf-8")
    return short


# --- kept


def kept(key: str, measure: Callable[[], dict]) -> dict:
    """What `measure` gives, or gave before: a line of KEPT for each key."""
    lines = KEPT.read_text(encoding="utf-8").splitlines() if KEPT.is_file() else []
    known = dict(map(json.loads, filter(_is_whole, lines)))
    if key not in known:
        known[key] = measure()
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with KEPT.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps([key, known[key]]) + "\n")  # a line before it may have been cut short
        print(key, str(known[key])[:200], file=sys.stderr, flush=True)
    return known[key]


def _is_whole(line: str) -> bool:
    try:
        return isinstance(json.loads(line), list)
    except ValueError:
        return False


def folder_of(key: str) -> Path:
    return WORK / hashlib.sha256(key.encode()).hexdigest()[:12]


# --- contestants


def trained(asked: Asked, own: Sequence[str] = ()) -> dict:
    """One full training: its scores on dev and test, and the seconds of all of it."""
    key = " ".join(["train", asked.key, *own])

    def measure() -> dict:
        folder, began = folder_of(key), time.perf_counter()
        resume = (folder / "run.toml").is_file()
        config, files = read_config(None, [*asked.given(), *own]), asked.files()
        for _ in train(folder if resume else files.pop("data"), **({} if resume else files), **_place(folder, config, resume)):
            pass
        found = scored(folder) | {"seconds": time.perf_counter() - began, "resumed": resume}
        used = read_config(folder / "run.toml")
        base, data = (json.loads((folder / name).read_text())[part] for name, part in NEEDED.items())
        facts = {
            "rate": used.train.learning_rate,
            "batch": used.train.batch_size,
            "parameters": base["parameters"],
            "records": data["train"],
        }
        learning = json.loads((folder / "data.json").read_text())["seconds"]["train"]
        shutil.rmtree(folder)
        return found | facts | {"learning": learning}

    return kept(key, measure)


def _place(folder: Path, config: object, resume: bool) -> dict:
    """What a job is told beside its files: a stopped one goes on with what it has."""
    return {"resume": True} if resume else {"out": folder, "config": config}


def scored(folder: Path) -> dict:
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    metric = scores["main"]["dev"]
    return {"metric": metric, "dev": scores["dev"][metric]["value"], "test": scores["test"][metric]}


def default(asked: Asked) -> dict:
    run = trained(asked)
    return run | {"trainings": 1}


def grid(asked: Asked) -> dict:
    """The best on dev of full trainings at other rates, and of the default's."""
    rate = trained(asked)["rate"]
    runs = [trained(asked, [f"train.learning_rate={rate * factor:g}"]) for factor in RATES]
    return _best(runs)


def random_search(asked: Asked) -> dict:
    """The best on dev of as many full trainings as there is time for."""
    seconds, runs = grid(asked)["seconds"], []
    draws = drawn(trained(asked), seed=asked.repeat)
    while not runs or _total(runs) * (len(runs) + 1) / len(runs) <= seconds:
        runs.append(trained(asked, [f"{name}={value}" for name, value in next(draws).items()]))
    return _best(runs)


def drawn(default_run: dict, *, seed: int) -> Iterator[dict]:
    """Settings, each at random from the space that tune searches."""
    settings = [f"train.learning_rate={default_run['rate']}", f"train.batch_size={default_run['batch']}"]
    space = usual_space(read_config(None, settings), parameters=default_run["parameters"], windows=default_run["records"], numbers=False)
    generator = random.Random(seed)
    while True:
        yield {name: _one_of(tried, generator) for name, tried in space.items()}


def _one_of(tried: Range, generator: random.Random) -> object:
    if tried.choices is not None:
        return generator.choice(tried.choices)
    low, high = (math.log(tried.low), math.log(tried.high)) if tried.log else (tried.low, tried.high)
    value = generator.uniform(low, high)
    return float(f"{math.exp(value) if tried.log else value:.4g}")


def tuned(asked: Asked) -> dict:
    """`headway tune --time`, with the time of the grid."""
    seconds = grid(asked)["seconds"]
    key = " ".join(["tune", asked.key, f"{seconds:.0f}s"])

    def measure() -> dict:
        folder, began = folder_of(key), time.perf_counter()
        resume = (folder / "tune.toml").is_file()
        config, files = read_config(None, [*asked.given(), f"tune.time={seconds:.0f}s"]), asked.files()
        for _ in tune(folder if resume else files.pop("data"), **({} if resume else files), **_place(folder, config, resume)):
            pass
        told = json.loads((folder / "tune.json").read_text(encoding="utf-8"))
        found = scored(folder) | {"seconds": time.perf_counter() - began, "resumed": resume}
        shutil.rmtree(folder)
        return found | {"trainings": len(told["trials"]) + len(told["finals"]), "trials": len(told["trials"]), "winner": told["winner"]}

    return kept(key, measure)


def _best(runs: Sequence[dict]) -> dict:
    """By dev; of those that are level, the earlier one."""
    return max(runs, key=lambda run: run["dev"]) | {"seconds": _total(runs), "trainings": len(runs)}


def _total(runs: Sequence[dict]) -> float:
    return sum(run["seconds"] for run in runs)


CONTESTANTS: dict[str, Callable[[Asked], dict]] = {
    "default recipe": default,
    f"grid of {len(RATES)} rates": grid,
    "random search": random_search,
    "headway tune": tuned,
}


# --- what is printed


def equal(arguments: argparse.Namespace) -> str:
    """Test scores in the mean of the repeats, with Student's interval, and that of one run over its examples."""
    repeats = 1 if arguments.quick else REPEATS
    lines = [
        "| data | by | metric | test | interval over repeats | ± of one run | dev | trainings | minutes |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in arguments.rows.split(","):
        asked = [Asked(row, repeat, arguments.quick, tuple(arguments.set or ())) for repeat in range(1, repeats + 1)]
        lines += [_line(row, name, [measure(of) for of in asked]) for name, measure in CONTESTANTS.items()]
    return "\n".join(lines)


def _line(row: str, name: str, runs: Sequence[dict]) -> str:
    metric, tests = runs[0]["metric"], [run["test"]["value"] for run in runs]
    of = spread(metric, tests) if len(tests) > 1 else None
    interval = f"{of.low:.3f}–{of.high:.3f}" if of else "one run"
    half = sum((run["test"]["high"] - run["test"]["low"]) / 2 for run in runs) / len(runs)
    dev, count, seconds = (sum(run[part] for run in runs) / len(runs) for part in ("dev", "trainings", "seconds"))
    cells = [
        row,
        name,
        metric,
        f"{sum(tests) / len(tests):.3f}",
        interval,
        f"{half:.3f}",
        f"{dev:.3f}",
        f"{count:.0f}",
        f"{seconds / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def twenty(arguments: argparse.Namespace) -> str:
    """What the trials of a search cost, in trainings of the default recipe; the finals come on top."""
    lines = [f"| data | a full training | {TRIALS} trials | in full trainings | done | pruned |", "|---|--:|--:|--:|--:|--:|"]
    for row in arguments.rows.split(","):
        asked = Asked(row, 1, arguments.quick, tuple(arguments.set or ()))
        whole, found = trained(asked)["learning"], _trials(asked)
        cells = [row, f"{whole:.0f} s", f"{found['seconds']:.0f} s", f"{found['seconds'] / whole:.2f}", found["done"], found["pruned"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _trials(asked: Asked) -> dict:
    key = " ".join([f"{TRIALS} trials", asked.key])

    def measure() -> dict:
        folder = folder_of(key)
        resume = (folder / "tune.toml").is_file()
        config, files = read_config(None, [*asked.given(), f"tune.trials={TRIALS}"]), asked.files()
        files.pop("test")  # nothing is to be opened
        job = tune(folder if resume else files.pop("data"), **({} if resume else files), **_place(folder, config, resume))
        ended = []
        for event in job:
            ended += [event] if isinstance(event, Tried) and event.state != "running" else []
            if isinstance(event, Said) and event.topic == "finals":
                break
        job.close()
        trials = optuna.load_study(study_name="headway", storage=f"sqlite:///{folder / STUDY}").trials
        seconds = sum(trial.user_attrs[SECONDS] for trial in trials)
        states = [event.state for event in ended]
        shutil.rmtree(folder)
        return {"seconds": seconds, "done": states.count("done"), "pruned": states.count("pruned"), "resumed": resume}

    return kept(key, measure)


COMMANDS = {"equal": equal, "twenty": twenty}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print(COMMANDS[arguments.what](arguments))


if __name__ == "__main__":
    main()
