"""headway forecast: labelled files -> what more labels would bring, from a learning curve with a band."""

import json
import math
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from headway.config import Config
from headway.curves import COVERAGE, Band, Curve, fit_curve
from headway.errors import ConfigError
from headway.events import Event, Finished, Said, Scored
from headway.folders import write_text
from headway.jobs.corpus import Corpus, Files
from headway.jobs.forecast.measure import Curves, Measured, labels_of, measure, read_points
from headway.jobs.forecast.plot import draw
from headway.jobs.forecast.words import Asked, LabelForecast, answers, by_label, counts_differ, doubts, explained, more_of, wanted_most
from headway.jobs.points import check_enough, opening
from headway.jobs.start import refuse_stages
from headway.wording import metric_text

FORECAST = "forecast.json"
DRAWING = "forecast.svg"
MOST_SHOWN = 20  # classes
NOTHING_ASKED = Asked()


def forecast(
    data: Path | None = None,
    *,
    dev: Path | None = None,
    out: Path | None = None,
    config: Config | None = None,
    asked: Asked = NOTHING_ASKED,
    quick: bool = False,
) -> Iterator[Event]:
    """Measure a learning curve on a fixed dev set, and tell what more labels would bring.

    A folder that holds points of the same data and settings is gone on with. With `quick` nothing is fine-tuned: a linear layer is
    fitted on frozen features.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = config or Config()
    check = partial(_check, config=config, quick=quick)
    started, corpus, files, folder = yield from opening(config, data=data, dev=dev, out=out, name="forecast", check=check)
    curves = Curves(started, corpus, config, folder, config.forecast.trainings, "frozen" if quick else "fine-tuned")
    yield from _say_start(curves, files)
    yield from measure(curves)
    yield from _answer(read_points(folder), asked, curves)
    yield Finished(folder)


def fitted(folder: Path) -> Curve:
    """The curve through the points that a forecast has left in its folder."""
    return fit_curve([measured.point for measured in read_points(folder)])


def _check(corpus: Corpus, files: Files, *, config: Config, quick: bool) -> None:
    """Raise where no curve can come of it."""
    refuse_stages(config, job="forecast")
    if config.train.time:
        raise ConfigError(f'train.time = "{config.train.time}": a forecast has trainings of several sizes; leave train.time away')
    if config.train.seeds > 1:
        raise ConfigError(f"train.seeds = {config.train.seeds}: a forecast has forecast.trainings of each size; leave train.seeds away")
    if not corpus.dev:
        raise ConfigError("split.dev = 0: a forecast measures on a dev set; give --dev, or leave split.dev away")
    if quick and corpus.task == "qa":
        raise ConfigError(f"--quick: frozen features say nothing of where answers stand, and {files.train.name} is qa; leave --quick away")
    check_enough(corpus, files, wanted_for="a learning curve")


def _say_start(curves: Curves, files: Files) -> Iterator[Said]:
    corpus = curves.corpus
    yield Said(files.train.name, f"{len(corpus.train):,} to learn from · {len(corpus.dev):,} for dev ({corpus.how})")
    yield Said("", f"read as {corpus.task} · {corpus.guessed}")
    smallest = curves.plan()[0][1]
    everywhere, there = ({name for i in part for name in labels_of(corpus.train[i])} for part in (range(len(corpus.train)), smallest))
    if there < everywhere:
        few = f"{len(everywhere - there):,} of {len(everywhere):,} classes are not among its {len(smallest):,} records"
        yield Said("smallest size", f"{few}: the curve begins steeper than it would", warning=True)
    count = len(curves.shares) * curves.seeds
    if curves.how == "frozen":
        yield Said("quick", "frozen features and a linear layer, nothing is fine-tuned: scores are a lower bound of what fine-tuning gives")
    else:
        cost = f"together as long as {sum(curves.shares) * curves.seeds:.0f} of all records, or longer where small sizes get more epochs"
        yield Said("curve", f"{count} trainings: {len(curves.shares)} sizes x {curves.seeds} seeds; {cost}")
        yield Said("", f"each is kept when it is done; to go on after a stop: the same command and --out {curves.folder}")


# --- what comes of it


def _answer(points: list[Measured], asked: Asked, curves: Curves) -> Iterator[Event]:
    """Say it, and write it down."""
    metric, shown = points[0].metric, metric_text(points[0].metric)
    curve = fit_curve([measured.point for measured in points])
    more = more_of(curve, asked)
    labels = by_label([measured.by_label for measured in points], more)
    said = answers(curve, shown, asked)
    uneven = counts_differ(labels)
    yield Scored("measured", {f"{size:,}": {metric: _mean(scores), **_spread(scores)} for size, scores in _by_size(points).items()})
    yield Scored("forecast", {f"+{n:,}": _row(metric, curve.at(curve.largest + n)) for n in (more, curve.largest, 3 * curve.largest)})
    if uneven:
        yield _scored_labels(labels)
        said.append(wanted_most(labels, "F1"))
    for number, answer in enumerate(said):
        yield Said("" if number else "forecast", answer)
    for doubt in doubts(curve, dev=len(curves.corpus.dev)):
        yield Said("", doubt, warning=True)
    yield Said("", explained(curve))
    found = _found(points, curve, asked, labels) | {"answers": said}
    write_text(curves.folder / FORECAST, json.dumps(found, indent=1, ensure_ascii=False))
    write_text(curves.folder / DRAWING, draw(curve, [measured.point for measured in points], metric=shown, target=asked.target))


def _scored_labels(labels: dict[str, LabelForecast]) -> Scored:
    shown = dict(list(labels.items())[:MOST_SHOWN])
    of_all = f", {MOST_SHOWN} of {len(labels)}" if len(labels) > MOST_SHOWN else ""
    each = next(iter(shown.values())).more
    return Scored(f"+{each:,} of each{of_all}", {name: _label_row(of_label) for name, of_label in shown.items()})


def _by_size(points: list[Measured]) -> dict[int, list[float]]:
    ordered = sorted(points, key=lambda measured: measured.point.size)
    return {size: [m.point.score for m in of_size] for size, of_size in groupby(ordered, key=lambda measured: measured.point.size)}


def _mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)


def _spread(scores: list[float]) -> dict[str, float]:
    return {"lowest": min(scores), "highest": max(scores)}


def _row(metric: str, band: Band) -> dict[str, float]:
    return {metric: band.value, "from": band.low, "to": band.high}


def _label_row(of_label: LabelForecast) -> dict[str, float]:
    gain = {} if of_label.gain is None else {"gain": of_label.gain.value, "from": of_label.gain.low, "to": of_label.gain.high}
    return {"labels": of_label.labels, "f1": of_label.score} | gain


def _found(points: list[Measured], curve: Curve, asked: Asked, labels: dict[str, LabelForecast]) -> dict:
    """What `forecast.json` holds; null stands for a number beyond all that can be said."""
    more = more_of(curve, asked)
    floor, scale, exponent = curve.best_3.tolist()
    return {
        "metric": points[0].metric,
        "how": points[0].how,
        "coverage": COVERAGE,
        "error": {"floor": floor, "scale": scale, "exponent": exponent, "largest": curve.largest},
        "measured": _by_size(points),
        "more": {n: {"score": _json(curve.at(curve.largest + n)), "gain": _json(curve.gain(n))} for n in (more, curve.largest)},
        "limit": _json(curve.limit()),
        "target": asked.target and {"score": asked.target, "records": _json(curve.needed(asked.target))},
        "by_label": {
            name: {"labels": label.labels, "f1": label.score, "more": label.more, "gain": label.gain and _json(label.gain)}
            for name, label in labels.items()
        },
    }


def _json(band: Band) -> dict[str, float | None]:
    return {name: round(value, 6) if math.isfinite(value) else None for name, value in band._asdict().items()}
