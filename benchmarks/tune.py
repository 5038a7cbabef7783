"""What a search for settings is worth: `headway tune` beside the default recipe, a grid of learning rates and random search, at equal time.

    python benchmarks/tune.py equal --rows sst2,trec,mrpc,conll2003       # test scores of each, three repeats
    python benchmarks/tune.py twenty --rows sst2,conll2003                # what 20 trials cost, in full trainings
    python benchmarks/tune.py time                                        # seconds that --time was given, and seconds taken
    python benchmarks/tune.py equal --rows trec --quick                   # 160 examples, one epoch, one repeat: to see that it runs
    python benchmarks/tune.py --page                                      # writes benchmarks/tune.md of what was measured; measures nothing

The grid is a full training at each of eight rates; what it takes is the time that random search and tune get. Random search draws full
trainings from the space that tune samples. All choose on dev, and the test set decides nothing; of large data they learn from a part
(PARTS). Each training and each search is a line of measured/tune.jsonl (with --quick, of build/tune.jsonl), and is not made again; one that
was stopped goes on within build/tune/. Data is looked for in ../shared/data (see corpora.py). Times are of the clock on the wall, from the
files to the report, with nothing else to do; the start of Python and its libraries is not in them.
"""

import argparse
import hashlib
import json
import math
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import optuna
import torch
from audit import table
from corpora import DATA, load, write
from equality import gain
from forecast import some

from headway.config import Range, read_config
from headway.events import Said, Tried
from headway.folders import add_to_log, read_log
from headway.jobs.pace import seconds_of
from headway.jobs.train import train
from headway.jobs.tune import tune
from headway.jobs.tune.space import usual_space
from headway.jobs.tune.study import SECONDS, STUDY
from headway.metrics import spread

WORK = Path("build/tune")
PAGE = Path(__file__).with_suffix(".md")
KEPT = {True: Path("build/tune.jsonl"), False: PAGE.parent / "measured/tune.jsonl"}  # by whether it is quick
RATES = (0.125, 0.25, 0.5, 0.7, 1.4, 2, 4, 8)  # of the default rate, which is a contestant of its own
REPEATS = 3
PARTS = {"sst2": 2000, "conll2003": 2000}  # records to learn from where contestants meet: a hundred trainings of all would take a day
TRIALS = 20
QUICK = 160  # examples of each file
QUICK_SETTINGS = ("train.epochs=1", "windows.max_tokens=32")
TIMED = {"sst2": 1000, "conll2003": 1000, "squad_v1.1": 300}  # records to learn from, of a data set of each task
TIMES = {"train": ("1m", "2m"), "tune": ("5m",)}
QUICK_TIMES = {"train": ("20s",), "tune": ("90s",)}
SCORED = 300  # records of dev, and of test, of those
MOST_OFF = 0.1  # of the time that was asked
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
    only_kept: bool = False  # whether nothing is to be measured
    records: int | None = None  # to learn from; None: all

    @property
    def key(self) -> str:
        marks = ["quick"] if self.quick else [f"records={self.records}"] if self.records else []
        return " ".join([self.row, f"repeat={self.repeat}", *marks, *self.settings])

    def files(self) -> dict[str, Path | None]:
        if self.records and not self.quick:
            return parts(self.row, self.records)
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


def parts(row: str, count: int, *, held_out: int | None = None) -> dict[str, Path | None]:
    """So many records of the training file, drawn at random, and so many of the other files that there are, each as a file."""
    corpus = load(row)
    folder = WORK / "parts" / f"{row}-{count}-{held_out or 'all'}"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {"data": (corpus.train, count), "dev": (corpus.dev, held_out), "test": (corpus.test, held_out)}
    return {part: write(folder / part, corpus, some(rows, size)) if rows else None for part, (rows, size) in chosen.items()}


# --- kept


class Unmeasured(Exception):
    """It is not among what was kept, and nothing is to be measured."""


def kept(asked: Asked, key: str, measure: Callable[[], dict]) -> dict:
    """What `measure` gives, or gave before: a line for each key."""
    path = KEPT[asked.quick]
    known = dict(read_log(path))
    if key not in known and asked.only_kept:
        raise Unmeasured(key)
    if key not in known:
        known[key] = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        add_to_log(path, [key, known[key]])
        print(key, str(known[key])[:200], file=sys.stderr, flush=True)
    return known[key]


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

    return kept(asked, key, measure)


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

    return kept(asked, key, measure)


def _best(runs: Sequence[dict]) -> dict:
    """By dev; of those that are level, the earlier one."""
    return max(runs, key=lambda run: run["dev"]) | {"seconds": _total(runs), "trainings": len(runs)}


def _total(runs: Sequence[dict]) -> float:
    return sum(run["seconds"] for run in runs)


DEFAULT, SEARCH = "default recipe", "headway tune"
CONTESTANTS: dict[str, Callable[[Asked], dict]] = {
    DEFAULT: default,
    f"grid of {len(RATES)} rates": grid,
    "random search": random_search,
    SEARCH: tuned,
}


# --- what is told


def equal(asked_for: "AskedFor") -> str:
    """Test scores in the mean of the repeats, with Student's interval, and that of one run over its examples."""
    found = list(_contests(asked_for))
    if not found:
        return ""
    columns = ["data", "by", "metric", "test", "interval over repeats", "less the default's", "± of one run", "dev", "trainings", "minutes"]
    rows = [_cells(row, name, runs, by_name[DEFAULT]) for row, by_name in found for name, runs in by_name.items()]
    return "\n\n".join([table(columns, rows), *_worth(found)])


def _contests(asked_for: "AskedFor") -> Iterator[tuple[str, dict[str, list[dict]]]]:
    """Of each row the runs of every contestant, of the repeats that all of them have."""
    for row in asked_for.rows(ROWS):
        count = 1 if asked_for.quick else REPEATS
        repeats = [asked_for.of(row, repeat)._replace(records=PARTS.get(row)) for repeat in range(1, count + 1)]
        runs = [found for asked in repeats if (found := _contest(asked)) is not None]
        if runs:
            yield row, {name: [found[name] for found in runs] for name in CONTESTANTS}


def _contest(asked: Asked) -> dict[str, dict] | None:
    try:
        return {name: measure(asked) for name, measure in CONTESTANTS.items()}
    except Unmeasured:
        return None


def _cells(row: str, name: str, runs: Sequence[dict], default_runs: Sequence[dict]) -> list[str]:
    metric, tests = runs[0]["metric"], [run["test"]["value"] for run in runs]
    of = spread(metric, tests) if len(tests) > 1 else None
    interval = f"{of.low:.3f}–{of.high:.3f}" if of else "one run"
    half = sum((run["test"]["high"] - run["test"]["low"]) / 2 for run in runs) / len(runs)
    dev, count, seconds = (sum(run[part] for run in runs) / len(runs) for part in ("dev", "trainings", "seconds"))
    mean, less = sum(tests) / len(tests), "" if name == DEFAULT else _gain(runs, default_runs) or "one repeat"
    return [row, name, metric, f"{mean:.3f}", interval, less, f"{half:.3f}", f"{dev:.3f}", f"{count:.0f}", f"{seconds / 60:.1f}"]


def _gain(runs: Sequence[dict], others: Sequence[dict]) -> str | None:
    """How much more a contestant scores on test, paired by repeat: the same seeds and the same split."""
    return gain([run["test"]["value"] for run in runs], [run["test"]["value"] for run in others]) if len(runs) > 1 else None


def _worth(found: Sequence[tuple[str, dict[str, list[dict]]]]) -> Iterator[str]:
    """A sentence for each data set: whether the search has given anything that the default does not."""
    for row, by_name in found:
        told = _gain(by_name[SEARCH], by_name[DEFAULT])
        if told is not None:
            mean, reach = map(float, told.split(" ± "))
            words = "The search is better than the default" if mean > 0 else "The default is better than the search"
            words = words if abs(mean) > reach else "The default is as good as the search"
            yield f"{words} on {row} ({told} in {len(by_name[SEARCH])} repeats)."


def twenty(asked_for: "AskedFor") -> str:
    """What the trials of a search cost, in trainings of the default recipe; the finals come on top."""
    rows = []
    for row in asked_for.rows(ROWS):
        asked = asked_for.of(row, 1)
        try:
            whole, found = trained(asked)["learning"], _trials(asked)
        except Unmeasured:
            continue
        cost = f"{found['seconds'] / whole:.2f}"
        rows.append([row, f"{whole:.0f} s", f"{found['seconds']:.0f} s", cost, found["done"], found["pruned"]])
    columns = ["data", "a full training", f"{TRIALS} trials", "in full trainings", "done", "pruned"]
    return table(columns, rows) if rows else ""


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

    return kept(asked, key, measure)


def times(asked_for: "AskedFor") -> str:
    """Seconds that were asked of `headway train --time` and `headway tune --time`, and seconds that were taken."""
    rows = []
    for row in asked_for.rows(TIMED):
        for job, asked in ((job, asked) for job, times in (QUICK_TIMES if asked_for.quick else TIMES).items() for asked in times):
            try:
                found = _timed(asked_for.of(row, 1), job, asked)
            except Unmeasured:
                continue
            off = found["taken"] / found["asked"] - 1
            held = "yes" if abs(off) <= MOST_OFF else "no"
            rows.append(
                [row, f"headway {job} --time {asked}", f"{found['asked']:.0f}", f"{found['taken']:.0f}", f"{off:+.0%}", held, found["made"]]
            )
    return table(["data", "command", "asked, s", "taken, s", "off", "within a tenth", "made"], rows) if rows else ""


def _timed(asked: Asked, job: str, duration: str) -> dict:
    """No patience: who stops before has time left by its own choice."""
    key = " ".join([f"time of {job}", duration, asked.key])

    def measure() -> dict:
        folder, given = folder_of(key), ["train.patience=0", "audit.allow=all", *asked.settings]
        shutil.rmtree(folder, ignore_errors=True)  # what was stopped is no measurement
        count, held_out = (QUICK, QUICK) if asked.quick else (TIMED[asked.row], SCORED)
        files, own = parts(asked.row, count, held_out=held_out), [f"{job}.time={duration}"]
        began = time.monotonic()
        for _ in {"train": train, "tune": tune}[job](files.pop("data"), out=folder, config=read_config(None, [*given, *own]), **files):
            pass
        taken, made = time.monotonic() - began, f"epochs {read_config(folder / 'run.toml').train.epochs:g}"
        if job == "tune":
            told = json.loads((folder / "tune.json").read_text(encoding="utf-8"))
            made = f"{len(told['trials'])} trials, {len(told['finals'])} finals, {made}"
        shutil.rmtree(folder)
        return {"asked": seconds_of(duration, name="time"), "taken": round(taken, 1), "made": made}

    return kept(asked, key, measure)


# --- the page


TOLD = """# Settings: what a search is worth

`python benchmarks/tune.py`. Encoder: all-MiniLM-L6-v2. Everybody chooses on dev; the test set decides nothing."""
SECTIONS = {  # command -> its heading, and what is told of it
    "equal": (
        "At equal time",
        """A grid of eight learning rates, a full training each, takes as long as it takes; random search (full trainings from
the space that tune samples) and `headway tune --time` get as much. They learn from 2,000 records of sst2 and of conll2003, and from all
there are of the others. Differences are paired by repeat, which has the same seeds and the same split for everybody, with Student's 95%
interval; of few repeats only large differences show.""",
    ),
    "twenty": (
        "What 20 trials cost",
        "In trainings of the default recipe, by the clock. The finals come on top: three seeds of each of three finalists.",
    ),
    "time": (
        "Whether `--time` is kept",
        """Of some records of a data set of each task. Stopping early is off; ten epochs are the most that a training is
given. The start of Python and its libraries, some seconds, is not counted.""",
    ),
}


def page(asked_for: "AskedFor") -> str:
    """Of every section what was measured; those of which nothing was are left out."""
    told = {heading: (about, COMMANDS[name](asked_for)) for name, (heading, about) in SECTIONS.items()}
    shown = [f"## {heading}\n\n{about}\n\n{found}" for heading, (about, found) in told.items() if found]
    return "\n\n".join([TOLD, *shown, MACHINE]) + "\n"


MACHINE = f"torch {torch.__version__}, {torch.get_num_threads()} threads."
COMMANDS: dict[str, Callable[["AskedFor"], str]] = {"equal": equal, "twenty": twenty, "time": times}


class AskedFor(NamedTuple):
    """What a person asks of this script."""

    names: str | None
    quick: bool
    settings: tuple[str, ...]
    only_kept: bool

    def rows(self, usual: Iterable[str]) -> list[str]:
        return self.names.split(",") if self.names else list(usual)

    def of(self, row: str, repeat: int) -> Asked:
        return Asked(row, repeat, self.quick, self.settings, self.only_kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS, nargs="?")
    parser.add_argument("--rows", help=f"of {', '.join(ROWS)}; with time, of {', '.join(TIMED)}")
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--quick", action="store_true", help="few examples; its page is build/tune/quick.md")
    parser.add_argument("--page", action="store_true", help="only write the page")
    arguments = parser.parse_args()
    asked_for = AskedFor(arguments.rows, arguments.quick, tuple(arguments.set or ()), arguments.page)
    if arguments.page:
        (WORK / "quick.md" if arguments.quick else PAGE).write_text(page(asked_for), encoding="utf-8")
    elif arguments.what is None:
        parser.error("what to measure? " + ", ".join(COMMANDS))
    else:
        print(f"{MACHINE}\n\n{COMMANDS[arguments.what](asked_for)}")


if __name__ == "__main__":
    main()
