"""Predictions as JSON: what `headway predict` prints and what `predictions.jsonl` holds."""

from headway.records import Prediction, Record, Span


def answer(record: Record, prediction: Prediction, *, gold: bool = False) -> dict:
    """The input, what is said of it, and, where `gold` is asked for, what people say of it and which group it is of."""
    given = {"id": record.id or None, "text": record.text, "text_pair": record.text_pair, "question": record.question}
    said = {
        "label": prediction.label,
        "entities": _spans(record.text, prediction.entities),
        "answer": prediction.answer,
        "span": prediction.span and {"start": prediction.span.start, "end": prediction.span.end},
        "confidence": _rounded(prediction.confidence),
        "abstained": prediction.abstained or None,
        "scores": prediction.scores and {name: _rounded(score) for name, score in prediction.scores.items()},
    }
    known = {"group": record.group or None, "gold": _gold(record)} if gold else {}
    return {name: value for name, value in (given | said | known).items() if value is not None}


def _gold(record: Record):
    if record.label is not None:
        return record.label
    if record.entities is not None:
        return _spans(record.text, record.entities)
    return _spans(record.text, record.answers)


def _spans(text: str, spans: tuple[Span, ...] | None) -> list[dict] | None:
    if spans is None:
        return None
    rows = [
        {"start": s.start, "end": s.end, "label": s.label or None, "text": text[s.start : s.end], "confidence": _rounded(s.confidence)}
        for s in spans
    ]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)
