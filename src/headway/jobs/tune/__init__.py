"""headway tune: labelled files and a number of trials, or a time -> the best settings that were found, honestly chosen, and their model."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from headway.config import Config, Range, Tune, read_config, with_settings
from headway.errors import ConfigError, OutputError
from headway.events import Event, Finished, Said, Working
from headway.jobs.audit import quick_audit
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.laps import Laps
from headway.jobs.learning import Started
from headway.jobs.pace import KEPT_BACK, measuring, seconds_of, with_epochs
from headway.jobs.pristine import Pristine, keep_pristine
from headway.jobs.provenance import describe_data
from headway.jobs.run_folder import REPORT, SCORES, check_same_data, new_folder, open_folder, refuse_files
from headway.jobs.run_folder import SETTINGS as RUN
from headway.jobs.start import audit_tokens, decided, refuse_stages, say_tokens, starting
from headway.jobs.train import say_corpus, say_start
from headway.jobs.tune.answer import answer
from headway.jobs.tune.clock import Deadline, Plan, mean_cost, plan
from headway.jobs.tune.finals import best_run, crown, finalists, read_finals, train_finalists
from headway.jobs.tune.page import PAGE
from headway.jobs.tune.space import Space, examples, in_order, setting, usual_space
from headway.jobs.tune.study import Study, of_database, open_study
from headway.jobs.tune.trial import TRIALS, TRIALS_WITHOUT_TIME, Search, count_of, search_all, tidy
from headway.jobs.tune.words import short
from headway.splits import nested

SETTINGS = "tune.toml"  # what the search was started with; run.toml is what it found
COST = 0.2  # of a full training, that a trial may take in the mean: 20 trials then cost 4 or 5 of them
FEWEST_WINDOWS = 2_000  # with fewer a trial learns too little to be judged by
AGAIN = ("trials", "time")  # of [tune], that a search which goes on may be given anew


def tune(
    data: Path | None = None,
    *,
    dev: Path | None = None,
    test: Path | None = None,
    out: Path | None = None,
    config: Config | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Search, train the best again with new seeds, choose by their means, and open the test set for the winner.

    Raises:
        HeadwayError: something a person can put right.
    """
    if resume:
        folder, config, files = _find(data, out, config)
        refuse_files(folder, dev=dev, test=test)
    else:
        config = config or Config()
        files = find_files(config, data=data, dev=dev, test=test)
        folder = new_folder(out, f"{files.train.stem}-tune")
    if (folder / SCORES).is_file():
        yield Said("resume", f"{folder} has already finished, and its test set has been opened: search anew to go on")
        yield Finished(folder)
        return
    begun, laps = time.monotonic(), Laps()
    _check(config)
    corpus = yield from reading_corpus(files, config)
    laps.lap("read")
    if not corpus.dev:
        raise ConfigError("split.dev = 0: a search measures on a dev set; give --dev, or leave split.dev away")
    yield from say_corpus(corpus, files)
    findings = [] if resume else (yield from quick_audit(corpus, files, config))
    laps.lap("audit")
    started = yield from starting(corpus, config)
    findings += [] if resume else audit_tokens(started, corpus, config)
    yield from say_start(started, corpus)
    yield from say_tokens(findings)
    ready = _ready(started, corpus, config)
    planned = None if resume else (yield from _planning(ready, corpus, config, begun=begun))  # before there is a folder: it may not fit
    if resume:
        check_same_data(folder, corpus, files)
    else:
        open_folder(folder, config, corpus, files, about=describe_data(corpus, started, findings), settings=SETTINGS)
    laps.lap("start")
    laps.keep(folder)
    made_with = _made_with(ready, corpus, files, config.tune)
    study = open_study(folder, config.tune, made_with, plan=planned, seed=started.config.train.seed)
    with of_database(study.url, error=OutputError, hint=f"; go on with: headway tune --resume {folder}"):
        if study.plan() is None:
            study.keep_plan((yield from _planning(ready, corpus, config, begun=begun)))
        search = _search(ready, corpus, study, config, folder=folder, begun=begun)
        yield from _say_search(search)
        yield from _searched(search, files)
    yield Finished(folder)


def _searched(search: Search, files: Files) -> Iterator[Event]:
    """The trials, and where this machine makes them the finals."""
    yield from search_all(search)
    if not search.study.makes_finals():
        yield Said("finals", f"are made where the study was: {search.study.where()}; the trials of this machine are done")
        return
    chosen = finalists(search)
    yield Said("finals", _say_finals(search, [trial.number for trial in chosen]))
    yield from train_finalists(search, files, chosen)
    ran = read_finals(search.folder)
    yield from answer(search, chosen, ran)
    yield from crown(search, best_run(ran))
    yield Said("report", f"{search.folder / REPORT} · {search.folder / PAGE} tells of the search")
    yield Said("repeat it", f"headway train --config {search.folder / RUN}")


def _find(data: Path | None, out: Path | None, config: Config | None) -> tuple[Path, Config, Files]:
    """The search to go on with; there may be more trials or time."""
    folder = out or data
    if folder is None or not (folder / SETTINGS).is_file():
        raise ConfigError(f"{folder or '--resume'}: no search to go on with; expected headway tune --resume FOLDER")
    kept, given = read_config(folder / SETTINGS), config or Config()
    again = {name: getattr(given.tune, name) for name in AGAIN if getattr(given.tune, name) is not None}
    if given != Config(tune=Tune(**again)):
        raise ConfigError(f"{folder}: a search goes on with its own settings, but for --trials and --time; leave --set and --config away")
    kept = with_settings(kept, {f"tune.{name}": value for name, value in again.items()})
    return folder, kept, find_files(kept, data=None, dev=None, test=None)


def _check(config: Config) -> None:
    """Raise ConfigError where a setting would be passed over in silence."""
    refuse_stages(config, job="tune")
    if config.train.seeds > 1:
        raise ConfigError(f"train.seeds = {config.train.seeds}: a search trains with tune.seeds of its own; leave train.seeds away")
    if config.train.epochs == 0:
        raise ConfigError("train.epochs = 0: a search compares trainings, and there is none; raise it, or headway train fits the new layer")
    if config.train.time:
        raise ConfigError(f'train.time = "{config.train.time}": a search has tune.time for all of it; leave train.time away')
    if config.tune.time:
        seconds_of(config.tune.time, name="tune.time")


class Ready(NamedTuple):
    """What a search needs of its network and its space."""

    pristine: Pristine
    space: Space


def _ready(started: Started, corpus: Corpus, config: Config) -> Ready:
    """
    Raises:
        ConfigError: the space does not go with the data.
    """
    base = started.config.model_copy(update={"tune": Tune()})
    parameters = sum(weight.numel() for weight in started.model.encoder.network.parameters())
    numbers = getattr(started.model.task, "kind", None) == "number"
    usual = usual_space(base, parameters=parameters, windows=len(started.train), numbers=numbers)
    space = in_order(config.tune.space) or usual
    pristine = keep_pristine(replace(started, config=base))
    for values in examples(space):
        pristine.for_settings(with_settings(base, values), corpus.train)
    return Ready(pristine, space)


def _planning(ready: Ready, corpus: Corpus, config: Config, *, begun: float) -> Working[Plan]:
    """What fits into the time, by the pace of this machine; without a time, what was asked for."""
    how, tuning = ready.pristine.started.config.train, config.tune
    if tuning.time is None:
        return Plan(how.epochs, tuning.finalists, count_of(tuning), 0.0, 0.0, 0.0)
    seconds = seconds_of(tuning.time, name="tune.time")
    pace = yield from measuring(ready.pristine, corpus.train, seconds=seconds)
    windows = len(ready.pristine.started.train)
    share = partial(_share, tuning, windows=windows)
    left = seconds - (time.monotonic() - begun)
    return plan(pace, tuning, seconds=left, epochs=how.epochs, evaluations=how.evaluations, share=share)


def _search(ready: Ready, corpus: Corpus, study: Study, config: Config, *, folder: Path, begun: float) -> Search:
    started, kept = ready.pristine.started, study.plan()
    base = decided(with_epochs(config, kept.epochs), started.model, corpus.train, started.train).model_copy(update={"tune": Tune()})
    share = _share(config.tune, kept.epochs, windows=len(started.train))
    chosen = set(nested(corpus.train, shares=(share, 1), seed=base.train.seed)[0] if share < 1 else range(len(corpus.train)))
    windows = [window for window in started.train if window.record in chosen]
    deadline = Deadline()
    if config.tune.time:
        seconds = seconds_of(config.tune.time, name="tune.time") * (1 - KEPT_BACK)
        spent = study.spent() + sum(run.seconds for run in read_finals(folder))
        deadline = Deadline(seconds - (time.monotonic() - begun) - spent)
    for trial in study.finished():
        tidy(folder / TRIALS / str(trial.number))  # it may have been killed before it did so itself
    tuning = config.tune.model_copy(update={"finalists": kept.finalists})
    return Search(study, ready.space, ready.pristine, corpus, base, tuning, windows, folder, kept, deadline)


def _share(tune: Tune, epochs: float, *, windows: int) -> float:
    """Of the records, so that a trial costs `COST` of a training in the mean of a usual search: one that goes on longer keeps its share."""
    if tune.share != "auto":
        return tune.share
    return min(max(COST / mean_cost(epochs, trials=TRIALS_WITHOUT_TIME), min(FEWEST_WINDOWS / windows, 1)), 1.0)


def _made_with(ready: Ready, corpus: Corpus, files: Files, tuning: Tune) -> dict:
    """What trials have to have in common to be compared; where files lie is not part of it."""
    started = ready.pristine.started
    summary = corpus.summary(files)
    settings = started.config.model_dump(exclude={"data": {"train", "dev", "test"}, "model": {"base_model"}, "track": True, "report": True})
    return {
        "headway": version("headway"),
        **{f"the sha256 of the {name} file": file["sha256"] for name, file in summary["files"].items()},
        "split": summary["split"],
        "base model": started.source.name,
        **{f"{section}.{name}": value for section, values in settings.items() for name, value in values.items()},
        "tune.space": {name: tried.model_dump(exclude_none=True) for name, tried in ready.space.items()},
        "tune.share": tuning.share,
    }


def _say_search(search: Search) -> Iterator[Said]:
    yield Said(
        "search",
        f"{_count(search)}; {'usual ' * (not search.tune.space)}space: {'; '.join(map(_range, *zip(*search.space.items(), strict=True)))}",
    )
    done = len(search.study.finished())
    if done:
        yield Said("kept", f"{done} {'trial has' if done == 1 else 'trials have'} been finished before")
    all_records = len(search.corpus.train)
    if search.records < all_records:
        yield Said("", f"trials learn from {search.records:,} of {all_records:,} records; the best are trained again on all")
    yield Said("", f"each is kept when it is done; to go on after a stop: headway tune --resume {search.folder}")
    for name, first in search.first().items():
        now = setting(search.base, name)
        if now != first:
            yield Said("", f"{name} is {now} by default, which is not tried: the first trial takes {first}", warning=True)


def _count(search: Search) -> str:
    first = "the first is the default recipe"
    if search.tune.time is None:
        return f"{count_of(search.tune)} trials, {first}"
    how = f"{search.plan.epochs:.3g} epochs a trial, {search.plan.finalists} finalists"
    return f"in {search.tune.time}, at the pace of this machine: about {search.plan.trials} trials, {how}; {first}"


def _range(name: str, tried: Range) -> str:
    """learning_rate 3e-05 to 0.0005; batch_size 8, 16 or 32"""
    key = name.partition(".")[2]
    if tried.choices is None:
        return f"{key} {short(tried.low)} to {short(tried.high)}"
    *others, last = map(short, tried.choices)
    return f"{key} {' or '.join([', '.join(others), last]) if others else last}"


def _say_finals(search: Search, trials: list[int]) -> str:
    named = ", ".join(map(str, trials))
    return f"trials {named}, each with {search.tune.seeds} new seeds, on all {len(search.corpus.train):,} records; the best mean wins"
