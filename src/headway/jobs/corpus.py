"""The files of a run as records: read, checked, cut into a part to learn from and a part to choose by."""

import hashlib
import json
import math
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from headway.audit.duplicates import whole
from headway.audit.minhash import clusters
from headway.config import Config, Data, Model, Split
from headway.errors import ConfigError, DataError
from headway.events import Worked, Working, unwatched
from headway.folders import hash_files
from headway.metrics import SLICES
from headway.readers import Reading, files_of, meaning, read, say_left_out
from headway.readers.faults import RecordError
from headway.readers.files import Unread
from headway.records import Record
from headway.settings_text import to_settings
from headway.splits import Cut, folds, hold_out, hold_out_latest

Values = dict[str, dict[str, str]]  # column -> `Record.where` -> cell

FIELDS = {"classification": "label", "ner": "entities", "qa": "answers"}  # of a record, that hold what its task learns
STRIDE = 5000  # records between two words of progress
_READ_BY_AUDIT = ("data.", "audit.", "windows.", "model.")
_NAMED = ("data.train=", "data.dev=", "data.test=", "data.unlabeled=", "model.base_model=")  # by words of their own, or not read by it
WITH_COLUMNS = ("table", "jsonl", "json", "parquet")  # formats that can have a column of times


@dataclass(frozen=True)
class Files:
    """Where the records come from, as the run folder keeps it."""

    train: Path
    dev: Path | None
    test: Path | None
    unlabeled: Path | None = None

    def __iter__(self):
        """Name and path of those that are labelled."""
        yield from ((name, path) for name, path in (("train", self.train), ("dev", self.dev), ("test", self.test)) if path is not None)

    def all(self) -> dict[str, Path]:
        return dict(self) | ({"unlabeled": self.unlabeled} if self.unlabeled is not None else {})


@dataclass
class Corpus:
    """What a run learns from, chooses by, and is judged on at the end."""

    data: Data  # the settings as decided for the training file
    task: str
    guessed: str
    train: list[Record]
    dev: list[Record]
    test: list[Record]
    how: str  # how dev came about
    unlabelled: dict[str, int] = field(default_factory=dict)  # records nobody has labelled, by file: left out
    left_out: dict[str, str] = field(default_factory=dict)  # what else of a file stands in no record, by file
    cut: Cut | None = None  # of the labelled records of the training file; None where nothing was held out
    rule: Split = field(default_factory=Split)  # that it was cut by
    sliced: dict[str, Values] = field(default_factory=dict)  # by part, the columns that slice it
    unread: Unread | None = None  # what stands in the training file beside its records

    def summary(self, files: Files) -> dict:
        """What `data.json` holds."""
        return {
            "files": {name: {"path": str(path), "sha256": hash_files(files_of(path))} for name, path in files.all().items()},
            "task": self.task,
            "guessed": self.guessed,
            "records": {"train": len(self.train), "dev": len(self.dev), "test": len(self.test)},
            "dev": self.how,
            "unlabelled": self.unlabelled,
            "left_out": self.left_out,
            "split": self.cut and _describe(self.cut, self.rule),
        }

    def held_out(self) -> dict | None:
        """What `split.json` holds, so that others can cut the file in the same way; None where nothing was held out."""
        if self.cut is None:
            return None
        told = "held and left_out count the labelled records of the training file from 0; at says where each that is held stands"
        at = [record.where for record in self.dev]
        return {"positions": told, "sha256": _hash(self.cut), "held": self.cut.held, "left_out": self.cut.left_out, "at": at}


def find_files(config: Config, *, data: Path | None, dev: Path | None, test: Path | None) -> Files:
    """What the command line names comes before what the configuration names.

    Raises:
        ConfigError: neither names a file to train on.
    """
    named = config.data
    train = data or (Path(named.train) if named.train else None)
    if train is None:
        raise ConfigError("nothing to train on: name a file, as in headway train reviews.csv, or set data.train")
    others = (given or (Path(name) if name else None) for given, name in ((dev, named.dev), (test, named.test), (None, named.unlabeled)))
    return Files(train, *others)


def audit_command(files: Files, config: Config, options: Iterable[str] = ()) -> str:
    """The audit of these files as they are read, for a shell. `options` are those of the audit itself."""
    given = [word for name, path in files if name != "train" for word in (f"--{name}", str(path))]
    named = ["--model", config.model.base_model] if config.model.base_model != Model().base_model and "--model" not in options else []
    settings = [setting for setting in to_settings(config) if setting.startswith(_READ_BY_AUDIT) and not setting.startswith(_NAMED)]
    words = [*given, *(options or named), *(word for setting in settings for word in ("--set", setting))]
    return shlex.join(["headway", "audit", str(files.train), *words])


@contextmanager
def _audit_named(files: Files, config: Config) -> Iterator[None]:
    """Where a record cannot be read, the error names what tells of all such records."""
    try:
        yield
    except RecordError as error:
        raise DataError(f"{error}; all that cannot be read: {audit_command(files, config)}") from None


def read_corpus(files: Files, config: Config) -> Corpus:
    """All records of a run.

    Raises:
        DataError: a file cannot be read or has no labelled record.
    """
    return unwatched(reading_corpus(files, config))


def reading_corpus(files: Files, config: Config) -> Working[Corpus]:
    """The same, and how far it has come."""
    yield Worked(f"reading {files.train.name}", 0)
    with _audit_named(files, config):
        reading = read(files.train, config.data)
        records = yield from _reading(reading.records, files.train)
    task = reading.data.task
    others = meaning(reading.data, given=config.data)
    unlabelled: dict[str, int] = {}
    left_out = _left_out(reading, files.train)
    parts = {"train": _labelled(records, task, files.train, unlabelled)}
    sliced = {} if files.dev else {"dev": slicing(files.train, reading, config)}
    for name, path in files:
        if name != "train":
            yield Worked(f"reading {path.name}", 0)
            with _audit_named(files, config):
                other = read(path, others)
                records = yield from _reading(other.records, path)
            parts[name] = _labelled(records, task, path, unlabelled)
            left_out |= _left_out(other, path)
            sliced[name] = slicing(path, other, config)
    how, cut = f"from {files.dev.name}" if files.dev else "none", None
    _check_rule(config.split, files.dev)
    if files.dev is None and (config.split.dev > 0 or config.split.folds):
        whole = parts["train"]
        yield Worked("holding out", len(whole))
        cut = _cut(whole, files.train, reading, config)
        how = cut.how
        parts |= {"train": [whole[i] for i in cut.train], "dev": [whole[i] for i in cut.held]}
    kept = (parts["train"], parts.get("dev", []), parts.get("test", []))
    return Corpus(reading.data, task, reading.guessed, *kept, how, unlabelled, left_out, cut, config.split, sliced, reading.unread)


def _reading(records: Iterable[Record], path: Path) -> Working[list[Record]]:
    found: list[Record] = []
    for record in records:
        found.append(record)
        if len(found) % STRIDE == 0:
            yield Worked(f"reading {path.name}", len(found))
    return found


def _left_out(reading: Reading, path: Path) -> dict[str, str]:
    said = say_left_out(reading.left_out)
    return {path.name: said} if said else {}


def _labelled(records: list[Record], task: str, path: Path, unlabelled: dict[str, int]) -> list[Record]:
    kept = [record for record in records if getattr(record, FIELDS[task]) is not None]
    if len(kept) < len(records):
        unlabelled[path.name] = len(records) - len(kept)
    if not kept:
        raise DataError(f"{path.name}: no record has a label to learn from" if records else f"{path.name}: no records")
    return kept


# --- what is held out


def _check_rule(split: Split, dev: Path | None) -> None:
    """Raise ConfigError where a setting of `split` would be passed over in silence."""
    if dev is not None and (split.time or split.folds or split.keep_together == "near"):
        name = "time" if split.time else "folds" if split.folds else "keep_together"
        raise ConfigError(f"split.{name}: nothing is held out where a dev file is given ({dev.name}); leave one of them away")
    if split.time and split.folds:
        raise ConfigError("split.time and split.folds: only the latest records can be held out by time; leave one of them away")
    if split.folds and split.dev != Split().dev:
        raise ConfigError(f"split.dev = {split.dev:g}: with split.folds = {split.folds}, 1 in {split.folds} is held out; leave it away")
    if split.time and split.dev == 0:
        raise ConfigError("split.dev = 0: nothing would be held out, by split.time or otherwise; leave one of them away")
    if split.fold > (split.folds or 1):
        found = f"there are {split.folds} folds (split.folds)" if split.folds else "of how many? add --set split.folds=5"
        raise ConfigError(f"split.fold = {split.fold}: {found}")


def _cut(records: list[Record], path: Path, reading: Reading, config: Config) -> Cut:
    """The labelled records of the training file, cut as the settings say."""
    split = config.split
    near = clusters(map(whole, records)) if split.keep_together == "near" else None
    if split.folds is not None:
        return folds(records, count=split.folds, seed=split.seed, clusters=near)[split.fold - 1]
    if split.time is None:
        groups = "whole" if config.data.group is not None else "whole if many"
        return hold_out(records, fraction=split.dev, seed=split.seed, clusters=near, groups=groups)
    cells = _times(path, reading, split.time)
    times = [_moment(cells[record.where], record.where, split.time) for record in records]
    cut = hold_out_latest(records, times, fraction=split.dev, clusters=near)
    first = min(cut.held, key=times.__getitem__)
    return cut._replace(how=f'{cut.how}; from {cells[records[first].where]} on by "{split.time}"')


def _times(path: Path, reading: Reading, column: str) -> dict[str, str]:
    return cells(path, reading, column, setting="split.time")


def cells(path: Path, reading: Reading, column: str, *, setting: str) -> dict[str, str]:
    """`Record.where` -> the cell of the column that `setting` names; the file is read again, with the column in the place of the group."""
    if reading.format not in WITH_COLUMNS:
        raise DataError(f"{path.name}: read as {reading.format}, which has no columns; {setting} needs a table, JSON or Parquet")
    by_column = reading.data.model_copy(update={"group": column})
    try:
        return {record.where: record.group for record in read(path, by_column).records}
    except DataError as error:
        raise DataError(str(error).replace("(data.group)", f"({setting})")) from None


def slicing(path: Path, reading: Reading, config: Config) -> Values:
    """The columns of a file that `report.slices` names beside what can be sliced by anyway.

    Raises:
        DataError: there is no such column.
    """
    names = [name.strip() for name in config.report.slices.split(",")]
    return {name: cells(path, reading, name, setting="report.slices") for name in names if name and name not in SLICES}


def _moment(cell: str, where: str, column: str) -> float:
    """Seconds since 1970, or the number that the cell is. A time without a zone is taken as UTC."""
    with suppress(ValueError):
        if math.isfinite(number := float(cell)):
            return number
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        raise DataError(f'{where}: "{cell}" under {column} is not a time; expected 2026-11-23, 2026-11-23T09:30 or a number') from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _describe(cut: Cut, rule: Split) -> dict:
    """The rule and what came of it."""
    return {
        "rule": rule.model_dump(exclude_none=True),
        "how": cut.how,
        "kept": len(cut.train),
        "held": len(cut.held),
        "left_out": len(cut.left_out),
        "sha256": _hash(cut),
    }


def _hash(cut: Cut) -> str:
    """Of the positions, so that the same cut can be told from another."""
    return hashlib.sha256(json.dumps({"held": cut.held, "left_out": cut.left_out}).encode()).hexdigest()
