"""headway predict: a model and a file, standard input or a text -> one JSON object an input, in input order."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from headway import model, readers
from headway.config import Config, Data, read_config
from headway.errors import ConfigError, DataError
from headway.events import Worked, Working
from headway.jobs.answers import answer
from headway.jobs.writing import Counted, writing
from headway.model import Model
from headway.readers import Reading, meaning, read_lines
from headway.readers.writing import Piece, Target
from headway.records import Prediction, Record

STANDARD_INPUT = "-"
HUB = "hf://"
UNSURE = "answers that the model abstains from, whose records are left without a label"
DATA_ENDINGS = {
    ".csv",
    ".tsv",
    ".txt",
    ".json",
    ".jsonl",
    ".parquet",
    ".conll",
    ".conllu",
    ".iob",
    ".label",
    ".xlsx",
    ".arrow",
    ".feather",
    ".ann",
}


def predict(path: Path, source: str, *, settings: list[str] | None = None) -> Iterator[dict]:
    """The answers of the model at `path`, as they come; memory does not grow with the input.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = read_config(None, settings or [])
    trained = model.load(path, precision=config.train.precision, device=config.train.device, token_budget=config.train.token_budget)
    for record, prediction in trained.stream(_records(trained, source, config)):
        yield answer(record, prediction)


class Answers(NamedTuple):
    """Predictions in the format of a file of data."""

    pieces: Iterator[Piece]  # as they come, where the format allows it
    lost: Counter[str]  # what the format cannot hold, by kind; complete when the last piece is there
    records: Counted[Record]  # that they are made of


def predict_as(path: Path, source: str, *, name: str, settings: list[str] | None = None) -> Answers:
    """The inputs with the model's answers in the place of labels, in the format called `name`; "same" is the format that was read.

    Raises:
        HeadwayError: something a person can put right.
    """
    if name == "same" and not _names_a_file(source):
        raise ConfigError("--format same: only a file has a format; standard input and a text are answered in JSON Lines")
    config = read_config(None, settings or [])
    trained = model.load(path, precision=config.train.precision, device=config.train.device, token_budget=config.train.token_budget)
    reading = _reading(trained, source, config)
    name = readers.written_as(reading) if name == "same" else name
    layout = reading.data if reading is not None and readers.written_as(reading) == name else Data()
    target = Target(trained.task.name, layout, made_by="model", labels=trained.task.outputs())
    records = reading.records if reading is not None else _records(trained, source, config)
    answered = Counted(_answered(record, prediction, target.lost) for record, prediction in trained.stream(records))
    if reading is None:
        return Answers(readers.write(answered, name, target), target.lost, answered)
    return Answers(readers.write_again(answered, name, target, reading=reading), target.lost, answered)


def write_as(path: Path, source: str, out: Path, *, name: str, settings: list[str] | None = None) -> Working[Counter[str]]:
    """What `predict_as` gives, in a file or folder; gives what the format cannot hold.

    Raises:
        HeadwayError: something a person can put right.
    """
    yield Worked(f"loading {path.name}", 0)
    answers = predict_as(path, source, name=name, settings=settings)
    yield from writing(answers.pieces, out, counted=answers.records)
    return answers.lost


def _reading(trained: Model, source: str, config: Config) -> Reading | None:
    """The file that is meant by `source`; None where it is standard input or a text."""
    if not _names_a_file(source):
        return None
    return readers.read(Path(source), meaning(trained.data, given=config.data), labels="optional")


def _answered(record: Record, prediction: Prediction, lost: Counter[str]) -> Record:
    """The record with what the model says in the place of what people have said; without a label where it abstains."""
    if prediction.abstained:
        lost[UNSURE] += 1
        return record.unlabelled()
    if prediction.answer is not None:
        spans = () if prediction.span is None else (replace(prediction.span, confidence=prediction.confidence),)
        return replace(record.unlabelled(), answers=spans)
    lost["confidences"] += prediction.label is not None and prediction.confidence is not None
    return replace(record.unlabelled(), label=prediction.label, entities=prediction.entities)


def write(rows: Iterable[dict], out: Path) -> Working[None]:
    """One line a row, beside `out` until all are there.

    Raises:
        OutputError: `out` exists, or cannot be written.
    """
    counted = Counted(rows)
    yield from writing((json.dumps(row, ensure_ascii=False) + "\n" for row in counted), out, counted=counted)


def _records(trained: Model, source: str, config: Config) -> Iterator[Record]:
    data = meaning(trained.data, given=config.data)
    if source == STANDARD_INPUT:
        sys.stdin.reconfigure(encoding=config.data.encoding or "utf-8", errors="surrogateescape")
        return read_lines(sys.stdin, "standard input", data)
    if (reading := _reading(trained, source, config)) is not None:
        return reading.records
    if _looks_like_a_file(source):
        raise DataError(
            f"{source}: no such file; to have the text itself read, put it on standard input: echo ... | headway predict MODEL -"
        )
    if trained.task.name == "qa":
        raise DataError("a question needs its text: give a JSONL file with question and context on each line, or SQuAD JSON")
    return iter([Record(text=source)])


def _names_a_file(source: str) -> bool:
    try:
        return source.startswith(HUB) or (source != STANDARD_INPUT and Path(source).exists())
    except (OSError, ValueError):  # too long for a name, or with a NUL in it: a text
        return False


def _looks_like_a_file(source: str) -> bool:
    """One word that ends as data files do: somebody mistyped a name."""
    return not any(map(str.isspace, source)) and Path(source).suffix.casefold() in DATA_ENDINGS
