"""WebAnno TSV 3, which INCEpTION writes: one word a line with its place in the document, annotations in the columns behind."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import each
from headway.readers.files import Labels, Liberties, Opened, Unread, check_task, encoding_of, lines_of
from headway.readers.spans import read_entities
from headway.readers.words import LONGEST_SENTENCE
from headway.records import Record

_FORMAT = "#FORMAT=WebAnno TSV 3"
_VALUE = re.compile(r"(?P<label>.*?)(\[(?P<number>\d+)\])?")  # location[1]: words with the same number are one entity
_UNESCAPED = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t"}


class Word(NamedTuple):
    line: int
    start: int  # in the document, in UTF-16 units, as Java counts
    end: int
    value: str  # the cell of the layer that is read
    others: int  # filled cells of other layers


class Sentence(NamedTuple):
    line: int
    text: list[str]
    words: list[Word]


def looks_like_webanno(head: Sequence[str]) -> bool:
    return bool(head) and head[0].startswith(_FORMAT)


def read_webanno(path: Path, data: Data, labels: Labels) -> Opened:
    """Sentences as records. `data.label` may name the feature that holds the types, else it is the first of the named entities."""
    check_task(path, data, "ner")
    encoding = encoding_of(path, data)
    name, column = _layer(path, encoding, data)
    left_out: Counter[str] = Counter()
    decided = data.model_copy(update={"task": "ner", "encoding": encoding, "label": name})
    liberties = Liberties()
    record = partial(_record, name=path.name, left_out=left_out, liberties=liberties)
    unread: Counter[str] = Counter()

    def counted() -> Iterator[Sentence]:
        for sentence in _sentences(path, encoding, column):
            unread["cells of other layers"] += sum(word.others for word in sentence.words)
            yield sentence

    return Opened(decided, each(record, counted()), left_out, Unread(unread), liberties)


def _layer(path: Path, encoding: str, data: Data) -> tuple[str, int]:
    """The feature to read, and its column."""
    features: dict[str, int] = {}
    column = 3
    for line in lines_of(path, encoding):
        line = line.rstrip("\r\n")
        if line.startswith(("#T_SP=", "#T_CH=", "#T_RL=")):
            layer, *names = line.partition("=")[2].split("|")
            for name in names:
                features |= {f"{layer}|{name}": column} if line.startswith("#T_SP=") else {}
                column += 1
            column += line.startswith("#T_RL=")
        elif line and not line.startswith("#"):
            break
    if not features:
        raise DataError(f"{path.name}: no layer of spans (#T_SP=...) is named at its beginning")
    wanted = [name for name in features if data.label and data.label in (name, name.rpartition("|")[2])]
    named = [name for name in features if "namedentity" in name.casefold()]
    valued = [name for name in named or features if name.endswith("|value")]
    name = next(iter(wanted or valued or named or features))
    return name, features[name]


def _sentences(path: Path, encoding: str, column: int) -> Iterator[Sentence]:
    sentence = Sentence(1, [], [])
    for number, line in enumerate(lines_of(path, encoding), 1):
        line = line.rstrip("\r\n")
        if line.startswith("#Text="):
            if sentence.words:
                yield sentence
                sentence = Sentence(number, [], [])
            sentence.text.append(_UNESCAPED.sub(lambda found: _PLAIN.get(found[1], found[1]), line.removeprefix("#Text=")))
        elif line and not line.startswith("#"):
            if len(sentence.words) == LONGEST_SENTENCE:
                raise DataError(f"{path.name}:{number}: a sentence of more than {LONGEST_SENTENCE:,} words; are the #Text lines missing?")
            sentence.words.append(_word(line, column, f"{path.name}:{number}", number))
    if sentence.words:
        yield sentence


def _word(line: str, column: int, where: str, number: int) -> Word:
    cells = line.split("\t")
    place = re.fullmatch(r"(\d{1,12})-(\d{1,12})", cells[1]) if len(cells) > 2 else None
    if place is None:
        raise DataError(f'{where}: "{line[:40]}" is no word of WebAnno; expected its number, a tab, its place (0-5), a tab, the word')
    others = sum(cell not in ("", "_") for position, cell in enumerate(cells) if position > 2 and position != column)
    return Word(number, int(place[1]), int(place[2]), cells[column] if column < len(cells) else "_", others)


def _record(sentence: Sentence, name: str, left_out: Counter[str], liberties: Liberties) -> Record:
    where = f"{name}:{sentence.words[0].line}"
    text = "\n".join(sentence.text)
    begin = sentence.words[0].start
    place = _characters(text)
    items: dict[object, dict] = {}
    for word in sentence.words:
        if not 0 <= word.start - begin <= word.end - begin < len(place):
            raise DataError(f"{name}:{word.line}: its place {word.start}-{word.end} lies outside of the sentence")
        for value in re.split(r"(?<!\\)\|", word.value) if word.value not in ("", "_") else ():
            found = _VALUE.fullmatch(value)
            label = _UNESCAPED.sub(r"\1", found["label"])
            if label in ("*", "_"):
                left_out["spans without a type"] += label == "*"
                continue
            key = (label, found["number"] or (word.line, len(items)))
            item = items.setdefault(key, {"start": place[word.start - begin], "end": 0, "label": label})
            item["end"] = place[word.end - begin]
    return Record(text, entities=read_entities(items.values(), text, where, liberties=liberties), where=where)


def _characters(text: str) -> list[int]:
    """For every UTF-16 unit of the text, and for its end, the number of the character it belongs to."""
    return [number for number, character in enumerate(text) for _ in range(1 + (ord(character) > 0xFFFF))] + [len(text)]
