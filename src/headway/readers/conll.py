"""One token a line, sentences apart by empty lines, tags in a column: what CoNLL, WNUT and most annotation tools write."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import DataError
from headway.readers.faults import RecordError, each
from headway.readers.files import Labels, Liberties, Opened, Unread, check_task, encoding_of, head_of, lines_of
from headway.readers.tags import TagFault, TagFaults, Tagging, entities, is_tag, join_tokens, survey_tags
from headway.readers.words import BLACK, LONGEST_SENTENCE, words_to_write
from headway.readers.writing import Target, one_line, under
from headway.records import Record

_DOCUMENT = "-DOCSTART-"
_SUFFIXES = {".conll", ".iob", ".bio"}
_MOST = 0.7  # of the lines that have to be tagged, where some are broken
_BAR, _BROKEN_BAR = "|", "¦"
_CELL = re.compile(r"[^ \t]+")
_UNTAGGABLE = re.compile(r"[\s|]+")  # what ends a tag in lines of sentences
_HEADERS = {"tag", "tags", "ner", "ner_tag", "ner_tags", "ner-tag", "label", "labels", "iob", "bio", "entity", "ne"}


@dataclass(frozen=True)
class Layout:
    """Which columns hold what; `width` is how many columns a line has."""

    tabs: bool
    width: int
    token: int
    tag: int
    header: bool

    def cells(self, line: str) -> list[str]:
        return _cells(line, tabs=self.tabs)


class Line(NamedTuple):
    number: int
    cells: list[str]


class Sentence(NamedTuple):
    document: int  # 0 where the file marks none
    lines: list[Line]
    comments: int = 0  # before it


def looks_like_conll(path: Path, head: Sequence[str]) -> bool:
    """Whether a column of most lines holds tags, and either the name or something between the lines says that they are tokens."""
    filled = [line for line in head if line.strip() and not line.startswith(("# ", _DOCUMENT))]
    rows = [_cells(line, tabs="\t" in line) for line in filled]
    parted = len(filled) < len(head)
    return (parted or path.suffix in _SUFFIXES) and bool(rows) and _tag_column(rows) is not None


def looks_like_sentence_lines(head: Sequence[str]) -> bool:
    """Whether lines hold whole sentences of tokens with their tags: `Ann|B-PER ran|O`."""
    tokens = [token.split(_BAR) for line in head for token in line.split()]
    return bool(tokens) and sum(len(cells) > 1 and is_tag(cells[-1]) for cells in tokens) > _MOST * len(tokens)


def _tag_column(rows: Sequence[Sequence[str]]) -> int | None:
    """The last column in which most rows have a tag; one before the last only if some tag there is not O, and so no letter like any."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    for column in reversed(range(width) if width > 1 else ()):
        cells = [row[column] for row in rows if len(row) == width]
        tags = sum(map(is_tag, cells))
        if tags > _MOST * len(rows) and (column == width - 1 or any(is_tag(cell) and cell != "O" for cell in cells)):
            return column
    return None


def read_conll(path: Path, data: Data, labels: Labels) -> Opened:
    """Sentences as records: the tokens joined by single spaces, the tags as spans of that text.

    `data.text` and `data.label` may name the columns of tokens and tags, by number or by the header. Documents become groups.
    """
    check_task(path, data, "ner")
    encoding = encoding_of(path, data)
    layout = _guess_layout(path.name, head_of(path, encoding), data)
    return _read(path, data, encoding, layout, partial(_sentences, path, encoding, layout))


def read_sentence_lines(path: Path, data: Data, labels: Labels) -> Opened:
    """One sentence a line, its tokens with their tags behind a bar: `Ann|B-PER ran|O`, or with more between, `Ann|NNP|B-PER`."""
    check_task(path, data, "ner")
    encoding = encoding_of(path, data)
    width = Counter(len(token.split(_BAR)) for line in head_of(path, encoding) for token in line.split()).most_common(1)[0][0]
    layout = Layout(tabs=False, width=max(2, width), token=0, tag=max(2, width) - 1, header=False)
    return _read(path, data, encoding, layout, partial(_sentence_lines, path, encoding, layout.width))


def _read(path: Path, data: Data, encoding: str, layout: Layout, sentences: Callable[[Liberties], Iterator[Sentence]]) -> Opened:
    tags = ([line.cells[layout.tag] for line in sentence.lines if len(line.cells) > layout.tag] for sentence in sentences(Liberties()))
    tagging = survey_tags(tags, scheme=data.scheme)
    decided = data.model_copy(update={"task": "ner", "encoding": encoding, "header": layout.header, "scheme": tagging.scheme})
    others = [f"column {column}" for column in range(1, layout.width + 1) if column - 1 not in (layout.token, layout.tag)]
    unread: Counter[str] = Counter()

    def record(sentence: Sentence) -> Record:
        unread.update({under(others): len(others) * len(sentence.lines), "comments": sentence.comments})
        return _record(sentence, path.name, layout, tagging)

    liberties = Liberties()
    return Opened(decided, each(record, sentences(liberties)), Counter(), Unread(unread), liberties)


def _cells(line: str, *, tabs: bool) -> list[str]:
    """Only tabs and spaces part columns: a token may be any other white space."""
    return line.split("\t") if tabs else _CELL.findall(line)


def _guess_layout(name: str, head: Sequence[str], data: Data) -> Layout:
    filled = [line for line in head if line.strip() and not line.startswith(("# ", _DOCUMENT))]
    if not filled:
        raise DataError(f"{name}: no tokens in its first lines")
    tabs = sum("\t" in line for line in filled) > len(filled) / 2
    rows = [_cells(line, tabs=tabs) for line in filled]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    header = data.header if data.header is not None else rows[0][-1].casefold() in _HEADERS
    names = rows[0] if header else []
    body = rows[1:] if header else rows
    found = _tag_column(body) if body else None
    tag = _position(data.label, names, width, default=width - 1 if found is None else found)
    indexed = width > 2 and all(row[0].isdigit() for row in body)
    first = next(column for column in range(width) if column != tag) if width > 1 else 0
    token = _position(data.text, names, width, default=1 if indexed and tag != 1 else first)
    return Layout(tabs, width, token, tag, header)


def _position(wanted: str | None, names: Sequence[str], width: int, *, default: int) -> int:
    """The column called `wanted`; settings that a file of another format was read with name none of ours."""
    if wanted in names:
        return names.index(wanted)
    if wanted is not None and wanted.isdigit() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    return default


def _sentences(path: Path, encoding: str, layout: Layout, liberties: Liberties) -> Iterator[Sentence]:
    document, comments, lines = 0, 0, []
    header = layout.header
    for number, line in enumerate(lines_of(path, encoding), 1):
        line = line.rstrip("\r\n")
        if not line.strip() or line.startswith(_DOCUMENT):
            if lines:
                yield Sentence(document, lines, comments)
                comments = 0
            if line and not line.strip():
                liberties.take("lines of white space alone, read as empty lines", f"{path.name}:{number}")
            document, lines = document + bool(line.strip()), []
        elif header:
            header = False
        elif _is_comment(line, layout):
            comments += 1
        else:
            if "\t" in line and not layout.tabs:
                liberties.take("tabs between columns that spaces part elsewhere, read as spaces", f"{path.name}:{number}")
            lines.append(Line(number, layout.cells(line)))
            if len(lines) > LONGEST_SENTENCE:
                raise DataError(f"{path.name}:{number}: a sentence of more than {LONGEST_SENTENCE:,} tokens; are the empty lines missing?")
    if lines:
        yield Sentence(document, lines, comments)


def _sentence_lines(path: Path, encoding: str, width: int, liberties: Liberties) -> Iterator[Sentence]:
    for number, line in enumerate(lines_of(path, encoding), 1):
        tokens = [Line(number, token.rsplit(_BAR, width - 1)) for token in line.split()]
        if tokens:
            yield Sentence(0, tokens)


def write_conll(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A token and its tag a line, with a tab between, an empty line behind each sentence, and -DOCSTART- where a group begins."""
    group = ""
    for record in records:
        words = words_to_write(record, target)
        if not words:
            continue
        if record.group != group:
            yield f"{_DOCUMENT}\tO\n\n"
        group = record.group
        tokens = [record.text[word.start : word.end] for word in words]
        target.lost["white space between words, now one space"] += " ".join(tokens) != record.text
        yield "".join(f"{t}\t{one_line(word.tag, 'entity types', target.lost)}\n" for t, word in zip(tokens, words, strict=True)) + "\n"


def write_sentence_lines(records: Iterable[Record], target: Target) -> Iterator[str]:
    """A sentence a line, its tokens with their tags behind a bar."""
    for record in records:
        words = words_to_write(record, target, word=BLACK)
        if not words:
            continue
        tokens = [record.text[word.start : word.end] for word in words]
        tags = [_UNTAGGABLE.sub("_", word.tag) for word in words]
        target.lost["white space between words, now one space"] += " ".join(tokens) != record.text
        target.lost[f"bars in words, now {_BROKEN_BAR}"] += sum(_BAR in token for token in tokens)
        target.lost["white space and bars in entity types, now _"] += sum(one != word.tag for one, word in zip(tags, words, strict=True))
        whole = (token.replace(_BAR, _BROKEN_BAR) for token in tokens)  # or words with many bars look like lines with more columns
        yield " ".join(f"{token}{_BAR}{tag}" for token, tag in zip(whole, tags, strict=True)) + "\n"


def _is_comment(line: str, layout: Layout) -> bool:
    """A "#" and a space, unless the line is the token "#" with its tag."""
    if not line.startswith("# "):
        return False
    cells = layout.cells(line)
    return len(cells) != layout.width or not is_tag(cells[layout.tag])


def _record(sentence: Sentence, name: str, layout: Layout, tagging: Tagging) -> Record:
    fits = [len(line.cells) == layout.width and bool(line.cells[layout.token]) for line in sentence.lines]
    faults = [TagFault(at, _misfit(sentence.lines[at].cells, layout)) for at, fit in enumerate(fits) if not fit]
    try:
        found = entities([line.cells[layout.tag] if fit else None for line, fit in zip(sentence.lines, fits, strict=True)], tagging)
    except TagFaults as error:
        faults += error.faults
    if faults:
        raise RecordError(*(f"{name}:{sentence.lines[position].number}: {said}" for position, said in sorted(faults)))
    tokens = [line.cells[layout.token] for line in sentence.lines]
    text, spans = join_tokens(tokens, found)
    group = f"{name}#{sentence.document}" if sentence.document else ""
    return Record(text, entities=spans, group=group, where=f"{name}:{sentence.lines[0].number}")


def _misfit(cells: Sequence[str], layout: Layout) -> str:
    if len(cells) == layout.width:
        return f'no token stands beside the tag "{cells[layout.tag]}"'
    if len(cells) == 1:
        return f'token "{cells[0]}" has no tag'
    return f"{len(cells)} columns, but the other lines have {layout.width}"
