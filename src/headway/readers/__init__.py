"""Files -> records, and back. One module a family of formats, which reads and writes it; all that varies between files of a format is
guessed, said, and can be set.

`Record.where` is the file and the line ("reviews.csv:418"), or, where a format has no lines, the file and the number of the record or
the id of the question ("dev.json#56be4db0").
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from headway.config import Data
from headway.errors import ConfigError, DataError, did_you_mean
from headway.readers import detect
from headway.readers.brat import looks_like_brat, read_brat, write_brat
from headway.readers.columnar import read_arrow, read_hub, read_parquet, read_saved_dataset, tagged, write_arrow, write_parquet
from headway.readers.conll import read_conll, read_sentence_lines, write_conll, write_sentence_lines
from headway.readers.conllu import read_conllu, write_conllu
from headway.readers.doccano import read_doccano, write_doccano
from headway.readers.faults import readable
from headway.readers.files import Labels, Liberties, Opened, Unread, check_file
from headway.readers.folders_of_texts import labels_beside, read_class_folders, read_parallel
from headway.readers.hub import arrow_files, parse_name
from headway.readers.label_studio import read_label_studio, write_label_studio
from headway.readers.lines import read_fasttext, read_label_lines, read_text, write_fasttext
from headway.readers.objects import parse_line, read_json, read_jsonl, write_json, write_jsonl, write_tokens
from headway.readers.prodigy import read_prodigy, write_prodigy
from headway.readers.rows import read_rows
from headway.readers.spacy import read_spacy, read_spacy_documents, write_spacy, write_spacy_documents
from headway.readers.squad import read_squad, write_squad
from headway.readers.survey import Row
from headway.readers.tables import read_table, write_csv, write_tsv
from headway.readers.webanno import read_webanno, write_webanno
from headway.readers.workbooks import read_workbook
from headway.readers.writing import Holds, Piece, Target, fitting, in_step
from headway.records import Record

Reader = Callable[[Path, Data, Labels], Opened]
Writer = Callable[[Iterable[Record], Target], Iterator[Piece]]

READERS: dict[str, Reader] = {
    "table": read_table,
    "workbook": read_workbook,
    "jsonl": read_jsonl,
    "json": read_json,
    "tokens": read_jsonl,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "dataset": read_saved_dataset,
    "hub": read_hub,
    "class folders": read_class_folders,
    "parallel files": read_parallel,
    "fasttext": read_fasttext,
    "label lines": read_label_lines,
    "text": read_text,
    "conll": read_conll,
    "sentence lines": read_sentence_lines,
    "conllu": read_conllu,
    "webanno": read_webanno,
    "brat": read_brat,
    "spacy": read_spacy,
    "spacy documents": read_spacy_documents,
    "prodigy": read_prodigy,
    "doccano": read_doccano,
    "label studio": read_label_studio,
    "squad": read_squad,
}

WRITERS: dict[str, Writer] = {
    "csv": write_csv,
    "tsv": write_tsv,
    "jsonl": write_jsonl,
    "json": write_json,
    "tokens": write_tokens,
    "parquet": write_parquet,
    "arrow": write_arrow,
    "fasttext": write_fasttext,
    "conll": write_conll,
    "sentence lines": write_sentence_lines,
    "conllu": write_conllu,
    "webanno": write_webanno,
    "brat": write_brat,
    "spacy": write_spacy,
    "spacy documents": write_spacy_documents,
    "prodigy": write_prodigy,
    "doccano": write_doccano,
    "label studio": write_label_studio,
    "squad": write_squad,
}

_ALL = ("classification", "ner", "qa")
HOLDS = {  # what each of WRITERS can hold beside texts and what is said of them; the rest is counted
    "csv": Holds(_ALL, ("id", "group", "text_pair")),
    "tsv": Holds(_ALL, ("id", "group", "text_pair")),
    "jsonl": Holds(_ALL, ("id", "group", "text_pair", "confidence"), escapes=True),
    "json": Holds(_ALL, ("id", "group", "text_pair", "confidence"), escapes=True),
    "tokens": Holds(("ner",), ("id", "group"), escapes=True),
    "parquet": Holds(_ALL, ("id", "group", "text_pair", "confidence")),
    "arrow": Holds(_ALL, ("id", "group", "text_pair", "confidence")),
    "fasttext": Holds(("classification",)),
    "conll": Holds(("ner",), ("group",)),
    "sentence lines": Holds(("ner",)),
    "conllu": Holds(("ner",), ("id", "group")),
    "webanno": Holds(("ner",), ("id",)),
    "brat": Holds(("ner",), ("id", "group")),
    "spacy": Holds(("classification", "ner"), escapes=True),
    "spacy documents": Holds(("ner",), ("id",), escapes=True),
    "prodigy": Holds(("classification", "ner"), ("id", "group", "confidence"), escapes=True),
    "doccano": Holds(("classification", "ner"), ("id", "group"), escapes=True),
    "label studio": Holds(_ALL, ("id", "group", "text_pair", "confidence"), escapes=True),
    "squad": Holds(("qa",), ("id", "group"), escapes=True),
}

_NOTHING_SET = Data()
_CELLS = ("csv", "tsv", "jsonl", "json")  # hold any cell of each other
_TYPED = ("parquet", "arrow")  # hold any cell whose type is known
_KEEPS = ("doccano", "label studio", "prodigy", "squad")  # hold what they have of their own

_ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".conll": "conll",
    ".iob": "conll",
    ".bio": "conll",
    ".conllu": "conllu",
}
_MOST_NAMED = 3  # columns; a line that names twenty is not read
_MEANING = ("task", "text", "text_pair", "question", "label", "kind", "label_separator", "shown_by")
_FIXED = ("class folders", "parallel files", "fasttext", "conllu", "webanno", "prodigy", "spacy")  # no columns that a person could choose
_LAYOUTS = {  # what a file was taken for, where it could have been taken for something else
    "workbook": "Excel workbook",
    "arrow": "Arrow",
    "dataset": "saved data set",
    "hub": "data set of the hub",
    "class folders": "a folder for each class",
    "parallel files": "labels in the file beside it",
    "fasttext": "__label__ lines",
    "sentence lines": "a sentence a line",
    "conllu": "CoNLL-U",
    "webanno": "WebAnno TSV",
    "brat": "brat",
    "spacy": "spaCy",
    "spacy documents": "spaCy JSON",
    "prodigy": "Prodigy",
    "doccano": "doccano",
    "label studio": "Label Studio",
    "squad": "SQuAD",
}
_SAID = {"text": "text", "text_pair": "second text", "question": "question", "label": "label"}


class Reading(NamedTuple):
    """A file that is being read. What is wrong in it is raised by `records` when it is reached."""

    format: str  # a key of READERS
    guessed: str  # one line of what was decided: 'text = "review" · label = "sentiment"'
    data: Data  # the settings with everything decided: they read the same file in the same way
    records: Iterator[Record]  # one by one
    left_out: Counter[str]  # what stands in the file and in no record, by kind; complete when the last record is read
    unread: Unread  # what else stands beside the records
    liberties: Liberties  # what was read though it is not quite right; complete when the last record is read


def read(path: Path, data: Data = _NOTHING_SET, *, labels: Labels = "required", faults: list[str] | None = None) -> Reading:
    """The records of a file. What `data` sets is not guessed.

    With labels="optional" a file, or any record of it, may have no label: what is predicted needs none. Where `faults` are asked for,
    what is wrong with single records is added there, a line each, and those behind them are read.

    Raises:
        DataError: the file cannot be read, or what is in it cannot be understood.
    """
    if parse_name(path) is None:
        check_file(path)
    name = guess_format(path, data)
    decided, records, left_out, unread, liberties = READERS[name](path, data, labels)
    whole = _not_none(records, path.name) if faults is None else _some(records, path.name, faults)
    return Reading(name, _describe(name, decided), decided, whole, left_out, unread or Unread(Counter()), liberties or Liberties())


def write(records: Iterable[Record], name: str, target: Target) -> Iterator[Piece]:
    """The records in the format that is called `name` in WRITERS, piece by piece; what it cannot hold is counted in `target.lost`.

    Raises:
        ConfigError: there is no such format, or it is for other tasks.
    """
    if name not in WRITERS:
        read_only = " can be read, but not written;" if name in READERS else ": no such format to write;"
        raise ConfigError(f"{name}{read_only} choose one of {', '.join(formats_for(target.task))}{did_you_mean(name, WRITERS)}")
    if target.task not in HOLDS[name].tasks:
        raise ConfigError(f"{name} holds no {target.task}; choose one of {', '.join(formats_for(target.task))}")
    return WRITERS[name](fitting(records, HOLDS[name], target), target)


def write_again(records: Iterable[Record], name: str, target: Target, *, reading: Reading) -> Iterator[Piece]:
    """`write` for the records of a file, with what stands beside them there; what the format has no place for is counted."""
    unread = reading.unread
    if unread.cells is not None and _keeps_cells(written_as(reading), name, target):
        kept = replace(target, beside=in_step(unread.cells()), columns=unread.names, types=unread.types, order=unread.order)
        return write(records, name, kept)
    return write(_counting(records, unread.counts, target.lost), name, target)


def _keeps_cells(read_as: str, name: str, target: Target) -> bool:
    typed = read_as in (*_TYPED, "dataset", "hub") and name in _TYPED and not tagged(target)
    return typed or {read_as, name} <= {*_CELLS, "workbook"} or read_as == name in _KEEPS


def _counting(records: Iterable[Record], counts: Counter[str], lost: Counter[str]) -> Iterator[Record]:
    yield from records
    lost.update(counts)


def formats_for(task: str) -> list[str]:
    """The formats in which what this task says can be written."""
    return [name for name, holds in HOLDS.items() if task in holds.tasks]


def format_of(path: Path, task: str) -> str:
    """The format to write, by what a file or folder is to be called.

    Raises:
        ConfigError: its name tells none.
    """
    ending = path.suffix.casefold()
    name = "brat" if not ending and task == "ner" else "squad" if ending == ".json" and task == "qa" else _ENDINGS.get(ending)
    if name is None:
        raise ConfigError(f"{path.name}: its name tells no format; choose one with --format: {', '.join(formats_for(task))}")
    return name


def written_as(reading: Reading) -> str:
    """The name in WRITERS of the format that was read."""
    if reading.format == "table":
        return "tsv" if reading.data.delimiter == "\t" else "csv"
    return reading.format


def files_of(path: Path) -> list[Path]:
    """All the files that are read where a person names `path`, in order."""
    if (named := parse_name(path)) is not None:
        return list(arrow_files(named))
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    beside = [path.with_suffix(".ann") if looks_like_brat(path) else None, labels_beside(path)]
    return [path, *(file for file in beside if file is not None and file.is_file() and file != path)]


def meaning(decided: Data, *, given: Data = _NOTHING_SET) -> Data:
    """What the settings of one file say about another: which columns, which labels; not how its bytes are laid out.

    `given` are the settings that a person made: they hold for every file.
    """
    return given.model_copy(update={setting: getattr(decided, setting) for setting in _MEANING})


def read_lines(stream: Iterable[str], name: str, data: Data = _NOTHING_SET) -> Iterator[Record]:
    """Records from lines as they come: JSON where a line begins with "{", else the line is a text. Labels are optional."""
    for number, line in enumerate(stream, 1):
        where = f"{name}:{number}"
        line = line.rstrip("\r\n")
        row = parse_line(line, where) if line.startswith("{") else Row(where, {"text": line})
        yield from read_rows(where, lambda row=row: iter([row]), data, "optional")[1]


def guess_format(path: Path, data: Data = _NOTHING_SET) -> str:
    """The key of READERS that fits the file or folder, by what is in it."""
    return detect.guess_format(path, data)


def say_left_out(counts: Counter[str]) -> str:
    """What was counted, in a few words: "relations (3), notes (1)"; nothing where nothing was."""
    return ", ".join(f"{kind} ({count:,})" for kind, count in counts.items() if count)


def _describe(name: str, data: Data) -> str:
    said = [_LAYOUTS[name]] if name in _LAYOUTS else []
    said += [f"{noun} = {_brief(value)}" for setting, noun in _SAID.items() if name not in _FIXED and (value := getattr(data, setting))]
    said += [f"{data.kind} labels"] if data.kind in ("multi", "number") else []
    said += [f"{data.scheme} tags"] if data.scheme else []
    said += ["no header"] if data.delimiter and not data.header else []
    return " · ".join(said) or f"{name} layout"


def _brief(columns: str) -> str:
    count = columns.count("+") + 1
    return f'"{columns}"' if count <= _MOST_NAMED else f"{count} columns"


def _not_none(records: Iterator[Record], name: str) -> Iterator[Record]:
    for record in records:
        return chain([record], records)
    raise DataError(f"{name}: no records in it")


def _some(records: Iterator[Record], name: str, faults: list[str]) -> Iterator[Record]:
    """Those that can be read; none at all only where that has been told."""
    kept = readable(records, faults)
    first = next(kept, None)
    if first is not None:
        return chain([first], kept)
    return kept if faults else _not_none(kept, name)
