"""Rows with named cells -> records: what tables, JSON and Parquet have in common once they are opened."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.columns import decide_columns, split_columns
from headway.readers.faults import RecordError, each, faultless
from headway.readers.files import Labels, Liberties, Opened, Unread
from headway.readers.labels import Kind, read_label
from headway.readers.spans import read_answer, read_entities
from headway.readers.survey import Row, Rows, Survey, survey
from headway.readers.tags import TagFaults, Tagging, entities, join_tokens, survey_tags
from headway.readers.writing import Target, under
from headway.records import Record, Span

_AHEAD = 1000  # records that decide which columns are written
_PLAIN = {
    "classification": {"id": "id", "group": "group", "text": "text", "text_pair": "text_pair", "label": "label"},
    "ner": {"id": "id", "group": "group", "text": "text", "label": "entities"},
    "qa": {"id": "id", "group": "title", "question": "question", "text": "context", "label": "answers"},
}
_LATE = {"id": "ids of later records", "group": "groups of later records", "text_pair": "second texts of later records"}
_STARTS = ("answer_start", "start", "answer_offset")  # columns beside an answer text
_YES = {"1", "true", "1.0"}
_NO = {"0", "false", "0.0", ""}


def read_rows(name: str, rows: Rows, data: Data, labels: Labels, *, named: bool = True) -> Opened:
    """The settings with everything decided, and the records one by one.

    `rows` is called anew for every pass: one to see all columns, one to see all tags where there are tags, one to read.
    """
    seen = survey(rows(), file=name, named=named)
    if not seen.rows:
        raise DataError(seen.fault or f"{name}: no rows in it")
    try:
        decided = decide_columns(seen, data, labels)
    except DataError:
        if seen.fault:  # why a column looks as it does, more likely than not
            raise DataError(seen.fault) from None
        raise
    liberties = Liberties()
    decided, read = _READ[decided.task](rows, seen, decided, liberties)
    return Opened(decided, each(partial(_readable, read), rows()), Counter(), _unread(rows, seen, decided), liberties)


def _unread(rows: Rows, seen: Survey, decided: Data) -> Unread:
    """The columns that are no part of a record."""
    read = {name for setting in (decided.text, decided.label) if setting for name in split_columns(setting, seen.names)}
    read |= {decided.text_pair, decided.question, decided.id, decided.group}
    read |= set(_STARTS) if decided.task == "qa" else set()
    names = tuple(name for name, column in seen.columns.items() if name not in read and column.filled and column.shapes != {"list"})

    def cells() -> Iterator[tuple[str, dict[str, Any]]]:
        return ((row.where, {name: row.cells[name] for name in names if row.cells.get(name) not in (None, "")}) for row in rows())

    counts = Counter({under(names): sum(seen.columns[name].filled for name in names)})
    return Unread(counts, cells if seen.named else None, names, tuple(seen.columns))


def _readable(read: Callable[[Row], Record], row: Row) -> Record:
    if row.fault:
        raise RecordError(row.fault)
    return read(row)


def _classification(rows: Rows, seen: Survey, data: Data, liberties: Liberties) -> tuple[Data, Callable[[Row], Record]]:
    texts = split_columns(data.text, seen.names)
    classes = split_columns(data.label, seen.names) if data.label else []
    kind = Kind(data.kind or "single", data.label_separator)

    def read(row: Row) -> Record:
        pair = _text(row, [data.text_pair]) if data.text_pair else None
        label = _one_hot(row, classes) if len(classes) > 1 else read_label(row.cells.get(data.label), kind, row.where)
        return Record(_text(row, texts), text_pair=pair, label=label, **_origin(row, data))

    return data, read


def _ner(rows: Rows, seen: Survey, data: Data, liberties: Liberties) -> tuple[Data, Callable[[Row], Record]]:
    texts = split_columns(data.text, seen.names)
    tagged = data.label in seen.columns and not seen.columns[data.label].shapes.isdisjoint({"texts", "numbers"})
    if not tagged:

        def read_spans(row: Row) -> Record:
            text, marks = _text(row, texts), _marks(row, data)
            spans = None if marks is None else read_entities(marks, text, row.where, liberties=liberties)
            return Record(text, entities=spans, **_origin(row, data))

        return data, read_spans
    tagging = survey_tags((_tags(row.cells.get(data.label)) for row in rows()), scheme=data.scheme)
    return data.model_copy(update={"scheme": tagging.scheme}), lambda row: _tagged(row, data, tagging)


def _qa(rows: Rows, seen: Survey, data: Data, liberties: Liberties) -> tuple[Data, Callable[[Row], Record]]:
    ids: set[str] = set()
    starts = next((name for name in _STARTS if name in seen.columns), None)

    def read(row: Row) -> Record:
        context, question = _text(row, [data.text]), _text(row, [data.question])
        origin = _origin(row, data)
        check_question(question, origin["id"], ids, row.where)
        pairs = _pairs(row, data, starts)
        made = partial(read_answer, context=context, where=row.where, liberties=liberties)
        answers = None if pairs is None else tuple(faultless(lambda pair: made(*pair), pairs))
        return Record(context, question=question, answers=answers, **origin)

    return data, read


_READ = {"classification": _classification, "ner": _ner, "qa": _qa}


def cells_of(records: Iterable[Record], target: Target) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """The names of the columns, and the records as cells under them: what `read_rows` reads back.

    Ids, groups and second texts get a column where one of the first records has them; where only later ones do, they are counted as lost.
    """
    ahead = iter(records)
    first = list(islice(ahead, _AHEAD))
    names = _column_names(target)
    others = [name for name in target.columns if name not in names.values()]
    missing = {field for field in ("id", "group", "text_pair") if not any(getattr(record, field) for record in first)}
    kept = {field: name for field, name in names.items() if field not in missing}

    def cells(record: Record) -> dict[str, Any]:
        for field in missing:
            target.lost[_LATE[field]] += bool(getattr(record, field))
        known = {"id": record.id or None, "group": record.group or None, "label": _said(record)}
        values = {field: getattr(record, field) for field in ("text", "text_pair", "question")} | known
        beside = target.beside(record)
        target.lost["cells under a name that is taken"] += sum(name not in others for name in beside)
        return {name: values[field] for field, name in kept.items()} | {name: beside[name] for name in others if name in beside}

    written = [*kept.values(), *others]
    in_order = sorted(written, key=target.order.index) if set(written) <= set(target.order) else written
    return in_order, map(cells, chain(first, ahead))


def _column_names(target: Target) -> dict[str, str]:
    """Field -> column, as the file that was read calls them, or plainly; of one column for several fields the later stay plain."""
    plain = _PLAIN[target.task]
    wanted = {field: getattr(target.data, field, None) for field in plain}
    taken: set[str] = set()
    for field, name in wanted.items():
        usable = name is not None and "+" not in name and not name.isdigit() and name not in taken
        wanted[field] = name if usable else plain[field]
        taken.add(wanted[field])
    return wanted if len(taken) == len(wanted) else plain


def _said(record: Record) -> Any:
    """What people or a model say of a record, as JSON can hold it; several classes as a tuple."""
    if record.entities is not None:
        return [_span_cells(span, record.text) for span in record.entities]
    if record.answers is not None:
        spans = record.answers
        return {"text": [record.text[span.start : span.end] for span in spans], "answer_start": [span.start for span in spans]}
    return record.label


def _span_cells(span: Span, text: str) -> dict[str, Any]:
    confidence = {} if span.confidence is None else {"confidence": round(span.confidence, 6)}
    return {"start": span.start, "end": span.end, "label": span.label, "text": text[span.start : span.end]} | confidence


def check_question(question: str, identity: str, ids: set[str], where: str) -> None:
    """Raise where a question is empty or its id has been met before; `ids` remembers it.

    Only questions are checked for that: predictions and scores of question answering are told apart by id.
    """
    if not question.strip():
        raise DataError(f"{where}: the question is empty")
    if identity in ids:
        raise DataError(f'{where}: the id "{identity}" has been used before; every question needs its own')
    if identity:
        ids.add(identity)


def _text(row: Row, columns: list[str]) -> str:
    return " ".join(_cell(row, column) for column in columns)


def _cell(row: Row, column: str) -> str:
    value = row.cells.get(column)
    if isinstance(value, list) and all(isinstance(token, str) for token in value):
        return " ".join(value)
    if value is None or isinstance(value, (list, dict)):
        found = f"no {column!r} here, but {', '.join(row.cells)}" if value is None else f"{column!r} is {type(value).__name__}"
        raise DataError(f"{row.where}: {found}; expected a text")
    return str(value)


def _origin(row: Row, data: Data) -> dict[str, str]:
    identity, group = (row.cells.get(column) if column else None for column in (data.id, data.group))
    return {"id": "" if identity is None else str(identity), "group": "" if group is None else str(group), "where": row.where}


def _one_hot(row: Row, classes: list[str]) -> tuple[str, ...]:
    cells = {name: str(row.cells.get(name, "")).strip().lower() for name in classes}
    for name, cell in cells.items():
        if cell not in _YES | _NO:
            raise DataError(f'{row.where}: "{cell}" under {name}; expected 0 or 1')
    return tuple(name for name, cell in cells.items() if cell in _YES)


def _marks(row: Row, data: Data) -> list[Any] | None:
    marks = row.cells.get(data.label)
    if marks is None or marks == "":  # Label Studio leaves the cell out where an annotation marks nothing
        return [] if row.cells.get("annotation_id") else None
    if isinstance(marks, list):
        return marks
    raise DataError(f"{row.where}: {data.label!r} is {marks!r}; expected a list of spans or of tags")


def _tags(value: Any) -> list[str]:
    """What can be a tag; the rest is told when its row is read."""
    return [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []


def _tagged(row: Row, data: Data, tagging: Tagging) -> Record:
    tokens, tags = row.cells.get(data.text), _marks(row, data)
    if not isinstance(tokens, list):
        raise DataError(f"{row.where}: {data.text!r} is {tokens!r}; expected a list of tokens, one for each tag")
    if not all(isinstance(token, str) for token in tokens):
        raise DataError(f"{row.where}: a token is no text: {next(token for token in tokens if not isinstance(token, str))!r}")
    if tags is None:
        return Record(_cell(row, data.text), **_origin(row, data))
    if len(tokens) != len(tags):
        raise DataError(f"{row.where}: {len(tokens)} tokens, but {len(tags)} tags")
    if not all(isinstance(tag, str) for tag in tags):
        raise DataError(f"{row.where}: the tags are numbers, and the file does not say what they stand for; write B-PER, I-PER, O ...")
    try:
        text, spans = join_tokens(tokens, entities(tags, tagging))
    except TagFaults as error:
        raise RecordError(*(f'{row.where}: token {at + 1} "{tokens[at]}": {said}' for at, said in error.faults)) from None
    return Record(text, entities=spans, **_origin(row, data))


def _pairs(row: Row, data: Data, starts: str | None) -> list[tuple[Any, Any]] | None:
    """Answers with their starts, of {"text": [...], "answer_start": [...]}, of [{"text": ..., "answer_start": ...}], or of two cells."""
    value = row.cells.get(data.label)
    if value is None:
        return None
    if value == "":
        return []
    if isinstance(value, str):
        start = row.cells.get(starts)
        if isinstance(start, str):  # all that a cell of a table can hold is text
            start = int(start) if start.isdigit() else start or None
        return [(value, start)]
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        positions = value.get("answer_start") or [None] * len(value["text"])
        if not isinstance(positions, list):
            raise DataError(f"{row.where}: answer_start is {positions!r}; expected a list, as text is one")
        if len(positions) != len(value["text"]):
            raise DataError(f"{row.where}: {len(value['text'])} answers, but {len(positions)} answer_start")
        return list(zip(value["text"], positions, strict=True))
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        return [(answer.get("text"), answer.get("answer_start")) for answer in value]
    raise DataError(f'{row.where}: answers {value!r}; expected {{"text": ["..."], "answer_start": [0]}}')
