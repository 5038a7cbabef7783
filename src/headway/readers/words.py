"""Texts as words, for formats that tag one word a line: where words stand in a text, and which tags say what its entities are."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from headway.readers.tags import to_tags
from headway.readers.writing import Target
from headway.records import Record, outermost

CELL = re.compile(r"[^ \t\r\n]+")  # what CoNLL columns can hold: other white space is part of a word
BLACK = re.compile(r"\S+")  # where any white space parts words
_QUOTES = {"``": '"', "''": '"', "-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}  # of the Penn Treebank


LONGEST_SENTENCE = 100_000  # words; where there are more, the lines that part sentences are missing


class Word(NamedTuple):
    start: int
    end: int
    tag: str


def align(words: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Where each of `words` stands in `text`, with nothing but white space between them; None where they do not."""
    places, at = [], 0
    for word in words:
        at += len(text[at:]) - len(text[at:].lstrip())
        found = next((form for form in (word, _QUOTES.get(word, word)) if text.startswith(form, at)), None)
        if found is None:
            return None
        places.append((at, at + len(found)))
        at += len(found)
    return None if text[at:].strip() else places


def words_to_write(record: Record, target: Target, *, scheme: str = "IOB2", word: re.Pattern[str] = CELL) -> list[Word]:
    """What `tag_words` gives, in the scheme that is asked for; none of a record that `told_by_words` counts."""
    told = told_by_words(record, target.lost, word=word)
    return tag_words(record, scheme=target.data.scheme or scheme, lost=target.lost, word=word) if told else []


def told_by_words(record: Record, lost: Counter[str], *, word: re.Pattern[str] = CELL) -> bool:
    """Whether marks on its words can tell a record: that nobody has labelled it, or that it has no word, is counted."""
    if record.entities is None or word.search(record.text) is None:
        lost["records that nobody has labelled" if record.entities is None else "records without a word"] += 1
        return False
    return True


def tag_words(record: Record, *, scheme: str, lost: Counter[str], word: re.Pattern[str] = CELL) -> list[Word]:
    """The words of a record with the tags of its entities.

    A word is what stands between white space, and is cut in two where an entity begins or ends inside of it, so that every entity is
    told. What tags cannot tell is counted in `lost`.
    """
    kept = outermost(record.entities)
    lost["entities inside others"] += len(record.entities) - len(kept)
    edges = {edge for span in kept for edge in (span.start, span.end)}
    places = []
    for found in word.finditer(record.text):
        cuts = sorted({found.start(), found.end(), *(edge for edge in edges if found.start() < edge < found.end())})
        lost["entity boundaries inside a word, which was cut in two"] += len(cuts) - 2
        places += pairwise(cuts)
    entities = []
    for span in kept:
        inside = [number for number, (start, end) in enumerate(places) if start < span.end and end > span.start]
        if inside:
            entities.append((inside[0], inside[-1] + 1, span.label))
        lost["entities of white space"] += not inside
        lost["white space at the ends of entities"] += bool(inside) and (places[inside[0]][0], places[inside[-1]][1]) != (
            span.start,
            span.end,
        )
    return [Word(start, end, tag) for (start, end), tag in zip(places, to_tags(entities, len(places), scheme=scheme), strict=True)]
