"""headway tune: labelled files and a number of trials, or a time -> the best settings that were found, honestly chosen, and their model."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from headway.config import Config, Range, Tune, read_config, with_settings
from headway.errors import ConfigError
from headway.events import Event, Finished, Said
from headway.jobs.audit import quick_audit
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.learning import Started
from headway.jobs.pristine import keep_pristine
from headway.jobs.run_folder import SCORES, check_same_data, new_folder, open_folder
from headway.jobs.start import starting
from headway.jobs.train import say_corpus, say_start
from headway.jobs.tune.answer import answer
from headway.jobs.tune.finals import best_run, crown, finalists, read_finals, train_finalists
from headway.jobs.tune.space import Space, in_order, setting, usual_space
from headway.jobs.tune.study import REDUCTION, open_study
from headway.jobs.tune.trial import TRIALS, Search, count_of, search_all, tidy
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
    else:
        config = config or Config()
        files = find_files(config, data=data, dev=dev, test=test)
        folder = new_folder(out, f"{files.train.stem}-tune")
    if (folder / SCORES).is_file():
        yield Said("resume", f"{folder} has already finished, and its test set has been opened: search anew to go on")
        yield Finished(folder)
        return
    if config.train.seeds > 1:
        raise ConfigError(f"train.seeds = {config.train.seeds}: a search trains with tune.seeds of its own; leave train.seeds away")
    corpus = yield from reading_corpus(files, config)
    if not corpus.dev:
        raise ConfigError("split.dev = 0: a search measures on a dev set; give --dev, or leave split.dev away")
    yield from say_corpus(corpus, files)
    if not resume:
        yield from quick_audit(corpus, files, config)
    started = yield from starting(corpus, config)
    yield from say_start(started, corpus)
    if resume:
        check_same_data(folder, corpus, files)
    else:
        open_folder(folder, config, corpus, files, settings=SETTINGS)
    search = _search(started, corpus, files, config, folder)
    yield from _say_search(search)
    yield from search_all(search)
    chosen = finalists(search)
    yield Said("finals", _say_finals(search, [trial.number for trial in chosen]))
    yield from train_finalists(search, files, chosen)
    ran = read_finals(search)
    yield from answer(search, chosen, ran)
    yield from crown(search, best_run(ran))
    yield Said("repeat it", f"headway train --config {folder / 'run.toml'}")
    yield Finished(folder)


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


def _search(started: Started, corpus: Corpus, files: Files, config: Config, folder: Path) -> Search:
    """
    Raises:
        HeadwayError: the space does not go with the data, or the study is another one.
    """
    base = started.config.model_copy(update={"tune": Tune()})
    started = replace(started, config=base)
    parameters = sum(weight.numel() for weight in started.model.encoder.network.parameters())
    numbers = getattr(started.model.task, "kind", None) == "number"
    usual = usual_space(base, parameters=parameters, windows=len(started.train), numbers=numbers)
    space = in_order(config.tune.space) or usual
    pristine = keep_pristine(started)
    for name, tried in space.items():
        for value in tried.choices or [tried.low, tried.high]:
            pristine.for_settings(with_settings(base, {name: value}), corpus.train)
    share = _share(config.tune, base, windows=len(started.train))
    made_with = _made_with(started, corpus, files, space, share)
    study = open_study(folder, config.tune, made_with, evaluations=base.train.evaluations, seed=base.train.seed)
    chosen = set(nested(corpus.train, shares=(share, 1), seed=base.train.seed)[0] if share < 1 else range(len(corpus.train)))
    windows = [window for window in started.train if window.record in chosen]
    search = Search(study, space, pristine, corpus, base, config.tune, windows, folder)
    for trial in study.finished():
        tidy(folder / TRIALS / str(trial.number))  # it may have been killed before it did so itself
    return search


def _share(tune: Tune, base: Config, *, windows: int) -> float:
    """Of the records, so that a trial costs `COST` of a training in the mean: a third of the trials goes on at every verdict."""
    if tune.share != "auto":
        return tune.share
    epochs, spent, rung, left = base.train.epochs, 0.0, 1, 1.0
    while rung < epochs:
        spent += left * (min(rung * REDUCTION, epochs) - rung)
        rung, left = rung * REDUCTION, left / REDUCTION
    mean = (min(1.0, epochs) + spent / REDUCTION) / epochs
    return min(max(COST / mean, min(FEWEST_WINDOWS / windows, 1)), 1.0)


def _made_with(started: Started, corpus: Corpus, files: Files, space: Space, share: float) -> dict:
    """What trials have to have in common to be compared; where files lie is not part of it."""
    summary = corpus.summary(files)
    settings = started.config.model_dump(exclude={"data": {"train", "dev", "test"}, "model": {"base_model"}, "track": True, "report": True})
    return {
        "headway": version("headway"),
        **{f"the sha256 of the {name} file": file["sha256"] for name, file in summary["files"].items()},
        "split": summary["split"],
        "base model": started.source.name,
        **{f"{section}.{name}": value for section, values in settings.items() for name, value in values.items()},
        "tune.space": {name: tried.model_dump(exclude_none=True) for name, tried in space.items()},
        "tune.share": round(share, 6),
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
    return f"{count_of(search.tune)} trials, the first is the default recipe"


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
