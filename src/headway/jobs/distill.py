"""headway train --teacher RUN: what trained models say of the texts is learned from beside the labels: an ensemble becomes one model.

Every teacher answers once, before training; what is learned is the mean of what they say.
"""

import json
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from headway import model
from headway.errors import ConfigError, did_you_mean
from headway.events import Event, Said, Worked
from headway.jobs.corpus import Corpus, Files
from headway.jobs.learning import Started
from headway.jobs.run_folder import DATA, SEEDS
from headway.model import Model


def taught(started: Started, corpus: Corpus, files: Files) -> Generator[Event, None, Started]:
    """The same with what the teachers say in every window to learn from; as it is where there are none.

    Raises:
        ConfigError: a teacher has learned something else, reads texts in another way, or answers no numbers.
    """
    how = started.config.distill
    if not how.teachers or how.weight == 0:
        return started
    runs = [run for named in how.teachers for run in _runs(Path(named))]
    told = f"{len(runs)} {'model' if len(runs) == 1 else 'models'}, whose answers count {how.weight:g}, and labels {1 - how.weight:g}"
    yield Said("teachers", told)
    sums: list[np.ndarray] | None = None
    for number, run in enumerate(runs):
        yield Worked("asking the teachers", number, len(runs), "models")
        if (warning := _learned_from(run, corpus, files)) is not None:
            yield Said("teachers", warning, warning=True)
        said = _said(_load(run, started), started, corpus, run)
        sums = said if sums is None else [before + row for before, row in zip(sums, said, strict=True)]
    windows = [replace(w, taught=(row / len(runs)).astype(np.float32)) for w, row in zip(started.train, sums, strict=True)]
    return replace(started, train=windows)


def _runs(named: Path) -> list[Path]:
    """A run by itself, or all the seeds of one of `--seeds`."""
    table = named / SEEDS
    if not table.is_file():
        return [named]
    return [named / f"seed-{seed}" for seed in json.loads(table.read_text(encoding="utf-8"))["seeds"]]


def _load(run: Path, started: Started) -> Model:
    how = started.config.train
    return model.load(run, precision=how.precision, device=how.device, token_budget=how.token_budget)


def _learned_from(run: Path, corpus: Corpus, files: Files) -> str | None:
    """What to say of a teacher that may have learned from what this model is chosen by."""
    if not corpus.dev or not (run / DATA).is_file():
        return None
    before, now = json.loads((run / DATA).read_text(encoding="utf-8")), corpus.summary(files)
    train = [data["files"]["train"]["sha256"] for data in (before, now)]
    if train[0] == train[1] and before["split"] == now["split"]:
        return None
    return f"{run} has learned from other records, perhaps from some of dev or test: then these scores are too high"


def _said(teacher: Model, started: Started, corpus: Corpus, run: Path) -> list[np.ndarray]:
    """What a teacher says of every window, its outputs in the order of ours."""
    _check(teacher, started, corpus, run)
    columns, temperature = _columns(teacher, started, run), started.config.distill.temperature
    decisions = teacher.decisions(started.train)
    if not all(np.isfinite(decision).all() for decision in decisions):
        raise ConfigError(f"{run}: as a teacher it answers what is not a number; leave this teacher away")
    return [teacher.task.tempered(decision, temperature)[:, columns] for decision in decisions]


def _columns(teacher: Model, started: Started, run: Path) -> Sequence[int]:
    """Where each of our outputs is among those of the teacher."""
    ours, theirs = started.model.task.outputs(), teacher.task.outputs()
    for known, wanted, who in ((theirs, ours, "does not know"), (ours, theirs, "alone knows")):
        if missing := [name for name in wanted if name not in known]:
            raise ConfigError(f'{run}: as a teacher it {who} the output "{missing[0]}"{did_you_mean(missing[0], known)}')
    return [theirs.index(name) for name in ours]


def _check(teacher: Model, started: Started, corpus: Corpus, run: Path) -> None:
    mine = started.model.task
    kinds = [f"{task.name}{f' ({task.kind})' if hasattr(task, 'kind') else ''}" for task in (teacher.task, mine)]
    if kinds[0] != kinds[1]:
        raise ConfigError(f"{run}: has learned {kinds[0]}, and here it is {kinds[1]}: leave this teacher away")
    read = mine.windows(corpus.train, teacher.tokenizer)
    pairs = zip(read, started.train, strict=False)
    if len(read) != len(started.train) or not all(np.array_equal(a.input_ids_N, b.input_ids_N) for a, b in pairs):
        raise ConfigError(f"{run}: its tokenizer reads these texts as other tokens; a teacher needs the same, as models of one family have")
    longest, most = max(map(len, read)), teacher.encoder.network.config.max_position_embeddings - teacher.encoder.first_position
    if longest > most:
        raise ConfigError(f"{run}: reads {most} tokens at most, and there are windows of {longest}: set windows.max_tokens={most}")
