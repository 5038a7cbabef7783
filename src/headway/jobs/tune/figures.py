"""The drawings of a search, each with what it shows in words. All of them show scores on dev."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from headway.config import Range
from headway.drawing import ACROSS, BLUE, GREY, IN_PAGE, draw_inline
from headway.jobs.report.figures import Figure
from headway.jobs.tune.importance import BEST, SHUFFLES, Importance
from headway.jobs.tune.words import short
from headway.wording import metric_text, score_text, sentence

OUTLIER = 3  # times as far from the best as the middle of all: a trial that learned nothing would flatten a drawing
MARGIN = 0.08  # of a drawing's height, above and below
THIN, THICK = 0.8, 2.2
APART = 0.09  # of an axis, that lines through one choice spread over
GOLDEN = 0.618034  # multiples of it fill an interval evenly


def history(found: dict) -> Figure:
    """The score of every trial, in their order, and the best that a person would have known of by then."""
    rows = [(trial["number"], max(trial["curve"]), trial["state"]) for trial in found["trials"] if trial["curve"]]
    done = [(number, value) for number, value, state in rows if state == "complete"]
    low, high, below = _window([value for _, value, _ in rows])
    so_far = np.maximum.accumulate([value for _, value in done])

    def draw(axes) -> None:
        for state, colour in (("pruned", GREY), ("complete", BLUE)):
            of_state = [(number, max(value, low)) for number, value, this in rows if this == state]
            if of_state:
                axes.scatter(*zip(*of_state, strict=True), s=18, color=colour, alpha=0.9, linewidths=0)
        axes.step([number for number, _ in done] + [rows[-1][0]], [*so_far, so_far[-1]], color=BLUE, linewidth=1.2, where="post")
        axes.set_ylim(low, high)
        axes.set_xlabel("trial")
        axes.xaxis.get_major_locator().set_params(integer=True)

    best = max(done, key=lambda row: row[1])
    says = f"the best is trial {best[0]}, {score_text(best[1])}; grey trials were pruned{_left_out(below)}"
    return _figure("history", sentence(f"{metric_text(found['metric'])} of each trial"), says, draw)


def curves(found: dict) -> Figure:
    """How every trial learned, epoch by epoch."""
    trials = [trial for trial in found["trials"] if trial["curve"]]
    low, high, below = _window([value for trial in trials for value in trial["curve"]])
    winner = found["winner"]["trial"]

    def draw(axes) -> None:
        for trial in sorted(trials, key=lambda trial: (trial["number"] == winner, trial["state"] == "complete")):
            epochs = np.arange(1, len(trial["curve"]) + 1) / found["evaluations"]
            colour, width = (BLUE, THICK if trial["number"] == winner else THIN) if trial["state"] == "complete" else (GREY, THIN)
            axes.plot(epochs, trial["curve"], color=colour, linewidth=width, alpha=0.9, marker="o", markersize=2 * width)
        axes.set_ylim(low, high)
        axes.set_xlim(left=0)
        axes.set_xlabel("epoch")

    pruned = sum(trial["state"] == "pruned" for trial in trials)
    says = f"{pruned} of {len(trials)} end early, in grey; the thick line is the winner, trial {winner}{_left_out(below)}"
    return _figure("curves", "How the trials learned", says, draw)


def parallel(found: dict, space: dict[str, Range]) -> Figure:
    """Every trial as a line through its settings to its score."""
    trials = [trial for trial in found["trials"] if trial["curve"]]
    low, high, below = _window([max(trial["curve"]) for trial in trials])
    winner, chosen = found["winner"]["trial"], {run["trial"] for run in found["finals"]}
    names = list(space)

    def places(trial: dict) -> list[float]:
        settings = trial["settings"]
        of_settings = [_place(space[name], settings[name]) + _aside(space[name], trial) if name in settings else math.nan for name in names]
        return [*of_settings, (max(max(trial["curve"]), low) - low) / (high - low)]

    def draw(axes) -> None:
        axes.set_axis_off()
        axes.set_xlim(-0.35, len(names) + 0.35)
        axes.set_ylim(-0.14, 1.2)
        for place in range(len(names) + 1):
            axes.plot([place, place], [0, 1], color=GREY, linewidth=0.8)
        for trial in sorted(trials, key=lambda trial: (trial["number"] == winner, trial["number"] in chosen)):
            is_chosen = trial["number"] in chosen
            width = THICK if trial["number"] == winner else THIN
            axes.plot(places(trial), color=BLUE if is_chosen else GREY, linewidth=width, alpha=0.95 if is_chosen else 0.45)
        for place, name in enumerate([*names, found["metric"]]):
            axes.text(place, 1.1, _wrapped(name.partition(".")[2] or metric_text(name)), ha="center", va="bottom", fontsize=9)
            ticks = _ticks(space[name]) if name in space else [(0.0, score_text(low)), (1.0, score_text(high))]
            for height, text in ticks:
                axes.text(place - 0.06, height, text, ha="right", va="center", fontsize=8)

    says = f"the thick line is the winner, trial {winner}; blue ones were finalists{_left_out(below)}"
    return _figure("parallel", "What was tried", says, draw, size=ACROSS)


def importance(rows: Sequence[Importance], *, trials: int) -> Figure:
    """What each setting decided, and how much of that chance alone would have made."""
    ordered = list(reversed(rows))
    places = np.arange(len(ordered))

    def draw(axes) -> None:
        axes.barh(places, [row.share for row in ordered], height=0.55, color=BLUE, alpha=0.75)
        axes.scatter([row.chance for row in ordered], places, marker="|", s=130, color=GREY, linewidths=1.6)
        axes.set_yticks(places, [row.name.partition(".")[2] for row in ordered])
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")

    sure = [row.name for row in rows if row.share > row.chance]
    says = f"{' and '.join(sure)} decided more than chance would" if sure else "none decided more than chance alone would"
    says += f"; grey marks are what chance stays under 95 times in 100 ({SHUFFLES} shuffles of {trials} trials)"
    return _figure("importance", f"What made a trial one of the best {BEST:.0%}", says, draw)


def _figure(name: str, title: str, says: str, draw: Callable, *, size: tuple[float, float] = IN_PAGE) -> Figure:
    return Figure(title, says, draw_inline(draw, name=name, says=f"{title}: {says}", size=size))


def _window(values: Sequence[float]) -> tuple[float, float, int]:
    """From where to where a drawing shows scores, and how many lie below it."""
    best, middle = max(values), float(np.median(values))
    least = max(min(values), best - OUTLIER * (best - middle)) if best > middle else min(values)
    room = MARGIN * max(best - least, 0.01)
    return least - room, best + room, sum(value < least - room for value in values)


def _left_out(below: int) -> str:
    return f"; {below} {'score lies' if below == 1 else 'scores lie'} below the drawing" if below else ""


def _place(tried: Range, value: object) -> float:
    """On an axis from 0 to 1."""
    if tried.choices is not None:
        return tried.choices.index(value) / max(len(tried.choices) - 1, 1)
    low, high, at = (math.log(number) for number in (tried.low, tried.high, value)) if tried.log else (tried.low, tried.high, value)
    return (at - low) / (high - low)


def _aside(tried: Range, trial: dict) -> float:
    """Trials with the same choice lie beside each other, not on each other."""
    return 0.0 if tried.choices is None else APART * (trial["number"] * GOLDEN % 1 - 0.5)


def _ticks(tried: Range) -> list[tuple[float, str]]:
    if tried.choices is not None:
        return [(_place(tried, value), short(value)) for value in tried.choices]
    middle = math.sqrt(tried.low * tried.high) if tried.log else (tried.low + tried.high) / 2
    return [(_place(tried, value), short(float(value))) for value in (tried.low, middle, tried.high)]


def _wrapped(name: str) -> str:
    return name.replace("_", "\n", 1)
