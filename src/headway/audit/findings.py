"""What checks see and what they say.

A check is a generator function: it is sent one row after another and None at the end, and returns its findings. So all checks share
one pass over data that no memory has to hold.
"""

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from headway.records import Record

Severity = Literal["error", "warning", "note"]  # a score would lie or training be pointless; worth mending; good to know

EXAMPLES = 5  # shown of each finding
EXCERPT = 160  # characters of a text that are shown


class Example(NamedTuple):
    where: str  # "reviews.csv:418"
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found, for a person who can mend it."""

    check: str  # a key of CHECKS
    severity: Severity
    count: int  # of what is wrong: texts, labels, spans; 0 where nothing is, in notes that describe
    says: str  # one line
    why: str
    remedy: str
    examples: tuple[Example, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()  # the first row names the columns


class Twin(NamedTuple):
    """The first row of a part that holds a text."""

    where: str
    said: Hashable  # what people say of it, comparable; the label itself where it is one


class Row(NamedTuple):
    """A record on its way through the checks."""

    part: str  # "train", "dev" or "test", in this order
    record: Record
    key: int  # equal for texts that differ in case and white space only
    twins: Mapping[str, Twin]  # by part, the first of the rows before that have this text


class Measured(NamedTuple):
    """A record as an encoder would read it."""

    tokens: int
    unknown: int  # tokens that its vocabulary has no piece for
    windows: int
    lost: int  # entities or answers that no prediction can match


@dataclass(frozen=True)
class About:
    """What is known of the data before its first row."""

    task: str
    parts: tuple[str, ...]
    again: Callable[[], Iterator[tuple[str, Record]]]  # all records once more, with their parts
    measure: Callable[[Sequence[Record]], list[Measured]] | None = None  # None where no encoder was chosen


Watch = Generator[None, Row | None, list[Finding]]
Check = Callable[[About], Watch]


@dataclass
class Tally:
    """How often something was met, and the first few times."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, row: Row, text: str | None = None, *, detail: str = "") -> None:
        """`text` is shown instead of the beginning of the row's own."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(row.record.where, excerpt(row.record.text if text is None else text), detail))

    def finding(self, check: str, severity: Severity, says: str, *, why: str, remedy: str) -> list[Finding]:
        """One finding, or none where nothing was met."""
        return [Finding(check, severity, self.count, says, why, remedy, tuple(self.examples))] if self.count else []


def excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


def around(text: str, start: int, end: int) -> str:
    """The place in its text, with a little on both sides."""
    first, last = max(start - EXCERPT // 4, 0), min(end + EXCERPT // 4, len(text))
    return ("…" if first else "") + text[first:last] + ("…" if last < len(text) else "")


def share(count: int, of: int) -> str:
    """61 of 4,812 (1.3%): two digits that say something."""
    percent = 100 * count / max(of, 1)
    decimals = 0 if percent >= 10 else 1 if percent >= 0.1 else 2
    return f"{count:,} of {of:,} ({percent:.{decimals}f}%)"


def names(label) -> tuple[str, ...]:
    """The classes of a label; none of a number or where there is no label."""
    if isinstance(label, str):
        return (label,)
    return label if isinstance(label, tuple) else ()


def some(words: Sequence[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    rest = len(words) - most
    return ", ".join(f'"{word}"' for word in words[:most]) + (f" and {rest:,} more" if rest > 0 else "")
