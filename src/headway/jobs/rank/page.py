"""A ranking as a page and as drawings: what a better score costs, and how candidates grew from rung to rung."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import NamedTuple

from headway.drawing import BLUE, GREY, draw_file, draw_inline
from headway.folders import write_text
from headway.jobs.corpus import Files
from headway.jobs.rank.answer import Place, Ranking, pace_text, sentences, table
from headway.pages import page
from headway.wording import metric_text, score_text, sentence

PAGE = "rank.html"
WIDE = 30  # times the smallest, from which on a scale is logarithmic
ROOM = 0.45  # of the width, for names
APART = 0.075  # of the height, that two names are apart at least


class Figure(NamedTuple):
    title: str
    says: str
    svg: str


class Cell(NamedTuple):
    text: str
    interval: str = ""


class Dot(NamedTuple):
    """A candidate in the picture of the trade-off."""

    name: str
    x: float
    y: float
    low: float
    high: float
    full: bool  # whether it is as well known as any


def write_page(ranking: Ranking, files: Files) -> None:
    shown = table(ranking)
    values = {
        "name": files.train.name,
        "version": version("headway"),
        "answer": [f"{told}." for told in sentences(ranking)],
        "count": len(ranking.places),
        "train": ranking.train,
        "dev": ranking.dev,
        "command": ranking.command,
        "columns": shown.columns,
        "rows": [{"name": name, "standing": about, "cells": [_cell(cell) for cell in cells]} for name, cells, about in shown.rows],
        "notes": list(_notes(ranking)),
        "left_out": [name for name in ranking.plan.candidates if name not in {place.candidate for place in ranking.places}],
        "figures": list(_figures(ranking)),
    }
    write_text(ranking.folder / PAGE, page(PAGE, values))


def draw_trade_off(ranking: Ranking) -> str:
    """The picture by itself."""
    return draw_file(_trade_off(ranking))


def _cell(text: str) -> Cell:
    value, _, interval = text.partition(" (")
    return Cell(value, f"({interval}") if interval else Cell(text)


EXPLAINED = (
    "Explained: the share of what people say that a linear layer on frozen features explains, after paying for every weight (LogME); "
    "0 is nothing, 1 all. It orders encoders as training does in most cases, and not in all."
)
SHORT = (
    "Scores are {metric} on dev after short trainings on so many records, with 95% intervals where there were most of them; texts/s is how "
    "fast a candidate learned on this machine. They say which encoder to take, and not what it will score when it has learned from all."
)


def _notes(ranking: Ranking) -> Iterator[str]:
    if ranking.places[0].judged.explained is not None:
        yield EXPLAINED
    if ranking.plan.rungs:
        yield SHORT.format(metric=metric_text(ranking.places[0].trained[-1].metric))


# --- drawings


def _figures(ranking: Ranking) -> Iterator[Figure]:
    dots = _dots(ranking)
    if len(dots) > 1:
        what = "score" if ranking.plan.rungs else "explained"
        against = "pace of learning" if ranking.plan.rungs else "size"
        yield _figure("trade-off", f"{sentence(what)} against {against}", _says(ranking, dots), _trade_off(ranking))
    if len({rung.records for rung in ranking.plan.rungs}) > 1:
        yield _figure("rungs", "From rung to rung", "who learned from how many records, and what that came to", _rungs(ranking))


def _figure(name: str, title: str, says: str, draw) -> Figure:
    return Figure(title, says, draw_inline(draw, name=name, says=f"{title}: {says}"))


def _says(ranking: Ranking, dots: Sequence[Dot]) -> str:
    best, fastest = dots[0], max(dots, key=lambda dot: dot.x)
    if not ranking.plan.rungs:
        return f"{best.name} explains most, {score_text(best.y)}"
    fast = f"{pace_text(fastest.x)} texts/s" if fastest != best else f"and is the fastest, {pace_text(fastest.x)} texts/s"
    return f"{best.name} scores {score_text(best.y)}" + (f"; {fastest.name} learns fastest, {fast}" if fastest != best else f" {fast}")


def _dots(ranking: Ranking) -> list[Dot]:
    """Trained ones by pace and score, else all by size and what they explain."""
    if not ranking.plan.rungs:
        return [_by_features(place) for place in ranking.places if place.judged.explained is not None]
    most = ranking.places[0].trained[-1].records
    lasts = [(place.name, place.trained[-1]) for place in ranking.places if place.trained]
    return [Dot(name, last.texts_per_second, *last.score, full=last.records == most) for name, last in lasts]


def _by_features(place: Place) -> Dot:
    value = place.judged.explained
    return Dot(place.name, place.judged.parameters / 1e6, value, value, value, full=True)


def _trade_off(ranking: Ranking):
    dots = _dots(ranking)
    metric = metric_text(ranking.places[0].trained[-1].metric) if ranking.plan.rungs else "explained"

    def draw(axes) -> None:
        for dot in dots:
            colour = BLUE if dot is dots[0] else GREY
            axes.errorbar([dot.x], [dot.y], yerr=[[dot.y - dot.low], [dot.high - dot.y]], color=colour, linewidth=1, alpha=0.6)
            axes.plot([dot.x], [dot.y], color=colour, marker="o", markersize=6, markerfacecolor=colour if dot.full else "none")
        axes.set_xscale("log" if max(dot.x for dot in dots) > WIDE * min(dot.x for dot in dots) else "linear")
        axes.margins(x=0.25, y=0.15)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
        axes.xaxis.set_minor_formatter(lambda x, _: "")
        axes.set_xlabel("texts learned from in a second" if ranking.plan.rungs else "parameters, millions")
        axes.set_ylabel(metric)
        _name(axes, [(dot.name, dot.x, dot.y) for dot in dots])

    return draw


def _rungs(ranking: Ranking):
    lines = [(place.name, place.trained) for place in ranking.places if place.trained]

    def draw(axes) -> None:
        for number, (_, trained) in enumerate(lines):
            colour = GREY if number else BLUE
            x, y = [one.records for one in trained], [one.score.value for one in trained]
            axes.plot(x, y, color=colour, marker="o", markersize=4, linewidth=1.4 if number == 0 else 1)
        axes.set_xscale("log")
        sizes = sorted({one.records for _, trained in lines for one in trained})
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.margins(y=0.15)
        axes.margins(x=0.1)
        low, high = axes.get_xlim()
        axes.set_xlim(low, high * (high / low) ** ROOM)  # on the right there are names
        axes.set_xlabel("records learned from")
        axes.set_ylabel(metric_text(lines[0][1][-1].metric))
        _name(axes, [(name, trained[-1].records, trained[-1].score.value) for name, trained in lines], ahead=True)

    return draw


def _name(axes, points: Sequence[tuple[str, float, float]], *, ahead: bool = False) -> None:
    """Names beside their points, moved apart where they would lie on each other; `ahead` keeps them right of the points."""
    low, high = axes.get_ylim()
    place = -1.0
    for name, x, y in sorted(points, key=lambda point: point[2]):
        place = max((y - low) / (high - low), place + APART)
        left = not ahead and axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0] > 0.5
        axes.annotate(
            name,
            (x, low + place * (high - low)),
            xytext=(-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )
