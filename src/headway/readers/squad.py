"""SQuAD 1.1 and 2.0: articles of paragraphs of questions, in one JSON document."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import each, faultless
from headway.readers.files import Labels, Liberties, Opened, Unread, check_task, encoding_of
from headway.readers.objects import Item, items_of
from headway.readers.rows import check_question
from headway.readers.spans import read_answer
from headway.readers.writing import Target, separated
from headway.records import Record, Span

_READ = {"id", "question", "answers", "is_impossible"}


class Question(NamedTuple):
    title: str  # of its article
    paragraph: dict[str, Any]
    item: dict[str, Any]


def looks_like_squad(item: Any) -> bool:
    """Whether it is an article of SQuAD."""
    paragraphs = item.get("paragraphs") if isinstance(item, dict) else None
    return isinstance(paragraphs, list) and not (paragraphs and isinstance(paragraphs[0], dict) and "sentences" in paragraphs[0])


def read_squad(path: Path, data: Data, labels: Labels) -> Opened:
    """Questions as records: the paragraph is the text, the article's title the group.

    One article is in memory at a time.
    """
    check_task(path, data, "qa")
    encoding = encoding_of(path, data)
    decided = data.model_copy(update={"task": "qa", "encoding": encoding})
    liberties = Liberties()
    record = partial(_record, ids=set(), name=path.name, labels=labels, liberties=liberties)
    counts: Counter[str] = Counter()

    def counted() -> Iterator[Question]:
        for asked in _questions(items_of(path, encoding), path.name):
            counts.update(name.replace("_", " ") for name in _beside(asked))
            yield asked

    def beside() -> Iterator[tuple[str, dict[str, Any]]]:
        return ((f"{path.name}#{asked.item.get('id') or ''}", _beside(asked)) for asked in _questions(items_of(path, encoding), path.name))

    return Opened(decided, each(record, counted()), Counter(), Unread(counts, beside), liberties)


def _beside(asked: Question) -> dict[str, Any]:
    """What is said of a question beside its answers, such as plausible_answers."""
    return {name: value for name, value in asked.item.items() if name not in _READ and value not in ([], None, "")}


def write_squad(records: Iterable[Record], target: Target) -> Iterator[str]:
    """SQuAD 2.0: neighbours of one group become an article, those of one text a paragraph. A question without an id is given one."""
    taken: set[str] = set()
    articles = (_article(title, of_group, taken, target) for (title, _), of_group in groupby(records, key=_article_of))
    yield from separated(
        (json.dumps(article, ensure_ascii=False) for article in articles), '{"version": "v2.0", "data": [\n', ",\n", "\n]}\n"
    )


def _article_of(record: Record) -> tuple[str, str]:
    return record.group, "" if record.group else record.text


def _article(title: str, records: Iterable[Record], taken: set[str], target: Target) -> dict[str, Any]:
    paragraphs = []
    for context, of_text in groupby(records, key=lambda record: record.text):
        paragraphs.append({"context": context, "qas": [_item(record, taken, target) for record in of_text]})
    return {"title": title, "paragraphs": paragraphs}


def _item(record: Record, taken: set[str], target: Target) -> dict[str, Any]:
    identity, number = record.id, len(taken)
    while not identity or identity in taken:
        number += 1
        identity = f"q{number}"
    taken.add(identity)
    target.lost["questions without an id, which were given one"] += not record.id
    item: dict[str, Any] = {"id": identity, "question": record.question} | target.beside(record)
    if record.answers is None:
        return item
    answers = [{"text": record.text[span.start : span.end], "answer_start": span.start} for span in record.answers]
    return item | {"answers": answers, "is_impossible": not answers}


def _record(asked: Question, *, ids: set[str], name: str, labels: Labels, liberties: Liberties) -> Record:
    """`ids` are those of the questions before."""
    title, paragraph, item = asked
    context, question, identity = paragraph.get("context"), item.get("question"), str(item.get("id") or "")
    where = f"{name}#{identity}"
    if not isinstance(context, str) or not isinstance(question, str):
        raise DataError(f"{where}: a question and its paragraph need the texts question and context")
    if not identity:
        raise DataError(f'{name}: the question "{question}" has no id')
    check_question(question, identity, ids, where)
    given = _answers(item, where, labels)
    answers = None if given is None else tuple(faultless(lambda answer: _answer(answer, context, where, liberties), given))
    return Record(context, question=question, answers=answers, id=identity, group=title, where=where)


def _questions(articles: Iterable[Item], name: str) -> Iterator[Question]:
    for where, article in articles:
        for paragraph in _objects(article, "paragraphs", where):
            for item in _objects(paragraph, "qas", where):
                if not isinstance(item, dict):
                    raise DataError(f"{where}: question {item!r}; expected an object")
                yield Question(str(article.get("title", "")), paragraph, item)


def _objects(parent: Any, key: str, where: str) -> list[Any]:
    items = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(items, list):
        raise DataError(f"{where}: not laid out as SQuAD is (data, paragraphs, qas): no list {key}")
    return items


def _answers(item: dict[str, Any], where: str, labels: Labels) -> list[Any] | None:
    given = item.get("answers")
    impossible = item.get("is_impossible", False)
    if impossible and given:
        raise DataError(f"{where}: marked is_impossible, and yet it has an answer; take out one of them")
    if impossible:
        return []
    if given and not isinstance(given, list):
        raise DataError(f"{where}: answers {given!r}; expected a list of them")
    if given:
        return given
    if labels != "required":
        return None
    raise DataError(f'{where}: no answer; where the text has none, say "is_impossible": true')


def _answer(answer: Any, context: str, where: str, liberties: Liberties) -> Span:
    if not isinstance(answer, dict):
        raise DataError(f'{where}: answer {answer!r}; expected {{"text": "...", "answer_start": 0}}')
    return read_answer(answer.get("text"), answer.get("answer_start"), context, where, liberties=liberties)
