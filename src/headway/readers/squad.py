"""SQuAD 1.1 and 2.0: articles of paragraphs of questions, in one JSON document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, check_task, encoding_of
from headway.readers.objects import load_document
from headway.readers.rows import check_question
from headway.readers.spans import read_answer
from headway.records import Record, Span


def read_squad(path: Path, data: Data, labels: Labels) -> tuple[Data, Iterator[Record]]:
    """Questions as records: the paragraph is the text, the article's title the group.

    The whole document is held in memory, as JSON leaves no other way.
    """
    check_task(path, data, "qa")
    encoding = encoding_of(path, data)
    document = load_document(path, encoding)
    return data.model_copy(update={"task": "qa", "encoding": encoding}), _records(document, path.name, labels)


def _records(document: dict[str, Any], name: str, labels: Labels) -> Iterator[Record]:
    ids: set[str] = set()
    for title, paragraph, item in _questions(document, name):
        context, question, identity = paragraph.get("context"), item.get("question"), str(item.get("id") or "")
        where = f"{name}#{identity}"
        if not isinstance(context, str) or not isinstance(question, str):
            raise DataError(f"{where}: a question and its paragraph need the texts question and context")
        if not identity:
            raise DataError(f'{name}: the question "{question}" has no id')
        check_question(question, identity, ids, where)
        answers = _answers(item, context, where, labels)
        yield Record(context, question=question, answers=answers, id=identity, group=title, where=where)


def _questions(document: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    try:
        for article in document["data"]:
            for paragraph in article["paragraphs"]:
                for item in paragraph["qas"]:
                    yield str(article.get("title", "")), paragraph, item
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name}: not laid out as SQuAD is (data, paragraphs, qas): {error}") from None


def _answers(item: dict[str, Any], context: str, where: str, labels: Labels) -> tuple[Span, ...] | None:
    given = item.get("answers")
    impossible = item.get("is_impossible", False)
    if impossible and given:
        raise DataError(f"{where}: marked is_impossible, and yet it has an answer; take out one of them")
    if impossible:
        return ()
    if given:
        return tuple(_answer(answer, context, where) for answer in given)
    if labels == "optional":
        return None
    raise DataError(f'{where}: no answer; where the text has none, say "is_impossible": true')


def _answer(answer: Any, context: str, where: str) -> Span:
    if not isinstance(answer, dict):
        raise DataError(f'{where}: answer {answer!r}; expected {{"text": "...", "answer_start": 0}}')
    return read_answer(answer.get("text"), answer.get("answer_start"), context, where)
