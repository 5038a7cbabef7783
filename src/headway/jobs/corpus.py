"""The files of a run as records: read, checked, cut into a part to learn from and a part to choose by."""

from dataclasses import dataclass, field
from pathlib import Path

from headway.config import Config, Data
from headway.errors import ConfigError, DataError
from headway.folders import hash_files
from headway.readers import Reading, files_of, meaning, read, say_left_out
from headway.records import Record
from headway.splits import hold_out

FIELDS = {"classification": "label", "ner": "entities", "qa": "answers"}  # of a record, that hold what its task learns


@dataclass(frozen=True)
class Files:
    """Where the records come from, as the run folder keeps it."""

    train: Path
    dev: Path | None
    test: Path | None

    def __iter__(self):
        yield from ((name, path) for name, path in (("train", self.train), ("dev", self.dev), ("test", self.test)) if path is not None)


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

    def summary(self, files: Files) -> dict:
        """What `data.json` holds."""
        return {
            "files": {name: {"path": str(path), "sha256": hash_files(files_of(path))} for name, path in files},
            "task": self.task,
            "guessed": self.guessed,
            "records": {"train": len(self.train), "dev": len(self.dev), "test": len(self.test)},
            "dev": self.how,
            "unlabelled": self.unlabelled,
            "left_out": self.left_out,
        }


def find_files(config: Config, *, data: Path | None, dev: Path | None, test: Path | None) -> Files:
    """What the command line names comes before what the configuration names.

    Raises:
        ConfigError: neither names a file to train on.
    """
    named = config.data
    train = data or (Path(named.train) if named.train else None)
    if train is None:
        raise ConfigError("nothing to train on: name a file, as in headway train reviews.csv, or set data.train")
    return Files(train, dev or (Path(named.dev) if named.dev else None), test or (Path(named.test) if named.test else None))


def read_corpus(files: Files, config: Config) -> Corpus:
    """All records of a run.

    Raises:
        DataError: a file cannot be read or has no labelled record.
    """
    reading = read(files.train, config.data)
    records = list(reading.records)
    task = reading.data.task
    others = meaning(reading.data, given=config.data)
    unlabelled: dict[str, int] = {}
    left_out = _left_out(reading, files.train)
    parts = {"train": _labelled(records, task, files.train, unlabelled)}
    for name, path in files:
        if name != "train":
            other = read(path, others)
            parts[name] = _labelled(list(other.records), task, path, unlabelled)
            left_out |= _left_out(other, path)
    how = f"from {files.dev.name}" if files.dev else "none"
    if files.dev is None and config.split.dev > 0:
        cut = hold_out(parts["train"], fraction=config.split.dev, seed=config.split.seed)
        whole, how = parts["train"], cut.how
        parts |= {"train": [whole[i] for i in cut.train], "dev": [whole[i] for i in cut.held]}
    return Corpus(
        reading.data,
        task,
        reading.guessed,
        parts["train"],
        parts.get("dev", []),
        parts.get("test", []),
        how,
        unlabelled,
        left_out,
    )


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
