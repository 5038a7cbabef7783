"""A first look at every candidate, without training: what its frozen features explain of the labels.

Of two depths, the middle and the top, the better counts: an encoder that was made for whole texts says most of words in its middle
(Tenney et al. 2019, arXiv:1905.05950; LOG.md, "which pretrained model"). Texts are read as the mean of their tokens, whatever the head.

Shape letters: W windows, U units (texts, or words), L layers, N tokens of a window, D width of a feature, C columns of targets.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from headway.config import Config
from headway.errors import ConfigError, ModelError
from headway.events import Event, Said, Working
from headway.jobs.corpus import Corpus
from headway.jobs.learning import Started
from headway.jobs.rank.candidates import shown
from headway.jobs.rank.kept import Judged, keep, read_judged
from headway.jobs.start import starting
from headway.model import Model
from headway.probe import reading_layers
from headway.records import Record, Window
from headway.splits import nested
from headway.transfer import explain
from headway.wording import score_text

FEWEST_RECORDS = 200  # of a sample, where there are as many
JUDGED_RECORDS, JUDGED_CHARACTERS = 2_000, 250_000  # at most, of what features are read of: some 60,000 tokens


@dataclass(frozen=True)
class Contest:
    """What all candidates have in common."""

    corpus: Corpus  # with the part of dev that is measured on, and no test set
    config: Config
    folder: Path
    candidates: list[str]

    def config_of(self, candidate: str) -> Config:
        return self.config.model_copy(update={"model": self.config.model.model_copy(update={"base_model": candidate})})

    def shown(self, candidate: str) -> str:
        return shown(candidate, self.candidates)

    def folder_of(self, candidate: str, records: int) -> str:
        """A name for what is kept of a training: short, and no other candidate's."""
        return f"{self.candidates.index(candidate) + 1}-{Path(candidate).name}-{records}"


def sample_size(records: Sequence[Record], *, most: int, characters: int) -> int:
    """As many records as have so many characters in the mean, within bounds."""
    mean = np.mean([len(record.text) + len(record.text_pair or record.question or "") for record in records])
    return int(min(max(min(most, characters / max(mean, 1)), FEWEST_RECORDS), len(records)))


def positions_of(records: Sequence[Record], *, count: int, seed: int) -> list[int]:
    """A stratified subset, and the same for every candidate; a smaller one lies within it."""
    return nested(records, shares=(count / len(records), 1), seed=seed)[0] if count < len(records) else list(range(len(records)))


def judge_all(contest: Contest) -> Iterator[Event]:
    """Look at every candidate that was not looked at before, and keep it; one that cannot be loaded is named, and the rest goes on."""
    known = read_judged(contest.folder)
    count = sample_size(contest.corpus.train, most=JUDGED_RECORDS, characters=JUDGED_CHARACTERS)
    positions = positions_of(contest.corpus.train, count=count, seed=contest.config.train.seed)
    for candidate in contest.candidates:
        if candidate in known:
            continue
        try:
            judged = yield from _judging(contest, candidate, positions)
        except (ModelError, ConfigError, torch.OutOfMemoryError) as error:
            yield Said(contest.shown(candidate), f"left out: {told(error, candidate)}", warning=True)
            continue
        keep(contest.folder, judged)
        yield Said(contest.shown(candidate), _words(judged))


def told(error: Exception, candidate: str) -> str:
    """Why a candidate is left out."""
    if isinstance(error, torch.OutOfMemoryError):
        return "needs more memory than the device has"
    return str(error).removeprefix(f"{candidate}: ")


def _words(judged: Judged) -> str:
    size = f"{judged.parameters / 1e6:.1f} M parameters"
    return size if judged.explained is None else f"{size} · features explain {score_text(judged.explained)} · layer {judged.layer}"


def _judging(contest: Contest, candidate: str, positions: Sequence[int]) -> Working[Judged]:
    begun = time.monotonic()
    config = contest.config_of(candidate)
    config = config.model_copy(update={"model": config.model.model_copy(update={"pooling": "mean"})})
    started = yield from starting(replace(contest.corpus, dev=[]), config, positions=positions)
    started.model.task.check(contest.corpus.dev)  # before anything is trained
    parameters = sum(weight.numel() for weight in started.model.encoder.network.parameters())
    if contest.corpus.task == "qa":
        return Judged(candidate, parameters, None, None, None, time.monotonic() - begun)
    logme, nothing, layer = yield from _explaining(started)
    explained = 1 - math.exp(2 * (nothing - logme))
    return Judged(candidate, parameters, explained, logme, layer, time.monotonic() - begun)


def _explaining(started: Started) -> Working[tuple[float, float, int]]:
    """LogME of the better layer, what it would be of features that say nothing, and which layer that is."""
    fresh = started.model
    fresh.cast(started.config.train.precision)
    depth = fresh.encoder.network.config.num_hidden_layers
    layers = sorted({(depth + 1) // 2, depth})
    read = yield from reading_layers(fresh, started.train, layers)
    units_LUD, targets_UC = UNITS[fresh.task.name](fresh, started.train, read)
    found = [explain(units_UD, targets_UC).logme for units_UD in units_LUD]
    nothing = explain(np.zeros((len(targets_UC), 1)), targets_UC).logme
    best = int(np.argmax(found))
    return found[best], nothing, layers[best]


def _texts(fresh: Model, windows: Sequence[Window], read: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    targets_UC = np.concatenate([window.targets_A for window in windows])
    columns = np.eye(len(fresh.task.outputs()))[targets_UC] if fresh.task.kind == "single" else targets_UC
    return np.stack(read, axis=1), columns


def _words_of_texts(fresh: Model, windows: Sequence[Window], read: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """By their first tokens, as a token head decides."""
    first = [window.units[:, 0] for window in windows]
    tags_U = np.concatenate([window.targets_A[first_U] for window, first_U in zip(windows, first, strict=True)])
    rows = [states_LND[:, first_U] for states_LND, first_U in zip(read, first, strict=True)]
    return np.concatenate(rows, axis=1), np.eye(len(fresh.task.outputs()))[tags_U]


UNITS = {"classification": _texts, "ner": _words_of_texts}
