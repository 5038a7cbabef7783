"""The browser of examples: what was asked, what people say and what the model says, marked in the text.

Errors come first, the surest first, then right answers, the least sure first: what is most worth a look is always there. How much a page
holds is bounded in bytes, as the texts of a run may be of any length.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from markupsafe import escape

from headway.jobs.report.verdicts import Verdict
from headway.jobs.scored import Example
from headway.records import Prediction, Record, Span

MOST_ERRORS = 1000
MOST_RIGHT = 100
MOST_BYTES = 1_600_000  # of the rows and of what the filters offer for them, as HTML
OF_ROW, OF_TEXT, OF_OPTION, OF_NUMBER = 500, 60, 40, 7  # bytes of tags around each, and of the number of a class
SHOWN_AT_ONCE = 20
LONGEST = 900  # characters of a text; of a longer one the places around what is marked
AROUND = 160  # characters kept on each side of what is marked
LONGEST_NAME = 120  # of a class, an id or an answer


class Piece(NamedTuple):
    """A stretch of a text. `mark` is "" for plain text, else what it is: "gold", "said", "both", "right", "wrong"; `tag` is its label."""

    text: str
    mark: str = ""
    tag: str = ""


class Line(NamedTuple):
    """A text with a word before it that says what it is."""

    name: str
    pieces: list[Piece]


@dataclass(frozen=True)
class Row:
    """One example as it is shown. Classes are numbers in the list that the filters offer, pairs of them in `Browser.pairs`."""

    where: str
    state: str  # "right", "wrong" or "suspect"; what is suspected is also wrong
    sure: float | None
    says: str  # how sure, or how far off
    gold_numbers: str  # "0 3"
    said_numbers: str
    pair_numbers: str  # of what is confused with what in it
    gold: str  # in words; "" where the text shows it
    said: str
    lines: list[Line]


class Browser(NamedTuple):
    rows: list[Row]
    gold_names: list[str]  # of the rows, whole; the filters offer them shortened
    said_names: list[str]
    pairs: dict[tuple[str, str], int]  # (gold, said) -> its number
    errors: int  # that there are
    suspects: int
    shown_errors: int
    right: int
    shown_right: int


def browse(examples: Sequence[Example], verdicts: Sequence[Verdict]) -> Browser:
    """What the page holds of all examples."""
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys(pair for verdict in verdicts for pair in verdict.confused))}
    rows = list(_fitting((_row(examples[p], verdicts[p], pairs, where=f"{p + 1:,}"), verdicts[p]) for p in _worth_a_look(verdicts)))
    names = [_names([getattr(verdict, side) for _, verdict in rows]) for side in ("gold", "said")]
    numbers = [{name: str(place) for place, name in enumerate(of_side)} for of_side in names]
    numbered = [
        replace(
            row,
            gold_numbers=" ".join(numbers[0][name] for name in verdict.gold),
            said_numbers=" ".join(numbers[1][name] for name in verdict.said),
        )
        for row, verdict in rows
    ]
    errors = sum(not verdict.right for verdict in verdicts)
    shown = sum(row.state != "right" for row in numbered)
    suspects = sum(verdict.suspect for verdict in verdicts)
    return Browser(numbered, *names, pairs, errors, suspects, shown, len(verdicts) - errors, len(rows) - shown)


def _names(of_rows: Iterable[Sequence[str]]) -> list[str]:
    """Numbers by size, before words by alphabet."""
    found = {name for names in of_rows for name in names}
    return sorted(found, key=lambda name: (0, float(name), name) if name.isdecimal() else (1, 0.0, name))


def _fitting(rows: Iterable[tuple[Row, Verdict]]) -> Iterator[tuple[Row, Verdict]]:
    """As many as a page has room for, with what the filters offer for them."""
    used, offered = 0, set()
    for row, verdict in rows:
        fresh = {(side, name) for side in ("gold", "said") for name in getattr(verdict, side)} - offered
        used += row_bytes(row, verdict) + sum(_letters(short(name)) + OF_OPTION for _, name in fresh)
        if used > MOST_BYTES:
            return
        offered |= fresh
        yield row, verdict


def _worth_a_look(verdicts: Sequence[Verdict]) -> Iterator[int]:
    """Positions, in the order of the page: the surest errors, or the farthest off; then the least sure of what is right."""

    def wrongness(place: int) -> float:
        verdict = verdicts[place]
        return verdict.off if verdict.off is not None else -1.0 if verdict.sure is None else verdict.sure

    places = range(len(verdicts))
    wrong = sorted((place for place in places if not verdicts[place].right), key=lambda place: -wrongness(place))
    right = sorted((place for place in places if verdicts[place].right), key=wrongness)
    yield from wrong[:MOST_ERRORS]
    yield from right[:MOST_RIGHT] if not verdicts or verdicts[0].off is None else right[::-1][:MOST_RIGHT]


def _row(example: Example, verdict: Verdict, pairs: Mapping[tuple[str, str], int], *, where: str) -> Row:
    record, said = example
    state = "right" if verdict.right else "suspect" if verdict.suspect else "wrong"
    says = f"{verdict.off:.2f} off" if verdict.off is not None else f"{100 * verdict.sure:.0f}% sure" if verdict.sure is not None else ""
    pair_numbers = " ".join(str(pairs[pair]) for pair in dict.fromkeys(verdict.confused))
    gold, told = _in_words(record, said)
    return Row(short(record.id) or where, state, verdict.sure, says, "", "", pair_numbers, gold, told, _lines(record, said))


def row_bytes(row: Row, verdict: Verdict) -> int:
    """That it takes at most, as HTML."""
    texts = [row.where, row.gold, row.said, *(part for line in row.lines for piece in line.pieces for part in (piece.text, piece.tag))]
    numbers = len(row.pair_numbers) + OF_NUMBER * (len(verdict.gold) + len(verdict.said))
    return OF_ROW + numbers + sum(_letters(text) + OF_TEXT for text in texts)


def _letters(text: str) -> int:
    return len(escape(text).encode("utf-8", "replace"))


def _in_words(record: Record, said: Prediction) -> tuple[str, str]:
    """What people and the model say, where the text does not show it."""
    if record.entities is not None:
        return "", ""
    if record.answers is not None:
        answers = dict.fromkeys(record.text[span.start : span.end] for span in record.answers)
        return short(" / ".join(answers)) or "no answer", short(said.answer or "") or "no answer"
    return _label(record.label), _label(said.label)


def _label(label) -> str:
    if isinstance(label, tuple):
        return ", ".join(short(name) for name in label) or "nothing"
    return f"{label:.2f}" if isinstance(label, float) else short(str(label))


def short(text: str, longest: int = LONGEST_NAME) -> str:
    """The beginning of a text that would be too long."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


# --- texts, marked


def _lines(record: Record, said: Prediction) -> list[Line]:
    if record.entities is not None:
        return list(_entity_lines(record.text, record.entities, said.entities or ()))
    if record.answers is not None:
        asked = [Line("question", [Piece(short(record.question or "", LONGEST))])]
        return [*asked, Line("text", _answer_pieces(record, said))]
    if record.text_pair is not None:
        return [Line("first", [Piece(short(record.text, LONGEST))]), Line("second", [Piece(short(record.text_pair, LONGEST))])]
    return [Line("", [Piece(short(record.text, LONGEST))])]


def _entity_lines(text: str, gold: Sequence[Span], said: Sequence[Span]) -> Iterator[Line]:
    """The text twice, as entities of one side may lie across those of the other; once where they are the same."""
    places = [{(span.start, span.end, span.label) for span in side} for side in (gold, said)]
    if places[0] == places[1]:
        yield Line("", _shortened(text, _marked(text, gold, places[1])))
        return
    yield Line("labelled", _shortened(text, _marked(text, gold, places[1])))
    yield Line("model", _shortened(text, _marked(text, said, places[0])))


Marked = tuple[int, int, str, str]  # start, end, mark, tag


def _marked(text: str, spans: Sequence[Span], others: set) -> list[Marked]:
    """Of spans that overlap the first, so that every character is in one piece."""
    found: list[Marked] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not found or span.start >= found[-1][1]:
            same = (span.start, span.end, span.label) in others
            found.append((span.start, span.end, "right" if same else "wrong", short(span.label)))
    return found


def _answer_pieces(record: Record, said: Prediction) -> list[Piece]:
    """The first of the labelled answers and what the model says, cut where one begins or ends within the other."""
    gold, model = (record.answers[0] if record.answers else None), said.span
    borders = sorted({border for span in (gold, model) if span for border in (span.start, span.end)})
    marks = []
    for start, end in pairwise(borders):
        inside = [span is not None and span.start <= start and end <= span.end for span in (gold, model)]
        if any(inside):
            marks.append((start, end, "both" if all(inside) else "gold" if inside[0] else "said", ""))
    return _shortened(record.text, marks)


def _shortened(text: str, marks: Sequence[Marked]) -> list[Piece]:
    """The text in pieces; of a long one only what is near a mark, or its beginning where nothing is marked."""
    if not marks:
        return [Piece(short(text, LONGEST))]
    whole = len(text) <= LONGEST
    pieces, done = [], 0
    for start, end, mark, tag in marks:
        pieces += _between(text[done:start], first=done == 0, last=False, whole=whole)
        pieces.append(Piece(short(text[start:end], LONGEST), mark, tag))
        done = end
        if not whole and sum(len(piece.text) for piece in pieces) > LONGEST:
            return [*pieces, Piece(" …")]
    return pieces + _between(text[done:], first=False, last=True, whole=whole)


def _between(text: str, *, first: bool, last: bool, whole: bool) -> list[Piece]:
    """What stands before, between or behind marks."""
    if not text:
        return []
    if whole or len(text) <= 2 * AROUND:
        return [Piece(text)]
    head, tail = ("" if first else text[:AROUND]), ("" if last else text[-AROUND:])
    return [Piece(f"{head} … {tail}".strip(" ") if head and tail else f"… {tail}" if tail else f"{head} …")]
