"""CoNLL-U: the word lines of Universal Dependencies, with entity tags in their last column (MISC)."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import RecordError, each
from headway.readers.files import Labels, Opened, Unread, check_task, encoding_of, lines_of
from headway.readers.tags import TagFaults, Tagging, entities, survey_tags
from headway.readers.words import LONGEST_SENTENCE, align, words_to_write
from headway.readers.writing import Target, one_line
from headway.records import Record, Span

_COLUMNS = 10
_KEYS = ("NER", "NE", "Entity", "ner")  # of the tag in MISC
_RANGE = re.compile(r"(\d{1,6})-(\d{1,6})")
_EMPTY = re.compile(r"\d+\.\d+")
_ESCAPES = {" ": "\\s", "\t": "\\t", "\r": "\\r", "\n": "\\n"}  # of SpacesAfter, as UDPipe writes it


class Word(NamedTuple):
    line: int
    form: str
    misc: dict[str, str]
    covers: int  # how many words stand under this one: 1, or the words of a contraction
    analysed: bool = False  # whether a lemma, a part of speech or the like stands beside it


class Sentence(NamedTuple):
    line: int
    comments: dict[str, str]
    surface: list[Word]  # what stands in the text
    words: list[Word]  # what carries tags
    document: str
    empty: list[Word]  # nodes that stand in no text


def looks_like_conllu(head: Sequence[str]) -> bool:
    rows = [line.split("\t") for line in head if line.strip() and not line.startswith("#")]
    return bool(rows) and sum(len(row) == _COLUMNS and row[0][:1].isdigit() for row in rows) > 0.9 * len(rows)


def read_conllu(path: Path, data: Data, labels: Labels) -> Opened:
    """Sentences as records, with the text of their comment where the words stand in it, else as SpaceAfter tells it.

    `data.label` may name the key of the tags. Tags of words inside a contraction hold for the contraction.
    """
    check_task(path, data, "ner")
    encoding = encoding_of(path, data)
    sentences = partial(_sentences, path, encoding)
    counts = Counter(key for sentence in sentences() for word in sentence.words for key in word.misc)
    key = data.label if data.label in counts else next((key for key in _KEYS if counts[key]), None)
    if key is None and labels == "required":
        others = f", but {', '.join(sorted(counts)[:5])}" if counts else ""
        raise DataError(f"{path.name}: no entity tags (NER=B-PER ...) in the last column{others}; name their key with --set data.label=")
    tagging = survey_tags(([word.misc.get(key, "O") for word in sentence.words] for sentence in sentences()), scheme=data.scheme)
    decided = data.model_copy(update={"task": "ner", "encoding": encoding, "label": key, "scheme": tagging.scheme if key else data.scheme})
    unread: Counter[str] = Counter()

    def record(sentence: Sentence) -> Record:
        unread.update(_unread(sentence, key))
        return _record(sentence, path.name, key, tagging)

    return Opened(decided, each(record, sentences()), Counter(), Unread(unread))


def _unread(sentence: Sentence, key: str | None) -> dict[str, int]:
    """What of a sentence no record holds, by kind."""
    told = {key, "SpaceAfter", "SpacesAfter", "SpacesBefore", "_", ""}
    return {
        "lemmas, parts of speech and syntax of words": sum(word.analysed for word in sentence.words),
        "other marks of words (MISC)": sum(name not in told for word in sentence.words for name in word.misc),
        "contractions of several words": sum(word.covers > 1 for word in sentence.surface),
        "empty nodes": len(sentence.empty),
        "comments": sum(name not in ("text", "sent_id", "newdoc id") for name in sentence.comments),
    }


def _sentences(path: Path, encoding: str) -> Iterator[Sentence]:
    document = ""
    fresh = Sentence(1, {}, [], [], "", [])
    hidden = 0  # words of a contraction that are still to come
    for number, line in enumerate(_closed(lines_of(path, encoding)), 1):
        line = line.rstrip("\r\n")
        if not line.strip():
            if fresh.words:
                yield fresh
            fresh, hidden = Sentence(number + 1, {}, [], [], document, []), 0
        elif line.startswith("#"):
            name, _, value = line[1:].partition("=")
            fresh.comments[name.strip()] = value.removeprefix(" ")
            if name.strip() == "newdoc id":
                document = value.strip()
                fresh = fresh._replace(document=document)
        else:
            word, kind = _word(line, f"{path.name}:{number}", number)
            if kind == "range":
                hidden = word.covers
            if kind == "range" or (kind == "word" and not hidden):
                fresh.surface.append(word)
            if kind == "empty":
                fresh.empty.append(word)
            if kind == "word":
                fresh.words.append(word)
                hidden -= hidden > 0
            if len(fresh.surface) > LONGEST_SENTENCE or len(fresh.words) > LONGEST_SENTENCE:
                raise DataError(f"{path.name}:{number}: a sentence of more than {LONGEST_SENTENCE:,} words; are the empty lines missing?")


def _closed(lines: Iterable[str]) -> Iterator[str]:
    """The lines and an empty one, which ends the last sentence."""
    yield from lines
    yield "\n"


def _word(line: str, where: str, number: int) -> tuple[Word, str]:
    """A line as a word, and whether it is a "word", the "range" of a contraction, or an "empty" node, which is no part of the text."""
    cells = line.split("\t")
    if len(cells) != _COLUMNS:
        raise DataError(f"{where}: {len(cells)} columns between tabs; CoNLL-U has {_COLUMNS}")
    misc = dict(pair.partition("=")[::2] for pair in cells[9].split("|")) if cells[9] != "_" else {}
    if found := _RANGE.fullmatch(cells[0]):
        return Word(number, cells[1], misc, int(found[2]) - int(found[1]) + 1), "range"
    if cells[0].isdecimal():
        return Word(number, cells[1], misc, 1, any(cell != "_" for cell in cells[2:9])), "word"
    if _EMPTY.fullmatch(cells[0]):
        return Word(number, cells[1], misc, 0), "empty"
    raise DataError(f'{where}: "{cells[0]}" is no number of a word')


def _record(sentence: Sentence, name: str, key: str | None, tagging: Tagging) -> Record:
    where = f"{name}:{sentence.words[0].line}"
    text, places = _text(sentence)
    of_words = [place for place, word in zip(places, sentence.surface, strict=True) for _ in range(word.covers)]
    if len(of_words) != len(sentence.words):
        raise DataError(f"{where}: the range of a contraction does not fit the words under it")
    spans = None
    if key is not None:
        try:
            found = entities([word.misc.get(key, "O") for word in sentence.words], tagging)
        except TagFaults as error:
            raise RecordError(*(f"{name}:{sentence.words[position].line}: {said}" for position, said in error.faults)) from None
        spans = tuple(Span(of_words[one.start][0], of_words[one.end - 1][1], one.label) for one in found)
    return Record(text, entities=spans, id=sentence.comments.get("sent_id", "").strip(), group=sentence.document, where=where)


def word_places(path: Path, encoding: str) -> Iterator[tuple[str, list[tuple[int, int, int]]]]:
    """Of each sentence its `Record.where`, and line, start and end of each word that stands in its text."""
    for sentence in _sentences(path, encoding):
        places = zip(sentence.surface, _text(sentence)[1], strict=True)
        yield f"{path.name}:{sentence.words[0].line}", [(word.line, start, end) for word, (start, end) in places]


def _text(sentence: Sentence) -> tuple[str, list[tuple[int, int]]]:
    """The text and where its words stand: told letter for letter by SpacesAfter, else by the comment, else by SpaceAfter."""
    forms = [word.form for word in sentence.surface]
    told = any("SpacesAfter" in word.misc or "SpacesBefore" in word.misc for word in sentence.surface)
    said = sentence.comments.get("text")
    if said is not None and not told and (places := align(forms, said)) is not None:
        return said, places
    text, places = "", []
    for word in sentence.surface:
        text += _unescaped(word.misc.get("SpacesBefore", ""))
        places.append((len(text), len(text) + len(word.form)))
        text += word.form + (_unescaped(word.misc["SpacesAfter"]) if "SpacesAfter" in word.misc else _space(word))
    return (text if told else text.rstrip(" ")), places


def _space(word: Word) -> str:
    return "" if word.misc.get("SpaceAfter") == "No" else " "


def _unescaped(spaces: str) -> str:
    for character, written in _ESCAPES.items():
        spaces = spaces.replace(written, character)
    return spaces


def _escaped(spaces: str) -> str:
    return "".join(_ESCAPES[character] for character in spaces)


def write_conllu(records: Iterable[Record], target: Target) -> Iterator[str]:
    """Words with NER= in MISC, and the white space between them as SpaceAfter and SpacesAfter tell it: the text is whole."""
    document = ""
    for record in records:
        words = words_to_write(record, target)
        if not words:
            continue
        if record.group != document:
            yield f"# newdoc id = {one_line(record.group, 'groups', target.lost)}\n"
        document = record.group
        yield f"# sent_id = {one_line(record.id, 'ids', target.lost)}\n" if record.id else ""
        yield f"# text = {' '.join(record.text.split())}\n"
        edges = [*(word.start for word in words[1:]), len(record.text)]
        for number, (word, after) in enumerate(zip(words, edges, strict=True), 1):
            misc = [
                f"NER={one_line(word.tag, 'entity types', target.lost)}",
                *_spaces(record.text, word.end, after, last=number == len(words)),
            ]
            if number == 1 and word.start:
                misc.append(f"SpacesBefore={_escaped(record.text[: word.start])}")
            yield f"{number}\t{record.text[word.start : word.end]}{7 * (chr(9) + '_')}\t{'|'.join(misc)}\n"
        yield "\n"


def _spaces(text: str, end: int, after: int, *, last: bool) -> list[str]:
    """What MISC says of the white space behind a word."""
    spaces = text[end:after]
    if not spaces:
        return ["SpaceAfter=No"]
    return [] if spaces == " " and not last else [f"SpacesAfter={_escaped(spaces)}"]
