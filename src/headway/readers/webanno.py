"""WebAnno TSV 3, which INCEpTION writes: one word a line with its place in the document, annotations in the columns behind."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, count
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import each
from headway.readers.files import Labels, Liberties, Opened, Unread, check_task, encoding_of, lines_of
from headway.readers.spans import read_entities
from headway.readers.words import CELL, LONGEST_SENTENCE, told_by_words
from headway.readers.writing import Target, one_line
from headway.records import Record

_FORMAT = "#FORMAT=WebAnno TSV 3"
_TEXT, _ID = "#Text=", "#Sentence.id="
_VALUE = re.compile(r"(?P<label>.*?)(\[(?P<number>\d+)\])?")  # location[1]: words with the same number are one entity
_LAYER = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|value"  # the named entities that every project has
_UNESCAPED = re.compile(r"\\(.)")
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PLAIN_IN_VALUES = {"n": "\n", "t": "\t"}
_SPELT = {plain: f"\\{letter}" for letter, plain in _PLAIN.items()} | {"\\": "\\\\"}
_ESCAPED = str.maketrans({chr(code): f"\\{chr(code)}" for code in range(32) if not 8 <= code < 14} | _SPELT)
_RESERVED = re.compile(r"->|[\\\[\]|_;*]")  # in values


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
    id: str = ""


class Unit(NamedTuple):
    """A line of a sentence: one of its words, or a part of one. In the order of the file."""

    word: int  # from 1
    is_part: bool
    start: int
    end: int


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
        if line.startswith((_TEXT, _ID)):
            if sentence.words:
                yield sentence
                sentence = Sentence(number, [], [])
            told = _unescaped(line.partition("=")[2], _PLAIN)
            if line.startswith(_ID):
                sentence = sentence._replace(id=told)
            else:
                sentence.text.append(told)
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
            if found["label"] in ("*", "_"):
                left_out["spans without a type"] += found["label"] == "*"
                continue
            label = _unescaped(found["label"], _PLAIN_IN_VALUES)
            key = (label, found["number"] or (word.line, len(items)))
            item = items.setdefault(key, {"start": place[word.start - begin], "end": 0, "label": label})
            item["end"] = place[word.end - begin]
    return Record(text, entities=read_entities(items.values(), text, where, liberties=liberties), id=sentence.id, where=where)


def _unescaped(text: str, plain: dict[str, str]) -> str:
    return _UNESCAPED.sub(lambda found: plain.get(found[1], found[1]), text)


def _characters(text: str) -> list[int]:
    """For every UTF-16 unit of the text, and for its end, the number of the character it belongs to."""
    return [number for number, width in enumerate(_widths(text)) for _ in range(width)] + [len(text)]


def _widths(text: str) -> Iterator[int]:
    """How many UTF-16 units each character is."""
    return (1 + (ord(character) > 0xFFFF) for character in text)


def write_webanno(records: Iterable[Record], target: Target) -> Iterator[str]:
    """Sentences in one layer of spans. A word with an entity that ends inside of it has that part on a line of its own, as in WebAnno."""
    yield f"{_FORMAT}.3\n#T_SP={target.data.label or _LAYER}\n\n"
    place, number, fresh = 0, 0, count(1)
    for record in records:
        if not told_by_words(record, target.lost):
            continue
        words = [found.span() for found in CELL.finditer(record.text)]
        begin, number = words[0][0], number + 1  # a sentence begins with its first word: so it is imported
        target.lost["white space before the first word"] += begin > 0
        cells = _cells(record, words, target.lost, fresh)
        places = list(accumulate(_widths(record.text), initial=place - begin))
        yield "\n" + (f"{_ID}{record.id.translate(_ESCAPED)}\n" if record.id else "")
        yield "".join(f"{_TEXT}{line.translate(_ESCAPED)}\n" for line in record.text[begin:].split("\n"))
        part = 0
        for unit in sorted({Unit(at, False, *word) for at, word in enumerate(words, 1)} | cells.keys()):
            part = part + 1 if unit.is_part else 0
            name = f"{number}-{unit.word}" + (f".{part}" if part else "")
            form = record.text[unit.start : unit.end]
            yield f"{name}\t{places[unit.start]}-{places[unit.end]}\t{form}\t{'|'.join(cells.get(unit, '_'))}\t\n"
        place = places[-1] + 1


def _cells(record: Record, words: Sequence[tuple[int, int]], lost: Counter[str], fresh: Iterator[int]) -> dict[Unit, list[str]]:
    """What stands beside the words and parts of words that are in entities; an entity has a number where it could be taken for another."""
    starts, ends = zip(*words, strict=True)
    found: dict[tuple[tuple[Unit, ...], str], None] = {}
    for span in record.entities:
        within = range(bisect_right(ends, span.start), bisect_left(starts, span.end))
        edges = [(at, max(starts[at], span.start), min(ends[at], span.end)) for at in within]
        units = tuple(Unit(at + 1, (start, end) != words[at], start, end) for at, start, end in edges)
        lost["entities of white space"] += not units
        lost["white space at the ends of entities"] += bool(units) and (units[0].start, units[-1].end) != (span.start, span.end)
        lost["entities that only white space tells apart"] += (units, span.label) in found
        found |= {(units, span.label): None} if units else {}
    crowd = Counter(unit for units, _ in found for unit in units)
    cells: dict[Unit, list[str]] = {}
    for units, label in found:
        value = _RESERVED.sub(r"\\\g<0>", one_line(label, "entity types", lost))
        value += f"[{next(fresh)}]" if len(units) > 1 or crowd[units[0]] > 1 else ""
        for unit in units:
            cells.setdefault(unit, []).append(value)
    return cells
