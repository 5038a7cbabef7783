"""A folder of points: one line for each training of several, so that a job of many trainings is gone on with where it was stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from headway.config import Config
from headway.errors import DataError
from headway.events import Working
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.learning import Started
from headway.jobs.run_folder import check_same_data, check_same_settings, new_folder, open_folder
from headway.jobs.start import starting

POINTS = "points.jsonl"
FEWEST_RECORDS = 64  # to learn from: with fewer, the smallest subset says nothing


class Opened(NamedTuple):
    """What the trainings of a job begin with."""

    started: Started
    corpus: Corpus
    files: Files
    folder: Path


def opening(
    config: Config, *, data: Path | None, dev: Path | None, out: Path | None, name: str, check: Callable[[Corpus, Files], None]
) -> Working[Opened]:
    """Read the data without its test set, start a network, and open a folder, or one with points of the same data and settings again.

    `check` raises where no answer can come of the data.

    Raises:
        HeadwayError: something a person can put right.
    """
    files = find_files(config, data=data, dev=dev, test=None)
    folder = out if out is not None and (out / POINTS).is_file() else new_folder(out, f"{files.train.stem}-{name}")
    corpus = yield from reading_corpus(Files(files.train, files.dev, None), config)
    check(corpus, files)
    started = yield from starting(corpus, config)
    if (folder / POINTS).is_file():
        check_same_data(folder, corpus, files)
        check_same_settings(folder, config, files)
    else:
        open_folder(folder, config, corpus, files)
        (folder / POINTS).touch()  # so that a job that is stopped in its first training can be gone on with
    return Opened(started, corpus, files, folder)


def check_enough(corpus: Corpus, files: Files, *, wanted_for: str) -> None:
    """Raise where there are too few records for a curve over their number."""
    if len(corpus.train) < FEWEST_RECORDS:
        found = f"{len(corpus.train):,} labelled records to learn from"
        raise DataError(f"{files.train.name}: {found}; {wanted_for} needs at least {FEWEST_RECORDS}")
