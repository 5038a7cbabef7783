"""headway compare --claims: labelled files -> what fine-tuning gives that the same network from scratch does not, on this very data."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from headway.config import Config
from headway.errors import ConfigError, DataError
from headway.events import Estimate, Event, Finished, Said, Scored
from headway.folders import write_text
from headway.jobs.claims.measure import EPOCHS, POINTS, RATES, SHARES, Lesson, Trained, measure, of, read_points
from headway.jobs.claims.plot import draw
from headway.jobs.claims.words import Claims, find_claims, sentences
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.run_folder import check_same_data, check_same_settings, new_folder, open_folder
from headway.jobs.start import refuse_stages, starting

CLAIMS = "claims.json"
DRAWING = "claims.svg"
FEWEST_RECORDS = 64  # to learn from


def compare_claims(
    data: Path | None = None, *, dev: Path | None = None, out: Path | None = None, config: Config | None = None
) -> Iterator[Event]:
    """Fine-tune and learn from scratch on nested subsets, and tell what was gained in score, labels and time.

    A folder that holds trainings of the same data and settings is gone on with.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = config or Config()
    files = find_files(config, data=data, dev=dev, test=None)
    folder = out if out is not None and (out / POINTS).is_file() else new_folder(out, f"{files.train.stem}-claims")
    corpus = yield from reading_corpus(Files(files.train, files.dev, None), config)
    _check(corpus, files, config)
    started = yield from starting(corpus, config)
    if (folder / POINTS).is_file():
        check_same_data(folder, corpus, files)
        check_same_settings(folder, config, files)
    else:
        open_folder(folder, config, corpus, files)
        (folder / POINTS).touch()  # so that claims that are stopped in their first training can be gone on with
    lesson = Lesson(started, corpus, config, folder)
    yield from _say_start(lesson, files)
    yield from measure(lesson)
    yield from _answer(read_points(folder), folder)
    yield Finished(folder)


def found(folder: Path) -> Claims:
    """What the trainings in a finished folder show."""
    return find_claims(read_points(folder))


def _check(corpus: Corpus, files: Files, config: Config) -> None:
    refuse_stages(config, job="compare --claims")
    if config.train.time:
        raise ConfigError(f'train.time = "{config.train.time}": claims are made of several trainings; leave train.time away')
    if not corpus.dev:
        raise ConfigError("split.dev = 0: claims are measured on a dev set; give --dev, or leave split.dev away")
    if config.model.weights == "random":
        raise ConfigError('model.weights = "random": both are compared here, pretrained and random weights; leave it away')
    if len(corpus.train) < FEWEST_RECORDS:
        raise DataError(
            f"{files.train.name}: {len(corpus.train):,} labelled records to learn from; a curve over labels needs at least {FEWEST_RECORDS}"
        )


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
    metric = claims.metric.replace("_", " ").replace("f1", "F1")
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
