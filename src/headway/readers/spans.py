"""Spans that a file gives by character positions: entities and answers, checked against their text."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from headway.errors import DataError
from headway.readers.faults import RecordError, tried
from headway.readers.files import Liberties
from headway.records import Span

_STARTS = ("start", "start_offset", "begin")
_ENDS = ("end", "end_offset", "stop")
_LABELS = ("label", "labels", "type", "tag", "entity", "entity_group", "entity_type", "category")
_AROUND = 20  # characters shown of what stands elsewhere


def read_entities(
    items: Iterable[Any], text: str, where: str, *, liberties: Liberties, place: Callable[[Span], str] | None = None
) -> tuple[Span, ...]:
    """Dicts with start, end and label, or triples of them -> spans in the order of the text, the longer first.

    One may lie in another; what is said twice is one, and a liberty. `place` tells where a span stands, if that is known better than
    `where`.

    Raises:
        RecordError: items are neither, reach outside the text, or begin in another and end outside of it.
    """
    found, faults = tried(lambda item: _entity(item, text, where), items)
    spans = sorted(dict.fromkeys(found), key=lambda span: (span.start, -span.end))
    for span in (Counter(found) - Counter(spans)).elements():
        liberties.take("entities marked twice alike, read as one", place(span) if place else where)
    faults += (f"{place(span) if place else where}: {said}" for span, said in _crossings(spans, text))
    if faults:
        raise RecordError(*faults)
    return tuple(spans)


def _crossings(spans: Sequence[Span], text: str) -> Iterator[tuple[Span, str]]:
    """Each that begins in another and ends outside of it, and what is said of it; `spans` are in order, the longer first."""
    around: list[Span] = []  # those that the span at hand begins in, the longest first
    for span in spans:
        while around and around[-1].end <= span.start:
            around.pop()
        if around and around[-1].end < span.end:
            yield span, f"{_name(around[-1], text)} and {_name(span, text)} overlap; an entity may not reach into another"
        else:
            around.append(span)


def read_answer(answer: Any, start: Any, context: str, where: str, *, liberties: Liberties) -> Span:
    """The span of an answer text that begins at `start`; white space around the answer is no part of it, which is a liberty.

    Without a start (None), the only occurrence in the context.
    """
    if not isinstance(answer, str) or not answer.strip():
        raise DataError(f"{where}: the answer is {answer!r}; expected a text that stands in the context")
    if start is None:
        start = _only_occurrence(answer, context, where)
    if not isinstance(start, int) or isinstance(start, bool):
        raise DataError(f"{where}: answer_start is {start!r}; expected a whole number without quotes")
    found = context[start : start + len(answer)] if start >= 0 else ""
    if found != answer:
        raise DataError(f'{where}: answer "{answer}" does not stand at {start}: there stands "{found}"; {_elsewhere(answer, context)}')
    if answer != answer.strip():
        liberties.take("white space around answers, read as no part of them", where)
    begin = start + len(answer) - len(answer.lstrip())
    return Span(begin, begin + len(answer.strip()))


def _entity(item: Any, text: str, where: str) -> Span:
    start, end, label = _triple(item, where)
    if not (type(start) is int and type(end) is int):
        raise DataError(f"{where}: entity {item!r} runs from {start!r} to {end!r}; expected whole numbers")
    if not 0 <= start < end <= len(text):
        raise DataError(f'{where}: entity "{label}" runs from {start} to {end}, but the text has {len(text)} characters')
    if not label:
        raise DataError(f'{where}: the entity "{text[start:end]}" ({start}-{end}) has no label')
    said = item.get("text") if isinstance(item, dict) else None
    if isinstance(said, str) and said.split() != text[start:end].split():
        raise DataError(f'{where}: entity "{said}" does not stand at {start}: there stands "{text[start:end]}"; {_elsewhere(said, text)}')
    return Span(start, end, label, _confidence(item))


def _confidence(item: Any) -> float | None:
    """What a model has said of its own span, and a person has let stand."""
    given = item.get("confidence") if isinstance(item, dict) else None
    return float(given) if isinstance(given, float | int) and 0 <= given <= 1 else None


def _triple(item: Any, where: str) -> tuple[Any, Any, str]:
    if isinstance(item, dict):
        start, end, label = (next((item[key] for key in keys if key in item), None) for keys in (_STARTS, _ENDS, _LABELS))
    elif isinstance(item, list) and len(item) == 3:
        start, end, label = item
    else:
        raise DataError(f'{where}: entity {item!r}; expected {{"start": 0, "end": 5, "label": "PER"}} or [0, 5, "PER"]')
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    return start, end, label if isinstance(label, str) else ""


def _only_occurrence(answer: str, context: str, where: str) -> int:
    count = context.count(answer)
    if count != 1:
        found = "does not stand in the context" if count == 0 else f"stands {count} times in the context; say which with answer_start"
        raise DataError(f'{where}: answer "{answer}" {found}')
    return context.index(answer)


def _elsewhere(wanted: str, text: str) -> str:
    """Where it stands, letter for letter or but for the case: the two slips that shift or spoil most spans."""
    if wanted in text:
        return f"it stands at {text.index(wanted)}"
    at = text.casefold().find(wanted.casefold())
    if at >= 0 and len(text.casefold()) == len(text):
        return f'"{text[at : at + len(wanted)]}" stands at {at}'
    return "it stands nowhere in the text"


def _name(span: Span, text: str) -> str:
    shown = text[span.start : span.end]
    return f'{span.label} "{shown[:_AROUND]}{"…" if len(shown) > _AROUND else ""}" ({span.start}-{span.end})'
