"""Events as a person sees them: headings on the left, a live line while training goes on; plain lines where there is no terminal."""

import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.errors import HeadwayError
from headway.events import Estimate, Evaluated, Event, Finished, Listed, Said, Scored, Stepped, Tried, Worked
from headway.wording import clock_text, metric_text, score_text, signed_text

DOT = " · "  # between things that are told on one line
GAP = 2  # cells between columns, and before the first
TOPIC = 14  # cells of the left column; a longer heading pushes its own text to the right
PACE = 42  # cells for what stands behind the bar, kept free so that the bar never changes its length
BAR = 32  # cells, where there is room
NAMES = 38  # cells of the first column of a list, so that several lists stand as one; longer names make it wider
UNBROKEN = 100_000  # cells of a line that goes into a file or a pipe: whoever reads it there wants it whole
TRIAL_COLUMNS = (7, 7, 7, 8)  # cells for its number, its state, its epochs and its score
SECONDS_A_LINE = 10
LINES_A_TRAINING = 100
COUNTS = {"support", "absent_labels", "labels", "records"}  # the scores that are whole numbers
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # would move the cursor, break the line or not encode


def screen(stream: TextIO) -> Console:
    """A stream to show things on; without a person in front of it, nothing moves and no line is broken."""
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, width=UNBROKEN, force_interactive=False)


def show(events: Iterable[Event], *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
    """Shows each event as it comes, on standard output unless a console is given; `clock` counts seconds."""
    console = console or screen(sys.stdout)
    line = LiveLine(console) if console.is_interactive else LoggedLine(console)
    work, trials = WorkLine(console), TrialTable(console, clock)
    progress, block = None, None
    try:
        for event in events:
            if trials.moves_with(event):
                continue
            if isinstance(event, Worked):
                work.show(event)
                continue
            work.close()
            if _block(event) != block or isinstance(event, Scored | Listed):
                line.close()
                trials.close()
                block = _block(event)
                console.print()
            if isinstance(event, Stepped | Evaluated):
                progress = _advanced(progress, event, now=clock())
                line.show(progress)
            elif isinstance(event, Tried):
                trials.show(event)
            else:
                console.print(_rendered(event, width=console.width))
    finally:
        work.close()
        line.close()
        trials.close()


def complain(error: HeadwayError) -> None:
    """One line on standard error: the kind of mistake, one of those that `headway.errors` names, and what the error says of it."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == HeadwayError.__module__)
    screen(sys.stderr).print(Text.assemble((kind.__name__, "bold red"), ": ", _visible(str(error))), soft_wrap=True)


def _block(event: Event) -> str:
    """What an event belongs to; a blank line stands between blocks."""
    match event:
        case Stepped() | Evaluated() | Tried():
            return "training"
        case Scored() | Listed():
            return "scores"
        case _:
            return "talk"


def _rendered(event: Said | Scored | Listed | Finished, *, width: int) -> RenderableType:
    match event:
        case Said(topic, text, warning):
            room = width - GAP - max(TOPIC + GAP, cell_len(_visible(topic)) + GAP)
            return _line(topic, Text(_broken(_visible(text), room=room)), warning=warning)
        case Scored():
            return _scores(event, width=width)
        case Listed():
            return _listed(event, width=width)
        case Finished(folder):
            return _line("saved", Text(_visible(f"{folder}/")))


def _line(topic: str, content: RenderableType, *, warning: bool = False) -> Table:
    """A heading and what there is to say; "!" marks a warning where no colour does."""
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(min_width=TOPIC + GAP)
    grid.add_column()
    mark = "! " if warning else "  "
    grid.add_row(Text(mark + _visible(topic), style="bold yellow" if warning else "bold"), content)
    return grid


def _broken(text: str, *, room: int) -> str:
    """The text in as few lines as hold it where it is broken at its dots alone; a part that is too long breaks as it must."""
    lines: list[str] = []
    for part in text.split(DOT):
        if lines and cell_len(lines[-1] + DOT + part) <= room:
            lines[-1] += DOT + part
        else:
            lines.append(part)
    return "\n".join(lines)


def _visible(text: str) -> str:
    """The text on one line, with \\n and its kin spelt out."""
    return UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


class WorkLine:
    """A bar for work that is no training; it vanishes when something else comes, and a stream that cannot move never sees it."""

    def __init__(self, console: Console):
        self.console = console
        self.live: Live | None = None

    def show(self, event: Worked) -> None:
        if not self.console.is_interactive:
            return
        if self.live is None:
            self.live = Live(console=self.console, transient=True)
            self.live.start()
        bar = ProgressBar(total=event.total, completed=event.done, width=BAR, pulse=event.total is None)
        content = Table.grid(padding=(0, GAP, 0, 0))
        content.add_row(bar, Text(_visible(_count(event))))
        self.live.update(_line(event.what, content))

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None


def _count(event: Worked) -> str:
    """Nothing where nothing has been counted: the bar moves all the same."""
    if event.total is None:
        return f"{event.done:,} {event.unit}" if event.done else ""
    return f"{event.done:,} of {event.total:,} {event.unit}"


# --- tables


def _listed(event: Listed, *, width: int) -> RenderableType:
    """Names wrap where they must, the cells beside them never do; what there is to say has the whole width."""
    rows = [(event.title, event.columns, ""), *event.rows]
    widths = [max(cell_len(_visible(cells[column])) for _, cells, _ in rows) for column in range(len(event.columns))]
    room = width - GAP - sum(cells + GAP for cells in widths)
    left = min(max(NAMES, *(cell_len(_visible(name)) for name, _, _ in rows)), max(room, TOPIC))
    lines: list[RenderableType] = []
    for number, (name, cells, about) in enumerate(rows):
        style = "" if number else "bold"
        grid = Table.grid(padding=(0, GAP, 0, 0))
        grid.add_column(width=left, overflow="fold")
        for cell_width in widths:
            grid.add_column(width=cell_width, justify="right")
        grid.add_row(Text(_visible(name), style=style), *(Text(_visible(cell), style=style) for cell in cells))
        lines.append(Padding(grid, (0, 0, 0, GAP), expand=False))
        if about:
            lines.append(Padding(Text(_visible(about), style="dim"), (0, 0, 0, 2 * GAP), expand=False))
    return Group(*lines)


def _scores(event: Scored, *, width: int) -> RenderableType:
    """A table; metrics that find no room beside the others follow below them."""
    title, rows = event.title, event.rows
    cells = {name: {m: _cell(m, value, signed=name in event.differences) for m, value in row.items()} for name, row in rows.items()}
    metrics = dict.fromkeys(metric for row in rows.values() for metric in row)
    widths = {metric: max(cell_len(metric_text(metric)), *(len(row.get(metric, "")) for row in cells.values())) for metric in metrics}
    left = max(TOPIC, *(cell_len(_visible(name)) for name in [title, *rows]))
    return Group(*(_table(title, cells, block, left=left) for block in _blocks(widths, room=width - left - GAP)))


def _table(title: str, cells: dict[str, dict[str, str]], metrics: list[str], *, left: int) -> Table:
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(min_width=left + GAP)
    for _ in metrics:
        grid.add_column(justify="right", no_wrap=True)
    grid.add_row(Text(f"  {_visible(title)}", style="bold"), *(Text(metric_text(metric), style="bold") for metric in metrics))
    for name, row in cells.items():
        grid.add_row(Text(f"  {_visible(name)}"), *(row.get(metric, "") for metric in metrics))
    return grid


def _cell(metric: str, value: float | Estimate, *, signed: bool) -> str:
    """.881 (.857–.903), or +.012 (-.004–+.028) of a difference, or the number alone."""
    if metric in COUNTS:
        return f"{value:,.0f}"
    text = signed_text if signed else score_text
    return f"{text(value.value)} ({text(value.low)}–{text(value.high)})" if isinstance(value, Estimate) else text(value)


def _blocks(widths: dict[str, int], *, room: int) -> Iterator[list[str]]:
    """The names in order, in lists that fit into `room` cells or hold one name."""
    block: list[str] = []
    used = 0
    for name, width in widths.items():
        if block and used + GAP + width > room:
            yield block
            block, used = [], 0
        block.append(name)
        used += GAP + width
    yield block


# --- progress


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands, as far as its events have told."""

    started: float
    seconds: float = 0.0  # since then, at the last event
    stepped: Stepped | None = None
    evaluated: Evaluated | None = None  # the last dev score
    best: Evaluated | None = None

    @property
    def step(self) -> int:
        return max(event.step for event in (self.stepped, self.evaluated) if event)


def _advanced(progress: Progress | None, event: Stepped | Evaluated, *, now: float) -> Progress:
    if progress is None or event.step < progress.step:  # counting from the start again: the next training has begun
        progress = Progress(started=now)
    progress = replace(progress, seconds=now - progress.started)
    if isinstance(event, Stepped):
        return replace(progress, stepped=event)
    return replace(progress, evaluated=event, best=event if event.best else progress.best)


class ProgressLine(Protocol):
    """How a training is shown: `show` as often as there is news, `close` when something else comes; then it may begin again."""

    def show(self, progress: Progress) -> None: ...

    def close(self) -> None: ...


class LiveLine:
    """A bar that moves; it stays behind where it stood when it was closed."""

    def __init__(self, console: Console):
        self.console = console
        self.live: Live | None = None
        self.progress: Progress | None = None

    def show(self, progress: Progress) -> None:
        if self.live is None:
            self.live = Live(console=self.console)
            self.live.start()
        self.progress = progress
        self.live.update(_drawn(progress, width=self.console.width))

    def close(self) -> None:
        if self.live is not None:
            self.live.update(_drawn(self.progress, width=self.console.width, over=True))
            self.live.stop()
            self.live = None


class LoggedLine:
    """A line now and then: with every dev score, else every ten seconds, a hundred a training, and one for the end."""

    def __init__(self, console: Console):
        self.console = console
        self.latest: Progress | None = None
        self.printed: Progress | None = None

    def show(self, progress: Progress) -> None:
        self.latest = progress
        if _is_news(progress, self.printed):
            self._print()

    def close(self) -> None:
        if self.latest is not self.printed:
            self._print(over=True)

    def _print(self, *, over: bool = False) -> None:
        stepped = self.latest.stepped
        step = [f"step {stepped.step:,}/{stepped.steps:,}"] if stepped else []
        self.console.print(_line("training", Text(" · ".join([*step, *_pace(self.latest, over=over), *_quality(self.latest)]))))
        self.printed = self.latest


def _is_news(progress: Progress, printed: Progress | None) -> bool:
    if printed is None or progress.started != printed.started or progress.evaluated is not printed.evaluated:
        return True
    steps = progress.stepped.steps if progress.stepped else 0
    return progress.seconds - printed.seconds >= SECONDS_A_LINE and progress.step - printed.step >= steps / LINES_A_TRAINING


def _drawn(progress: Progress, *, width: int, over: bool = False) -> Table:
    """How far and how fast beside the bar, how well below it."""
    done, total = (progress.stepped.step, progress.stepped.steps) if progress.stepped else (0, 1)
    room = width - TOPIC - PACE - 3 * GAP
    first = Table.grid(padding=(0, GAP, 0, 0))
    first.add_row(ProgressBar(total=total, completed=done, width=max(GAP, min(room, BAR))), Text(" · ".join(_pace(progress, over=over))))
    return _line("training", Group(first, Text(" · ".join(_quality(progress)))))


def _pace(progress: Progress, *, over: bool) -> Iterator[str]:
    stepped = progress.stepped
    if stepped:
        epoch = math.ceil(stepped.epoch - 1e-6)  # the one that is being read; rounding must not begin the next
        yield f"epoch {epoch}/{stepped.epochs:g}"
        yield f"{stepped.tokens_per_second:,.0f} tokens/s"
    if over:
        yield f"after {clock_text(progress.seconds)}"
    elif stepped and math.isfinite(stepped.seconds_left):
        yield f"{clock_text(stepped.seconds_left)} left"


def _quality(progress: Progress) -> Iterator[str]:
    if progress.stepped:
        loss = progress.stepped.loss
        yield f"loss {loss:.2f}" if loss >= 0.1 else f"loss {loss:.2g}"
        yield f"lr {progress.stepped.learning_rate:.1e}".replace("e-0", "e-")
    if progress.evaluated:
        yield f"dev {metric_text(progress.evaluated.metric)} {score_text(progress.evaluated.value)}{_standing(progress)}"


def _standing(progress: Progress) -> str:
    if progress.evaluated is progress.best:
        return " (best)"
    return f" (best {score_text(progress.best.value)})" if progress.best else ""


# --- trials


class TrialTable:
    """A row for each trial of a search: those that have ended stay, the one that runs moves below them, and under it stands how far the
    search is. Where nothing can move, a line for each that has ended."""

    def __init__(self, console: Console, clock: Callable[[], float]):
        self.console, self.clock = console, clock
        self.live: Live | None = None
        self.trial: Tried | None = None  # the last that was told of
        self.since = 0.0  # when that was
        self.stepped: Stepped | None = None
        self.note = ""  # on work that goes on in it
        self.headed = False

    def show(self, trial: Tried) -> None:
        self.trial, self.since, self.stepped, self.note = trial, self.clock(), None, ""
        if not self.console.is_interactive:
            if trial.state != "running":
                self.console.print(_line(f"trial {trial.number}", Text(_visible(_logged(trial))), warning=trial.state == "failed"))
            return
        if not self.headed:
            self.console.print(_trial_row(("trial", "state", "epochs", "dev"), Text("tries"), style="bold"))
            self.headed = True
        if self.live is None:
            self.live = Live(console=self.console, transient=True)
            self.live.start()
        if trial.state != "running":
            self.console.print(_ended_row(trial))
        self.live.update(self._moving())

    def moves_with(self, event: Event) -> bool:
        """Whether the row of the trial that runs has taken up what an event tells."""
        if self.live is None or self.trial.state != "running" or not isinstance(event, Stepped | Evaluated | Worked):
            return False
        match event:
            case Stepped():
                self.stepped, self.note = event, ""
            case Worked():
                self.note = f"{event.what} {_count(event)}"
            case Evaluated():
                known = [self.trial.value] if self.trial.value is not None else []
                self.trial = replace(self.trial, metric=event.metric, value=max([*known, event.value]))
        self.live.update(self._moving())
        return True

    def close(self) -> None:
        """A trial that has not ended leaves where it stood."""
        if self.live is not None:
            self.live.transient = self.trial.state != "running"
            self.live.stop()
            self.live = None

    def _moving(self) -> Group:
        passed = self.clock() - self.since
        rows = [Text(f"  {_stand(self.trial, passed=passed)}", style="dim")]
        if self.trial.state == "running":
            epochs = f"{self.stepped.epoch:.1f}/{self.stepped.epochs:g}" if self.stepped else ""
            cells = (str(self.trial.number), "running", epochs, _score_or_dash(self.trial.value))
            tries = _visible(self.note or self.trial.tries or self.trial.why or "the default recipe")
            rows.insert(0, _trial_row(cells, Text(tries)))
        return Group(*rows)


def _trial_row(cells: tuple[str, str, str, str], tries: Text, *, style: str = "") -> Table:
    grid = Table.grid(padding=(0, GAP, 0, 0))
    for width, justify in zip(TRIAL_COLUMNS, ("right", "left", "right", "right"), strict=True):
        grid.add_column(min_width=width, justify=justify, no_wrap=True)
    grid.add_column()
    grid.add_row(*(Text(cell, style=style) for cell in cells), Text.assemble(tries, style=style))
    return grid


def _ended_row(trial: Tried) -> Table:
    """With why it ended so behind what was tried; of the default recipe that is all there is to say."""
    is_best = trial.number == trial.standing.best
    cells = (str(trial.number), "best" if is_best else trial.state, f"{trial.epochs:g}", _score_or_dash(trial.value))
    tries = Text(" · ".join(_visible(part) for part in (trial.tries, trial.why) if part))
    return _trial_row(cells, tries, style="bold" if is_best else "")


def _logged(trial: Tried) -> str:
    """pruned · macro F1 .812 · after 1 epoch ... · learning_rate 8.3e-05 · best so far: ..."""
    score = [f"{metric_text(trial.metric)} {score_text(trial.value)}"] if trial.value is not None else []
    return " · ".join([*(part for part in (trial.state, *score, trial.why, trial.tries) if part), _stand(trial, passed=0.0)])


def _stand(trial: Tried, *, passed: float) -> str:
    """best so far: trial 3, macro F1 .874 · 7 of 20 trials · about 4:10 left"""
    of = trial.standing
    best = [f"best so far: trial {of.best}, {metric_text(trial.metric)} {score_text(of.value)}"] if of.best is not None else []
    count = f"{of.finished} of {of.wanted} trials" if of.wanted else f"{of.finished} {'trial' if of.finished == 1 else 'trials'}"
    left = [f"about {clock_text(max(of.seconds_left - passed, 0))} left"] if of.seconds_left is not None else []
    return " · ".join([*best, count, *left])


def _score_or_dash(value: float | None) -> str:
    return "–" if value is None else score_text(value)
