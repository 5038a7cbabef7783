"""How the sample files of ../shared/data/formats are read, what survives a trip through every other format, and what bad input does.

    python benchmarks/formats.py                    # what is read, what survives, and damaged files: seconds
    python benchmarks/formats.py --hostile          # the same, and files that are made to do harm, of 100 MB and more: minutes

Bad input is what tests/test_readers_bad.py makes: good files of every format, damaged in many ways, and files that are made to do harm.
"""

import json
import platform
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from audit import table
from corpora import DATA

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import test_readers_bad as bad

from headway.config import Data
from headway.errors import DataError
from headway.readers import HOLDS, Reading, formats_for, read, say_left_out, write_again
from headway.readers.writing import Target, save
from headway.records import Record

FORMATS = DATA / "formats"
SETTINGS = {"csv/german_excel_cp1252_semicolon.csv": Data(encoding="cp1252")}  # which its message asks for
NUMBERS = {"csv", "tsv", "jsonl", "json", "parquet", "arrow", "label studio"}  # formats that hold one for a label
ENDINGS = {
    "csv": ".csv",
    "tsv": ".tsv",
    "conll": ".conll",
    "conllu": ".conllu",
    "fasttext": ".txt",
    "brat": "",
    "sentence lines": ".iob",
    "webanno": ".tsv",
}
DOCUMENTS = {"json", "squad", "label studio", "spacy documents"}

INTRODUCTION = f"""# How formats are read, written and refused

November 2026, Headway {version("headway")}, Python {platform.python_version()}, Linux.
`python benchmarks/formats.py --hostile`, whose output this is. The files are those of `../shared/data/formats`, as other people's tools
write them; none of them is in the repository. Every defect that their EXPECTED.json names is asserted by its line in
`tests/test_readers_expected.py`.

## What is read

Left out is what stands in no record, and is said whenever the file is read. Beside them is what a record has no field for: it stays where
it is written in a format that can hold it, and is counted elsewhere. A fault is a record that cannot be read; a liberty is what was read
though it is not quite right.
"""

ROUND = """
## What survives the trip through another format

Each file is written in every format of its task and read again. Equal: texts, labels, spans (with their types, nested or not), answers and
questions are letter for letter the same, and so are ids and documents where the format holds them. What is lost is counted while it is
written; `headway convert` says it.
"""

BAD = """
## Bad input
"""

HARM = f"""
Each hostile file is read in a process of its own; MiB is the most memory that it takes, Python and all libraries with it. The tests allow
{bad.CAP_MIB:,}.
"""


@dataclass
class Trips:
    """Through one format."""

    files: int = 0
    records: int = 0
    equal: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def main() -> None:
    print(INTRODUCTION)
    trips: dict[str, Trips] = {}
    print(table(("file", "read as", "records", "left out", "beside them", "faults and liberties"), list(_files(trips))))
    print(ROUND)
    rows = [(name, t.files, t.records, t.equal, t.records - t.equal, _brief(t.lost)) for name, t in trips.items()]
    print(table(("through", "files", "records", "equal", "changed", "what is counted as lost"), rows))
    print(BAD)
    print("\n".join(_damaged()))
    if "--hostile" in sys.argv:
        print(HARM)
        print(table(("hostile file", "MiB", "outcome"), list(_hostile())))


def _files(trips: dict[str, Trips]) -> Iterator[Sequence[object]]:
    for name in json.loads((FORMATS / "EXPECTED.json").read_text(encoding="utf-8")):
        path, data = FORMATS / name, SETTINGS.get(name, Data())
        faults: list[str] = []
        try:
            reading = read(path, data, faults=faults)
        except DataError as error:
            yield (name, "", 0, "", "", str(error))
            continue
        records = list(reading.records)
        trouble = [f"{len(faults)} faults"] if faults else []
        trouble += [f"{kind} ({count:,})" for kind, count in reading.liberties.counts.items()]
        left_out, beside = say_left_out(reading.left_out), say_left_out(reading.unread.counts)
        yield (name, f"{reading.data.task}: {reading.guessed}".replace("|", "\\|"), len(records), left_out, beside, "; ".join(trouble))
        if not faults:
            _travel(path, reading, records, trips)


def _travel(path: Path, reading: Reading, records: Sequence[Record], trips: dict[str, Trips]) -> None:
    task, kind = reading.data.task, reading.data.kind
    for name in formats_for(task):
        if kind == "number" and name not in NUMBERS:
            continue
        trip = trips.setdefault(name, Trips())
        target = Target(task)
        separator = "|" if kind == "multi" and name in ("csv", "tsv") else None
        with tempfile.TemporaryDirectory() as folder:
            there = Path(folder) / f"x{ENDINGS.get(name, '.json' if name in DOCUMENTS else '.jsonl')}"
            save(write_again(read(path, reading.data).records, name, target, reading=reading), there)
            pair = "text_pair" if any(record.text_pair for record in records) and "text_pair" in HOLDS[name].fields else None
            settings = Data(task=task, kind=kind, label_separator=separator, text_pair=pair)
            again = list(read(there, settings, labels="welcome").records)
        trip.lost += target.lost - reading.unread.counts  # which the table of files has
        trip.files += 1
        trip.records += len(records)
        kept = [field for field in ("id", "group", "text_pair") if field in HOLDS[name].fields and name != "brat"]
        before, after = (Counter(_said(record, kept) for record in some) for some in (records, again))
        trip.equal += (before & after).total()


def _said(record: Record, kept: Sequence[str]) -> tuple:
    return (record.text, record.question, record.label, record.entities, record.answers, *(getattr(record, field) for field in kept))


def _brief(lost: Counter[str], most: int = 4) -> str:
    kinds = [f"{kind} ({count:,})" for kind, count in lost.most_common() if count]
    return "; ".join(kinds[:most] + ([f"{len(kinds) - most} kinds more"] if len(kinds) > most else []))


def _damaged() -> Iterator[str]:
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        seeds = bad.make_seeds(Path(folder) / "seeds")
        for seed, path in seeds.items():
            for mutation, change in bad.MUTATIONS.items():
                outcomes[_outcome(path, Path(folder) / "damaged", change, random.Random(f"{seed} {mutation}"))] += 1
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    yield f"{outcomes.total()} damaged files: {len(seeds)} good ones of every format and task, each damaged in {len(bad.MUTATIONS)} ways"
    yield f"({', '.join(bad.MUTATIONS)}): {told}; {outcomes['a traceback']} tracebacks."
    yield "The fuzzers of `tests/test_readers_bad.py` make more on every run, `FUZZ=100` a hundred times as many."


def _outcome(seed: Path, folder: Path, change: Callable, dice: random.Random) -> str:
    path = bad.damaged(seed, folder, lambda content: change(content, dice))
    names = {file.name for file in folder.rglob("*")}
    try:
        said = bad.outcome(path)
    except Exception:
        return "a traceback"
    finally:
        shutil.rmtree(folder)
    if not said:
        return "read to the end"
    line = any(re.search(rf"{re.escape(name)}[:#]\S", said) for name in names)
    return "refused with file and line, record or question" if line else "refused as a whole (empty, cut, no label to find)"


def _hostile() -> Iterator[Sequence[object]]:
    for name, (file, make) in bad.HOSTILE.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder) / file)
            said, mebibytes = bad.read_apart(Path(folder) / file)
        yield (name, mebibytes, f"{said} records" if said.isdigit() else said[:100].replace("|", "\\|"))


if __name__ == "__main__":
    main()
