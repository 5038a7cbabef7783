"""headway predict: a model and a file, standard input or a text -> one JSON object an input, in input order."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from headway import model
from headway.config import Config, read_config
from headway.errors import DataError, OutputError
from headway.jobs.answers import answer
from headway.model import Model
from headway.readers import meaning, read, read_lines
from headway.records import Record

STANDARD_INPUT = "-"
DATA_ENDINGS = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".conll", ".iob", ".label", ".xlsx"}


def predict(path: Path, source: str, *, settings: list[str] | None = None) -> Iterator[dict]:
    """The answers of the model at `path`, as they come; memory does not grow with the input.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = read_config(None, settings or [])
    trained = model.load(path, precision=config.train.precision, device=config.train.device, token_budget=config.train.token_budget)
    for record, prediction in trained.stream(_records(trained, source, config)):
        yield answer(record, prediction)


def write(rows: Iterable[dict], out: Path) -> None:
    """One line a row, beside `out` until all are there.

    Raises:
        OutputError: `out` exists, or cannot be written.
    """
    if out.exists():
        raise OutputError(f"{out}: exists; choose another --out")
    beside = out.with_name(f"{out.name}.unfinished")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        beside.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}") from None


def _records(trained: Model, source: str, config: Config) -> Iterator[Record]:
    data = meaning(trained.data, given=config.data)
    if source == STANDARD_INPUT:
        sys.stdin.reconfigure(encoding=config.data.encoding or "utf-8", errors="surrogateescape")
        return read_lines(sys.stdin, "standard input", data)
    if _is_file(source):
        return read(Path(source), data, labels="optional").records
    if _looks_like_a_file(source):
        raise DataError(
            f"{source}: no such file; to have the text itself read, put it on standard input: echo ... | headway predict MODEL -"
        )
    if trained.task.name == "qa":
        raise DataError("a question needs its text: give a JSONL file with question and context on each line, or SQuAD JSON")
    return iter([Record(text=source)])


def _is_file(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it: a text
        return False


def _looks_like_a_file(source: str) -> bool:
    """One word that ends as data files do: somebody mistyped a name."""
    return not any(map(str.isspace, source)) and Path(source).suffix.casefold() in DATA_ENDINGS
