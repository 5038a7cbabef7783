"""headway models rank: labelled files and pretrained encoders -> which learns this data best, how fast, and the command to train it.

First frozen features, then short trainings of fewer and fewer candidates on more and more records; all on dev, the test set is not opened.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headway.config import Config
from headway.errors import ConfigError, DataError, ModelError
from headway.events import Event, Finished, Said
from headway.folders import write_text
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.pace import seconds_of
from headway.jobs.rank.answer import Ranked, found, keep_ranking, read_ranking, sentences, table
from headway.jobs.rank.candidates import chosen
from headway.jobs.rank.features import Contest, judge_all, positions_of, sample_size
from headway.jobs.rank.halving import halve, planning
from headway.jobs.rank.kept import PLAN, TRIED, Plan, check_same_candidates, keep_plan, read_judged, read_plan
from headway.jobs.run_folder import check_same_data, check_same_settings, new_folder, open_folder
from headway.jobs.start import refuse_stages

__all__ = ["Asked", "Ranked", "rank", "read_ranking"]

FEWEST_RECORDS = 64  # to learn from
DEV_RECORDS, DEV_CHARACTERS = 1_000, 250_000  # at most, that candidates are measured on


@dataclass(frozen=True)
class Asked:
    """What a person wants to know."""

    candidates: Sequence[str] = ()  # hub names or folders; none: those of the list that need no download
    time: str | None = None  # for all of it: "10m"
    quick: bool = False  # features alone
    table: Path | None = None  # more encoders to choose from by name


NOTHING_ASKED = Asked()


def rank(
    data: Path | None = None,
    *,
    dev: Path | None = None,
    out: Path | None = None,
    config: Config | None = None,
    asked: Asked = NOTHING_ASKED,
) -> Iterator[Event]:
    """Rank encoders by what they learn of labelled text; a folder that was stopped is gone on with.

    Raises:
        HeadwayError: something a person can put right.
    """
    begun, config = time.monotonic(), config or Config()
    seconds = seconds_of(asked.time, name="--time") if asked.time else None
    candidates = chosen(asked.candidates, asked.table)
    named = find_files(config, data=data, dev=dev, test=None)
    files = Files(named.train, named.dev, None)
    kept = out is not None and (out / TRIED).is_file()
    folder = out if kept else new_folder(out, f"{files.train.stem}-rank")
    corpus = yield from reading_corpus(files, config)
    _check(corpus, files, config, asked)
    if kept:
        check_same_data(folder, corpus, files)
        check_same_settings(folder, config, files)
        check_same_candidates(folder, candidates)
    else:
        open_folder(folder, config, corpus, files)
        (folder / TRIED).touch()  # so that a ranking that is stopped at its first candidate can be gone on with
    contest = Contest(_measured_on(corpus, config), config, folder, candidates)
    yield from _say_start(contest, corpus, files, asked)
    yield from judge_all(contest)
    if not read_judged(folder):
        raise ModelError(f"of {len(candidates)} candidates not one can be loaded; headway models --here lists what needs no download")
    plan = Plan(candidates, []) if asked.quick else read_plan(folder)
    if plan is None or not (asked.quick or plan.rungs):
        left = None if seconds is None else seconds - (time.monotonic() - begun)
        plan = yield from planning(contest, seconds=left)
    if plan.rungs or read_plan(folder) is None:  # a quick look later on is not to undo the plan of trainings
        keep_plan(folder, plan)
    if plan.rungs:
        yield from halve(contest, plan)
    yield from _answer(contest, plan, files)
    yield Finished(folder)


def _answer(contest: Contest, plan: Plan, files: Files) -> Iterator[Event]:
    """Say it, and write it down."""
    from headway.jobs.rank.page import draw_trade_off, write_page  # matplotlib and jinja2 take a second to import

    ranking = found(contest, plan, files)
    yield table(ranking)
    for number, told in enumerate(sentences(ranking)):
        yield Said("" if number else "best", told)
    keep_ranking(ranking)
    write_text(contest.folder / "rank.svg", draw_trade_off(ranking))
    write_page(ranking, files)
    yield Said("report", str(contest.folder / "rank.html"))
    yield Said("train it", ranking.command)


def _check(corpus: Corpus, files: Files, config: Config, asked: Asked) -> None:
    """Raise where nothing can be told apart, or a setting would be passed over in silence."""
    refuse_stages(config, job="models rank")
    if config.train.time:
        raise ConfigError(f'train.time = "{config.train.time}": a ranking has --time for all of it; leave train.time away')
    if config.train.seeds > 1:
        raise ConfigError(f"train.seeds = {config.train.seeds}: a ranking trains each candidate once a rung; leave train.seeds away")
    if config.model.weights == "random":
        raise ConfigError('model.weights = "random": what is ranked is what was pretrained; leave it away')
    if asked.time and config.train.epochs == 0:
        raise ConfigError("train.epochs = 0 and --time: without updates there is no pace to plan by; leave one of them away")
    if not corpus.dev:
        raise ConfigError("split.dev = 0: candidates are measured on a dev set; give --dev, or leave split.dev away")
    if asked.quick and corpus.task == "qa":
        raise ConfigError(f"--quick: frozen features say nothing of where answers stand, and {files.train.name} is qa; leave it away")
    if asked.quick and asked.time:
        raise ConfigError(f"--quick looks at features alone, which is not planned by --time {asked.time}; leave one of them away")
    if len(corpus.train) < FEWEST_RECORDS:
        found = f"{len(corpus.train):,} labelled records to learn from"
        raise DataError(f"{files.train.name}: {found}; to tell encoders apart takes at least {FEWEST_RECORDS}")


def _measured_on(corpus: Corpus, config: Config) -> Corpus:
    """The same with a part of dev where it is large: it is answered after every epoch of every training."""
    count = sample_size(corpus.dev, most=DEV_RECORDS, characters=DEV_CHARACTERS)
    return replace(corpus, dev=[corpus.dev[position] for position in positions_of(corpus.dev, count=count, seed=config.train.seed)])


def _say_start(contest: Contest, corpus: Corpus, files: Files, asked: Asked) -> Iterator[Said]:
    dev = f"{len(contest.corpus.dev):,} of {len(corpus.dev):,}" if len(contest.corpus.dev) < len(corpus.dev) else f"{len(corpus.dev):,}"
    yield Said(files.train.name, f"{len(corpus.train):,} to learn from · {dev} for dev ({corpus.how}) · the test set is not opened")
    yield Said("", f"read as {corpus.task} · {corpus.guessed}")
    yield Said("candidates", ", ".join(map(contest.shown, contest.candidates)))
    if corpus.task == "qa":
        yield Said("", "frozen features say nothing of where answers stand: all candidates are trained")
    done = len(read_judged(contest.folder))
    if (contest.folder / PLAN).is_file() or done:
        yield Said("kept", f"{done} of {len(contest.candidates)} candidates have been looked at before")
    yield Said("", f"each step is kept when it is done; to go on after a stop: the same command and --out {contest.folder}")
