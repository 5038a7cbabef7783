"""Which column of a file of rows is what: by its name, else by what stands in it.

`a+b` names several columns: of texts, to be read as one; of labels, one column a class with 1 where the class holds.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

from headway.config import Data
from headway.errors import DataError, did_you_mean
from headway.readers.files import Labels
from headway.readers.labels import guess_kind, guess_separator
from headway.readers.survey import Column, Survey

# What columns are called, the plainest name first. Compared without case, with "-" and " " read as "_".
_TEXTS = ("text", "sentence", "review", "content", "comment", "message", "body", "tweet", "document", "post", "query", "question")
_CONTEXTS = ("context", "passage", "paragraph")
_QUESTIONS = ("question", "query")
_TOKENS = ("tokens", "words")
_CLASSES = ("label", "labels", "category", "class", "intent", "sentiment", "emotion", "emotions", "topic", "score", "rating", "stars")
_ENTITIES = ("ner_tags", "entities", "spans", "tags", "ner", "labels", "label")
_ANSWERS = ("answers", "answer_text", "answer")
_IDS = ("id", "_id", "uid", "guid", "idx", "index", "comment_id")
_DOCUMENTS = ("group", "document_id", "doc_id")
_KNOWN = {*_TEXTS, *_CONTEXTS, *_TOKENS, *_CLASSES, *_ENTITIES, *_ANSWERS, *_IDS, *_DOCUMENTS}
_FLAGS = ({"0", "1"}, {"True", "False"})
_PAIRS = (("premise", "hypothesis"), ("text", "text_pair"), ("question", "sentence"), ("query", "passage"))
_TWINS = (("1", "2"), ("a", "b"), ("one", "two"), ("first", "second"))


def decide_columns(seen: Survey, data: Data, labels: Labels) -> Data:
    """The settings with every column and the kind of label decided; what is set already stays.

    Raises:
        DataError: a column that is named or needed is not there.
    """
    if len(seen.columns) == 1:
        data = data.model_copy(update={"text": seen.names[0]})  # the only column is the text, whatever another file calls it
    _check_names(seen, data, labels)
    task = data.task or _guess_task(seen)
    data = data.model_copy(update={"task": task, "id": data.id or _by_name(seen, _IDS)})
    return _DECIDE[task](seen, data, labels)


def split_columns(setting: str, names: Sequence[str]) -> list[str]:
    """The columns that a setting names: one, or several joined by "+"."""
    parts = setting.split("+")
    return parts if setting not in names and len(parts) > 1 else [setting]


def is_known_name(name: str) -> bool:
    """Whether a column of that name would be known for what it is."""
    return _plain(name) in _KNOWN


def _check_names(seen: Survey, data: Data, labels: Labels) -> None:
    for setting in ("text", "text_pair", "question") + (("label", "id", "group") if labels != "optional" else ()):
        wanted = getattr(data, setting)
        for column in split_columns(wanted, seen.names) if wanted is not None else []:
            if column not in seen.columns:
                allowed = did_you_mean(column, seen.names) or f"; the columns are {', '.join(seen.names)}"
                raise DataError(f'{seen.file}: no column "{column}" (data.{setting}){allowed}')


def _guess_task(seen: Survey) -> str:
    if _by_name(seen, _CONTEXTS) and _by_name(seen, _QUESTIONS):
        return "qa"
    marks = _by_name(seen, _ENTITIES)
    spans = marks is not None and "spans" in seen.columns[marks].shapes
    return "ner" if spans or _by_name(seen, _TOKENS) else "classification"


def _decide_classification(seen: Survey, data: Data, labels: Labels) -> Data:
    label = data.label or _by_name(seen, _CLASSES) or _by_suffix(seen, "_label")
    if data.text is None:
        data = data.model_copy(update=_guess_texts(seen, data, label))
    taken = {label, data.id, data.text_pair, *split_columns(data.text, seen.names)}
    rest = {column: held for column, held in seen.columns.items() if column not in taken}
    if label is None and labels != "optional":
        label = _one_hot(rest, seen) or _guess_label(rest, seen.rows)
        if label is None and labels == "required":
            raise DataError(f"{seen.file}: no column looks like a label; {_name_one(seen, 'label')}")
    data = data.model_copy(update={"label": label, "group": data.group or _by_name(seen, _DOCUMENTS)})
    return data.model_copy(update=_decide_kind(seen, data))


def _decide_ner(seen: Survey, data: Data, labels: Labels) -> Data:
    text = data.text or _by_name(seen, _TOKENS if _tags_of(seen) else _TEXTS) or _longest_text(seen)
    rest = [wanted for wanted in _ENTITIES if _by_name(seen, [wanted]) != text]
    label = data.label or _by_name(seen, rest)
    if label is None and labels == "required":
        raise DataError(f"{seen.file}: no column looks like entities or tags; {_name_one(seen, 'label')}")
    return data.model_copy(update={"text": text, "label": label, "group": data.group or _by_name(seen, _DOCUMENTS)})


def _decide_qa(seen: Survey, data: Data, labels: Labels) -> Data:
    found = {
        "text": data.text or _by_name(seen, (*_CONTEXTS, "text")),
        "question": data.question or _by_name(seen, _QUESTIONS),
        "label": data.label or _by_name(seen, _ANSWERS),
        "group": data.group or _by_name(seen, (*_DOCUMENTS, "title")),
    }
    for setting, noun in (("text", "a context"), ("question", "a question"), ("label", "answers")):
        if found[setting] is None and (setting != "label" or labels == "required"):
            raise DataError(f"{seen.file}: no column looks like {noun}; {_name_one(seen, setting)}")
    return data.model_copy(update=found)


_DECIDE = {"classification": _decide_classification, "ner": _decide_ner, "qa": _decide_qa}


def _guess_texts(seen: Survey, data: Data, label: str | None) -> dict[str, str | None]:
    """A pair where two columns are called like one, or stand nameless and are alike; else the one text."""
    taken = {label, data.id}
    texts = [column for column, held in seen.columns.items() if column not in taken and held.is_text]
    twins = next(((first, second) for first, second in combinations(texts, 2) if _are_pair(seen, first, second)), None)
    if twins and data.text_pair is None:
        return {"text": twins[0], "text_pair": twins[1]}
    return {"text": next((known for known in [_by_name(seen, _TEXTS)] if known in texts), None) or _longest_text(seen, taken)}


def _are_pair(seen: Survey, first: str, second: str) -> bool:
    one, other = seen.columns[first], seen.columns[second]
    fewest_words = min(one.words_per_cell, other.words_per_cell)
    if seen.named:
        names = (_plain(first), _plain(second))
        return fewest_words >= 1.5 and (names in _PAIRS or _are_twins(*names))
    alike = 0.5 < one.words_per_cell / other.words_per_cell < 2
    return fewest_words >= 3 and alike and min(one.filled, other.filled) == seen.rows


def _are_twins(first: str, second: str) -> bool:
    """Whether two names differ in nothing but their count, as sentence1 and sentence2 do."""
    return any(a in first and first.replace(a, b, 1) == second for a, b in _TWINS)


def _longest_text(seen: Survey, taken: Iterable[str | None] = ()) -> str:
    free = {column: held for column, held in seen.columns.items() if column not in taken}
    lengths = {column: held.characters for column, held in free.items() if "text" in held.shapes and not held.is_number}
    if not lengths:
        raise DataError(f"{seen.file}: no column looks like a text; {_name_one(seen, 'text')}")
    return max(lengths, key=lengths.get)


def _guess_label(columns: dict[str, Column], rows: int) -> str | None:
    """The column with the fewest different cells, where most rows have one and cells recur or are amounts."""
    filled = {name: column for name, column in columns.items() if column.filled > rows / 2 and column.most_items == 0}
    likely = {
        name: len(column.cells)
        for name, column in filled.items()
        if 2 <= len(column.cells) <= rows / 2 or (column.is_number and guess_kind(column, rows=rows, separator=None).name == "number")
    }
    return min(likely, key=likely.get) if likely else None


def _one_hot(columns: dict[str, Column], seen: Survey) -> str | None:
    """All columns of flags; two alone only where their names can be those of classes."""
    found = [name for name, column in columns.items() if column.filled == seen.rows and column.cells in _FLAGS]
    return "+".join(found) if len(found) >= (2 if seen.named else 3) else None


def _decide_kind(seen: Survey, data: Data) -> dict[str, str | None]:
    if data.label is None or len(split_columns(data.label, seen.names)) > 1:
        return {"kind": data.kind or (None if data.label is None else "multi")}
    column = seen.columns.get(data.label, Column())
    if data.kind is None:
        kind = guess_kind(column, rows=seen.rows, separator=data.label_separator)
        return {"kind": kind.name, "label_separator": kind.separator}
    separator = data.label_separator or (guess_separator(column) if data.kind == "multi" else None)
    return {"kind": data.kind, "label_separator": separator}


def _tags_of(seen: Survey) -> bool:
    return any("texts" in seen.columns[column].shapes for column in [_by_name(seen, _TOKENS)] if column)


def _by_name(seen: Survey, wanted: Iterable[str]) -> str | None:
    plain = {_plain(name): name for name in reversed(seen.names)}
    return next((plain[name] for name in wanted if name in plain), None)


def _by_suffix(seen: Survey, suffix: str) -> str | None:
    return next((name for name in seen.names if _plain(name).endswith(suffix)), None)


def _plain(name: str) -> str:
    return name.casefold().strip().replace("-", "_").replace(" ", "_")


def _name_one(seen: Survey, setting: str) -> str:
    return f"the columns are {', '.join(seen.names)}; name one with --set data.{setting}="
