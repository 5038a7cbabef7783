"""What fine-tuning promises, measured: `headway compare --claims` on four public data sets.

    python benchmarks/claims.py --rows sst2,trec,conll2003,squad_v1.1       makes what is missing, and writes benchmarks/claims.md
    python benchmarks/claims.py --rows trec --set train.epochs=1 --set windows.max_tokens=16 --page build/claims.md

A finished data set is a line of measured/claims.jsonl, and is not measured again with the same settings. One that was stopped goes on
within build/claims/: finished trainings are lines of its points.jsonl, and the one that was interrupted has its checkpoint.
"""

import argparse
import hashlib
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from corpora import DATA

from headway.config import read_config
from headway.events import Evaluated, Said, Stepped
from headway.folders import add_to_log, read_log
from headway.jobs.claims import CLAIMS, compare_claims

WORK = Path("build/claims")
KEPT = Path(__file__).parent / "measured/claims.jsonl"
ARTICLES = 7  # of SQuAD, 1,530 questions: all of them would take a night


class Row(NamedTuple):
    train: str
    dev: str | None  # a part of the training file where there is none
    settings: tuple[str, ...] = ()
    articles: int | None = None  # so many of the first alone


ROWS = {
    "sst2": Row("sst2/train.tsv", "sst2/dev.tsv"),
    "trec": Row("trec/train_5500.label", None, ("data.label=coarse",)),
    "conll2003": Row("conll2003/eng.train", "conll2003/eng.testa"),
    "squad_v1.1": Row("squad_v1.1/train.json", None, articles=ARTICLES),
}


def measure(name: str, settings: list[str]) -> dict:
    """All trainings of a data set that have not been made yet, and what they show."""
    row, began = ROWS[name], time.perf_counter()
    used = [*row.settings, *settings]
    folder = WORK / f"{name}-{hashlib.sha256(json.dumps(used).encode()).hexdigest()[:8]}"
    data = DATA / row.train if row.articles is None else first_articles(DATA / row.train, row.articles)
    job = compare_claims(data, dev=row.dev and DATA / row.dev, out=folder, config=read_config(None, used))
    for event in job:
        if isinstance(event, Said):
            print(name, event.topic, event.text, flush=True)
        elif isinstance(event, Evaluated | Stepped):
            continue
    return {
        "row": name,
        "settings": settings,
        **json.loads((folder / CLAIMS).read_text(encoding="utf-8")),
        "threads": torch.get_num_threads(),
        "versions": {package: version(package) for package in ("torch", "transformers")},
        "machine": machine(),
        "seconds": round(time.perf_counter() - began, 1),  # of this start
    }


def first_articles(path: Path, count: int) -> Path:
    """A SQuAD file with no more than its first articles."""
    part = WORK / f"{path.parent.name}-{count}.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    part.write_text(json.dumps(whole | {"data": whole["data"][:count]}), encoding="utf-8")
    return part


def machine() -> str:
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


# --- the page


METHOD = """# What fine-tuning promises, measured

`headway compare --claims` on four public data sets: the same architecture, tokenizer, loop and records, once from pretrained weights and
once from random ones. Fine-tuned is what `headway train` does. From scratch gets three times the epochs, and of 1, 3 and 10 times the
learning rate the one that is best on dev with all labels; nothing stops early. Scores are of the best model on dev (the data set's own for
sst2 and conll2003, a tenth of the training file for trec and of the first {articles} articles for squad_v1.1, of which no more is learned
from), with the interval over its records. Both sides choose on dev; from scratch also its rate, which is to its advantage. Labels are
nested, stratified halves. Seconds are of updates and of fitting the new layer before them, without evaluation, until the best score from
scratch was reached, with dev scored four times an epoch of fine-tuning and twice an epoch from scratch.

```
OMP_NUM_THREADS=1 python benchmarks/claims.py --rows {rows}{settings}
```
"""


def page(lines: list[dict]) -> str:
    """Tables and sentences as Markdown."""
    rows = ",".join(line["row"] for line in lines)
    settings = "".join(f" --set {setting}" for setting in lines[-1]["settings"])
    told = [METHOD.format(rows=rows, settings=settings, articles=ARTICLES), "## " + where(lines[-1]), "", *summary(lines)]
    missing = [name for name in ROWS if name not in {line["row"] for line in lines}]
    told += ["", f"Not run yet: {', '.join(missing)}."] if missing else []
    for line in lines:
        told += ["", f"### {line['row']}", "", *(f"* {answer}" for answer in line["answers"]), "", *curve(line)]
    return "\n".join(told) + "\n"


def where(line: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in line["versions"].items())
    return f"{line['machine']}, {line['threads']} thread{'s' * (line['threads'] > 1)}, {versions}"


def summary(lines: list[dict]) -> list[str]:
    shown = [
        "| data | metric | labels | fine-tuned | from scratch | labels for that | seconds from scratch | fine-tuned |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for line in lines:
        everything = str(line["labels"])
        needed = "never" if line["labels_needed"] is None else f"{line['labels_needed']:,}"
        seconds = "never" if line["seconds_needed"] is None else f"{line['seconds_needed']:,.0f}"
        cells = [line["row"], line["metric"], f"{line['labels']:,}", score(line["fine_tuned"][everything])]
        cells += [score(line["from_scratch"][everything]), needed, f"{line['seconds_from_scratch']:,.0f}", seconds]
        shown.append("| " + " | ".join(cells) + " |")
    return shown


def curve(line: dict) -> list[str]:
    sizes = sorted(map(int, line["fine_tuned"] | line["from_scratch"]))
    shown = ["| labels | fine-tuned | from scratch |", "|--:|--:|--:|"]
    for size in map(str, sizes):
        cells = [score(line[how][size]) if size in line[how] else "" for how in ("fine_tuned", "from_scratch")]
        shown.append(f"| {int(size):,} | {cells[0]} | {cells[1]} |")
    rates = line["learning_rates"]
    return [*shown, "", f"Learning rates {rates['fine-tuned']:g} and {rates['from scratch']:g}."]


def score(of: dict[str, float]) -> str:
    return f"{of['value']:.3f} ({of['low']:.3f}–{of['high']:.3f})"


def finished() -> list[dict]:
    return read_log(KEPT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--page", type=Path, default=Path("benchmarks/claims.md"))
    given = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    for name in given.rows.split(","):
        if any((line["row"], line["settings"]) == (name, given.settings) for line in finished()):
            print(name, "has been measured before")
            continue
        line = measure(name, given.settings)
        KEPT.parent.mkdir(exist_ok=True)
        add_to_log(KEPT, line)
    latest = {line["row"]: line for line in finished() if line["settings"] == given.settings}
    given.page.write_text(page([latest[name] for name in ROWS if name in latest]), encoding="utf-8")


if __name__ == "__main__":
    main()
