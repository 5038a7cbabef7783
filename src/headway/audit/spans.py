"""Checks of entities: where they begin and end, whether they get into each other's way, and whether like is marked alike."""

import math
import re
from collections import Counter, defaultdict
from itertools import combinations

from headway.audit.findings import About, Example, Finding, Tally, Watch, around, share
from headway.records import Span

OFTEN = 0.01  # the share of entities from which on disagreement is a warning
SURE = 0.9  # the share of a word's occurrences that make its usual mark
TIMES = 10  # a word must occur before it has a usual mark
LONGEST = 4  # words of an entity that is looked for elsewhere
NOT_FIRST = set(",.;:!?)]}”%")
NOT_LAST = set(",;:([{“")
_WORDS = re.compile(r"\S+")


def span_places(about: About) -> Watch:
    """Entities that are empty or reach outside their text."""
    found, total = Tally(), 0
    while (row := (yield)) is not None:
        for span in row.record.entities or ():
            total += 1
            if not 0 <= span.start < span.end <= len(row.record.text):
                found.add(row, detail=f"{span.label} {span.start}-{span.end} of {len(row.record.text)} characters")
    return found.finding(
        "span_places",
        "error",
        f"{share(found.count, total)} entities are empty or reach outside their text",
        why="they mark nothing that could be learned, and count as missed in every score",
        remedy="positions count characters from 0 and without the end; texts that were trimmed after marking shift them",
    )


def span_borders(about: About) -> Watch:
    """Entities that begin or end in white space or in punctuation that is no part of a name."""
    found, total = Tally(), 0
    while (row := (yield)) is not None:
        text = row.record.text
        for span in row.record.entities or ():
            total += 1
            if _bad_border(text[span.start : span.end]):
                found.add(row, around(text, span.start, span.end), detail=f'{span.label} "{text[span.start : span.end]}"')
    return found.finding(
        "span_borders",
        "warning",
        f"{share(found.count, total)} entities begin or end in white space or punctuation",
        why="a prediction must match the borders to count, and these cannot be guessed",
        remedy="draw them around the name alone",
    )


def _bad_border(marked: str) -> bool:
    """An end that is a stop only where it stands apart from the last word: "Inc." keeps its own."""
    if not marked:
        return False
    first, last = marked[0], marked[-1]
    if marked != marked.strip() or (len(marked) > 1 and (first in NOT_FIRST or last in NOT_LAST or marked.endswith((" .", " '", ' "')))):
        return True
    return any(
        (opening in marked) != (closing in marked) and (first == opening or last == closing) for opening, closing in ("()", "[]", "“”")
    )


def spans_in_words(about: About) -> Watch:
    """Entities that begin or end inside a word."""
    found, total = Tally(), 0
    while (row := (yield)) is not None:
        text = row.record.text
        for span in row.record.entities or ():
            total += 1
            if cuts_word(text, span):
                found.add(row, around(text, span.start, span.end), detail=f'{span.label} "{text[span.start : span.end]}"')
    return found.finding(
        "spans_in_words",
        "warning" if found.count > OFTEN * total else "note",
        f"{share(found.count, total)} entities begin or end inside a word",
        why="where many do, positions are shifted; where few do, a letter was missed in marking",
        remedy="draw them to the ends of words; in languages that write compounds as one word this may be meant",
    )


def cuts_word(text: str, span: Span) -> bool:
    """Whether a letter or digit stands on both sides of an end of the span, in a script that sets spaces."""
    return any(0 < edge < len(text) and _joined(text[edge - 1 : edge + 1]) for edge in (span.start, span.end))


def _joined(pair: str) -> bool:
    return pair.isalnum() and not _UNSPACED.search(pair)


_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u31bf\u3400-\u9fff\uf900-\ufaff]")


def span_overlaps(about: About) -> Watch:
    """Entities that are marked twice, lie in one another or cross."""
    found, kinds = Tally(), Counter()
    while (row := (yield)) is not None:
        for one, other in combinations(sorted(row.record.entities or (), key=lambda span: (span.start, -span.end)), 2):
            if other.start < one.end:
                kind = _relation(one, other)
                kinds[kind] += 1
                marked = [f'{span.label} "{row.record.text[span.start : span.end]}"' for span in (one, other)]
                found.add(row, around(row.record.text, one.start, max(one.end, other.end)), detail=f"{kind}: {' and '.join(marked)}")
    return found.finding(
        "span_overlaps",
        "warning",
        f"entities share characters: {', '.join(f'{count:,} pairs {kind}' for kind, count in kinds.most_common())}",
        why="one word has one tag: of two entities on it only one can be learned, and the other counts as missed",
        remedy="keep one of each pair, the longer where one lies in the other",
    )


def _relation(one: Span, other: Span) -> str:
    if (one.start, one.end) == (other.start, other.end):
        return "marked twice" if one.label == other.label else "two types"
    return "nested" if other.end <= one.end else "crossing"


def uneven_marks(about: About) -> Watch:
    """Words that are marked in one way nearly everywhere, and elsewhere in another or not at all; and words with no usual mark."""
    marks: dict[str, Counter[str]] = defaultdict(Counter)
    while (row := (yield)) is not None:
        for span in row.record.entities or ():
            surface = row.record.text[span.start : span.end]
            if surface.count(" ") < LONGEST and any(map(str.isalpha, surface)):
                marks[surface][span.label] += 1
    frequent = {surface: of_surface for surface, of_surface in marks.items() if of_surface.total() >= TIMES / 2}
    if not frequent:
        return []
    bare = _unmarked(about, frequent)
    uneven: list[tuple[str, str, int, int]] = []
    mixed: dict[str, Counter[str]] = {}
    for surface, of_surface in frequent.items():
        occurrences = of_surface + Counter({"": bare[surface]})
        (usual, times), total = occurrences.most_common(1)[0], occurrences.total()
        if total >= TIMES and times < SURE * total:
            mixed[surface] = occurrences
        elif total >= TIMES and times < total and of_surface.total() >= SURE * TIMES:
            uneven.append((surface, usual, times, total - times))
    total = sum(of_surface.total() for of_surface in marks.values())
    return [*_uneven(about, uneven, total=total), *_mixed(about, mixed, total=total)]


def _unmarked(about: About, surfaces: dict[str, Counter[str]]) -> Counter[str]:
    """How often each of the surfaces stands in a text as whole words, and no entity touches it."""
    bare: Counter[str] = Counter()
    for surface, _, _ in _occurrences(about, surfaces):
        bare[surface] += 1
    return bare


def _occurrences(about: About, surfaces):
    """(surface, record, start) of every occurrence that no entity touches."""
    for _, record in about.again():
        words = [found.span() for found in _WORDS.finditer(record.text)]
        for first in range(len(words)):
            for last in range(first, min(first + LONGEST, len(words))):
                start, end = words[first][0], words[last][1]
                surface = record.text[start:end]
                if surface in surfaces and not any(span.start < end and span.end > start for span in record.entities or ()):
                    yield surface, record, start


def _uneven(about: About, found: list[tuple[str, str, int, int]], *, total: int) -> list[Finding]:
    if not found:
        return []
    count = sum(rest for *_, rest in found)
    found.sort(key=lambda one: -one[3])
    usual_of = {surface: usual for surface, usual, _, _ in found}
    examples = []
    for _, record in about.again():
        for span in record.entities or ():
            surface = record.text[span.start : span.end]
            if usual_of.get(surface, span.label) != span.label and len(examples) < 5:
                usual = usual_of[surface] or "not marked"
                examples.append(
                    Example(record.where, around(record.text, span.start, span.end), f'"{surface}" is {span.label}, usually {usual}')
                )
    rows = tuple((surface, usual or "not marked", f"{times:,}", f"{rest:,}") for surface, usual, times, rest in found[:40])
    return [
        Finding(
            "uneven_marks",
            "warning" if count > OFTEN * total else "note",
            count,
            f"{len(found):,} words are nearly always marked alike, and {count:,} times otherwise or not at all",
            why="some of these are right (a name has several meanings), the others teach the opposite of what the rest teaches",
            remedy="go through the table, and mark alike what is alike",
            examples=tuple(examples),
            table=(("words", "usually", "times", "otherwise"), *rows),
        )
    ]


def _mixed(about: About, found: dict[str, Counter[str]], *, total: int) -> list[Finding]:
    if not found:
        return []
    count = sum(marks.total() - max(marks.values()) for marks in found.values())
    surfaces = sorted(found, key=lambda surface: -_doubt(found[surface]))
    examples: dict[tuple[str, str], Example] = {}
    for _, record in about.again():
        for span in record.entities or ():
            surface = record.text[span.start : span.end]
            if surface in surfaces[:2] and (surface, span.label) not in examples:
                shown = around(record.text, span.start, span.end)
                examples[surface, span.label] = Example(record.where, shown, f'"{surface}" is {span.label}')
    rows = tuple(
        (surface, ", ".join(f"{label or 'not marked'} {times:,}" for label, times in found[surface].most_common()))
        for surface in surfaces[:40]
    )
    ordered = sorted(examples, key=lambda key: surfaces.index(key[0]))
    return [
        Finding(
            "uneven_marks",
            "warning" if count > OFTEN * total else "note",
            count,
            f"{len(found):,} words are marked in several ways, {count:,} times not in their commonest",
            why="where the text around a word does not decide, nobody can learn when it is which",
            remedy="go through the table: agree on what each is, or leave it where its meanings differ (a city and its team)",
            examples=tuple(examples[key] for key in ordered[:5]),
            table=(("words", "marks"), *rows),
        )
    ]


def _doubt(marks: Counter[str]) -> float:
    """Bits that it would take to say how each occurrence is marked."""
    total = marks.total()
    return -sum(times * math.log2(times / total) for times in marks.values() if times)
