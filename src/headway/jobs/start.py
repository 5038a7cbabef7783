"""What is done before the first update: the task learned, the pretrained network found, the new layer put on, "auto" decided."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from headway import model, pretrained, recipe
from headway.audit import Finding, allowed_checks, unknown_among
from headway.config import Config
from headway.errors import ConfigError
from headway.events import Said, Worked, Working, unwatched
from headway.jobs.audit import stop_on_errors
from headway.jobs.corpus import Corpus
from headway.jobs.learning import Started
from headway.jobs.soup import check_soup
from headway.model import Model
from headway.records import Record, Window
from headway.tasks import TASKS, Task
from headway.tokens import unknown_id

RECORDS_AT_ONCE = 2048  # tokenised between two words of progress
WINDOWS_AT_ONCE = 4096  # whose tokens are counted together


def start(corpus: Corpus, config: Config) -> Started:
    """Choose the pretrained network, learn what the task is, and put the new layer on.

    Raises:
        ConfigError: a setting does not go with the data.
    """
    return unwatched(starting(corpus, config))


def starting(corpus: Corpus, config: Config, *, positions: Sequence[int] | None = None) -> Working[Started]:
    """The same, and how far it has come. `positions` are those of the training records to learn from; the task is learned of all."""
    if config.decide.precision is not None and not corpus.dev:
        raise ConfigError("decide.precision is fitted on dev, and there is none; give --dev FILE, or raise split.dev")
    check_soup(config, dev=bool(corpus.dev))
    yield Worked("base model", 0)
    source = pretrained.find(config.model.base_model, revision=config.model.revision)
    network_config, tokenizer = pretrained.load_config(source), pretrained.load_tokenizer(source)
    task = TASKS[corpus.task].learn(corpus.train, config, limit=pretrained.longest_window(tokenizer, network_config))
    task.check(corpus.dev)
    task.check(corpus.test)
    fresh = model.start(task, source, config, corpus.data)
    task = fresh.task
    windows = yield from _windows(fresh, corpus.train, range(len(corpus.train)) if positions is None else sorted(positions))
    dev = yield from _windows(fresh, corpus.dev, range(len(corpus.dev)))
    unreachable = _unreachable(task, corpus.train, windows) + _unreachable(task, corpus.dev, dev)
    whole, left_open = decided(config, fresh, corpus.train, windows), _left_open(config)
    return Started(fresh, whole, source, windows, corpus.dev, dev, unreachable, left_open)


def _left_open(config: Config) -> tuple[str, ...]:
    sections = config.model_dump().items()
    return tuple(f"{section}.{name}" for section, values in sections for name, value in values.items() if value == "auto")


def audit_tokens(started: Started, corpus: Corpus, config: Config) -> list[Finding]:
    """What there is to say of tokens that the encoder does not know: the check that has to wait for the tokenizer.

    Raises:
        DataError: most tokens are, and that is not allowed.
    """
    unknown = unknown_id(started.model.tokenizer)
    if unknown is None or "unknown_tokens" in allowed_checks(config.audit.allow):
        return []
    counts = _count_tokens(started.train, unknown, sorted({*started.model.tokenizer.all_special_ids} - {unknown}))
    found = unknown_among((corpus.train[record], tokens, of_these) for record, tokens, of_these in counts)
    stop_on_errors(found)
    return found


def say_tokens(findings: Sequence[Finding]) -> Iterator[Said]:
    for finding in findings:
        if finding.check == "unknown_tokens" and finding.severity == "warning":
            example = finding.examples[0]
            yield Said("tokens", finding.says, warning=True)
            yield Said("", f"such as {example.where} ({example.detail}); {finding.remedy}", warning=True)


def _count_tokens(windows: Sequence[Window], unknown: int, special: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Record, tokens of its text, and those of them that are unknown; what several windows of a record share counts in each."""
    size = 1 + max((window.record for window in windows), default=0)
    counts_R2 = np.zeros((size, 2), dtype=np.int64)
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        some = windows[start : start + WINDOWS_AT_ONCE]
        ids_N = np.concatenate([window.input_ids_N for window in some])
        record_N = np.repeat([window.record for window in some], [len(window) for window in some])
        for column, chosen_N in enumerate((~np.isin(ids_N, special), ids_N == unknown)):
            counts_R2[:, column] += np.bincount(record_N[chosen_N], minlength=size)
    yield from ((record, *counts_R2[record].tolist()) for record in sorted({window.record for window in windows}))


def refuse_stages(config: Config, *, job: str) -> None:
    """Raise ConfigError where `job` would pass over in silence what `headway train` does before fine-tuning."""
    if config.data.unlabeled is not None:
        learned = "learn from it there first, and start here with --set model.base_model=RUN/encoder"
        raise ConfigError(f"data.unlabeled is for headway train, and headway {job} passes it over: {learned}")
    if config.contrastive.epochs > 0:
        raise ConfigError(f"contrastive.epochs is for headway train, and headway {job} passes it over; leave it away")
    if config.train.recipe != "default":
        raise ConfigError(f"train.recipe is for headway train, and headway {job} would pass it over; leave it away")
    if config.distill.teachers:
        raise ConfigError(f"distill.teachers is for headway train, and headway {job} passes it over; leave it away")


def _windows(fresh: Model, records: Sequence[Record], positions: Sequence[int]) -> Working[list[Window]]:
    """What the task gives for those at `positions` all at once; a window names the position of its record."""
    found: list[Window] = []
    for first in range(0, len(positions), RECORDS_AT_ONCE):
        yield Worked("tokenising", first, len(positions), "records")
        some = positions[first : first + RECORDS_AT_ONCE]
        windows = fresh.task.windows([records[position] for position in some], fresh.tokenizer)
        found += (replace(window, record=some[window.record]) for window in windows)
    return found


def _unreachable(task: Task, records: Sequence[Record], windows: Sequence[Window]) -> int:
    """References of the records that there are windows of, which no prediction can match."""
    read = sorted({window.record for window in windows})
    place = {position: number for number, position in enumerate(read)}
    return task.unreachable([records[position] for position in read], [replace(window, record=place[window.record]) for window in windows])


def start_on(started: Started, records: Sequence[Record], positions: Sequence[int], config: Config) -> Started:
    """The same task from the pretrained weights once more, with only the windows of some of its training records to learn from.

    Args:
        records: all that `started` learns from.
        positions: of those to learn from now.
        config: with "auto" where the number of windows is to decide.
    """
    chosen = set(positions)
    windows = [window for window in started.train if window.record in chosen]
    fresh = model.start(started.model.task, started.source, config, started.model.data)
    return replace(started, model=fresh, config=decided(config, fresh, records, windows), train=windows)


def decided(config: Config, fresh: Model, records: Sequence[Record], windows: Sequence[Window]) -> Config:
    """What "auto" means for this network and these windows."""
    parameters = sum(weight.numel() for weight in fresh.encoder.network.parameters())
    pairs = any(record.text_pair is not None for record in records)
    facts = {"parameters": parameters, "windows": len(windows), "pairs": pairs, "pooling": fresh.encoder.pooling}
    return recipe.decided(config, task=fresh.task.name, **facts)
