"""headway compare --claims: labelled files -> what fine-tuning gives that the same network from scratch does not, on this very data."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from headway.config import Config
from headway.errors import ConfigError
from headway.events import Estimate, Event, Finished, Said, Scored
from headway.folders import write_text
from headway.jobs.claims.measure import EPOCHS, RATES, SHARES, Lesson, Trained, measure, of, read_points
from headway.jobs.claims.plot import draw
from headway.jobs.claims.words import Claims, find_claims, sentences
from headway.jobs.corpus import Corpus, Files
from headway.jobs.points import check_enough, opening
from headway.jobs.start import refuse_stages
from headway.wording import metric_text

CLAIMS = "claims.json"
DRAWING = "claims.svg"


def compare_claims(
    data: Path | None = None, *, dev: Path | None = None, out: Path | None = None, config: Config | None = None
) -> Iterator[Event]:
    """Fine-tune and learn from scratch on nested subsets, and tell what was gained in score, labels and time.

    A folder that holds trainings of the same data and settings is gone on with.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = config or Config()
    check = partial(_check, config=config)
    started, corpus, files, folder = yield from opening(config, data=data, dev=dev, out=out, name="claims", check=check)
    lesson = Lesson(started, corpus, config, folder)
    yield from _say_start(lesson, files)
    yield from measure(lesson)
    yield from _answer(read_points(folder), folder)
    yield Finished(folder)


def found(folder: Path) -> Claims:
    """What the trainings in a finished folder show."""
    return find_claims(read_points(folder))


def _check(corpus: Corpus, files: Files, *, config: Config) -> None:
    refuse_stages(config, job="compare --claims")
    if config.train.time:
        raise ConfigError(f'train.time = "{config.train.time}": claims are made of several trainings; leave train.time away')
    if not corpus.dev:
        raise ConfigError("split.dev = 0: claims are measured on a dev set; give --dev, or leave split.dev away")
    if config.model.weights == "random":
        raise ConfigError('model.weights = "random": both are compared here, pretrained and random weights; leave it away')
    check_enough(corpus, files, wanted_for="a curve over labels")


def _say_start(lesson: Lesson, files: Files) -> Iterator[Said]:
    corpus, source = lesson.corpus, lesson.started.source
    yield Said(files.train.name, f"{len(corpus.train):,} to learn from · {len(corpus.dev):,} for dev ({corpus.how})")
    yield Said("", f"read as {corpus.task} · {corpus.guessed}")
    yield Said("fine-tuned", f"{source.name}, as headway train does it, on {_shares()} of the labels and, while they are enough, on fewer")
    rates = ", ".join(str(factor) for factor in RATES[:-1]) + f" or {RATES[-1]}"
    told = f"the same architecture and tokenizer with random weights, {EPOCHS} times the epochs, {rates} times the rate: the best on dev"
    yield Said("from scratch", told)
    yield Said("", f"each training is kept when it is done; to go on after a stop: the same command and --out {lesson.folder}")


def _shares() -> str:
    return ", ".join(f"{share:.1%}".replace(".0%", "%") for share in SHARES)


# --- what comes of it


def _answer(points: Sequence[Trained], folder: Path) -> Iterator[Event]:
    claims = find_claims(points)
    metric = metric_text(claims.metric)
    yield Scored(f"{metric} by labels", _rows(claims))
    said = list(sentences(claims))
    for number, sentence in enumerate(said):
        yield Said("" if number else "claims", sentence)
    yield Said("", "scores are of the best model on dev, its interval over the records of dev; seconds are without evaluation")
    write_text(folder / CLAIMS, json.dumps(_as_json(claims, points) | {"answers": said}, indent=1))
    write_text(folder / DRAWING, draw(claims, points, metric=metric))


def _rows(claims: Claims) -> dict[str, dict[str, Estimate]]:
    sizes = sorted(claims.fine_tuned | claims.from_scratch)
    sides = {"fine-tuned": claims.fine_tuned, "from scratch": claims.from_scratch}
    return {f"{size:,}": {how: scores[size] for how, scores in sides.items() if size in scores} for size in sizes}


def _as_json(claims: Claims, points: Sequence[Trained]) -> dict:
    return {
        "metric": claims.metric,
        "labels": claims.labels,
        "fine_tuned": {size: score._asdict() for size, score in claims.fine_tuned.items()},
        "from_scratch": {size: score._asdict() for size, score in claims.from_scratch.items()},
        "labels_needed": claims.labels_needed,
        "seconds_from_scratch": claims.seconds_from_scratch,
        "seconds_needed": claims.seconds_needed,
        "learning_rates": {how: of(points, how, 1)[0].learning_rate for how in ("fine-tuned", "from scratch")},
        "curves": {how: [point.curve for point in of(points, how, 1)] for how in ("fine-tuned", "from scratch")},
    }
