"""What is promised of cuts, looked at on real data: shares of labels, groups, time, folds, near duplicates, and the same cut again.

    python benchmarks/splits.py            writes benchmarks/splits.md; about 20 CPU seconds of one core

A tenth is held out, as `headway train` does where no dev file is given. Data is looked for in ../shared/data (see corpora.py).
"""

import argparse
import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from audit import near, records, table
from corpora import DATA, lines

from headway.config import read_config
from headway.jobs.corpus import find_files, read_corpus
from headway.records import Record
from headway.splits import folds, hold_out, hold_out_latest

PAGE = Path(__file__).with_name("splits.md")
FRACTION = 0.1
SEED = 1
RANDOM = 20  # cuts at random that each of ours is held against

STRATIFIED = {  # what is shared out: file
    "sst2, 2 classes": "sst2/train.tsv",
    "sms_spam, 2 classes, 13% of them spam": "sms_spam/SMSSpamCollection",
    "trec, 50 classes": "trec/train_5500.label",
    "banking77, 77 classes": "banking77/train.csv",
    "go_emotions, 28 labels, several a text": "go_emotions/train.tsv",
    "stsb, numbers, by whole points": "stsb/stsb-en-train.csv",
    "conll2003, sentences with each of 4 types": "conll2003/eng.train",
    "squad_v2, answer or none": "squad_v2/train.json",
}
GROUPED = {
    "conll2003, documents": "conll2003/eng.train",
    "squad_v1.1, articles": "squad_v1.1/train.json",
    "squad_v2, articles": "squad_v2/train.json",
}
FOLDED = {"trec": "trec/train_5500.label", "banking77": "banking77/train.csv", "go_emotions": "go_emotions/train.tsv"}
AGAIN = ("sst2/train.tsv", "go_emotions/train.tsv", "conll2003/eng.train", "squad_v2/train.json")


@cache
def rows_of(file: str) -> list[Record]:
    return records(file)


# --- shares of labels


def classes_of(rows: Sequence[Record]) -> list[Collection[str]]:
    """For every record what each side should have its share of."""
    return [_classes(record) for record in rows]


def _classes(record: Record) -> Collection[str]:
    if record.entities is not None:
        return {span.label for span in record.entities}
    if record.answers is not None:
        return ("answer" if record.answers else "none",)
    if isinstance(record.label, float):
        return (str(int(record.label)),)
    return record.label if isinstance(record.label, tuple) else (record.label,)


def off(classes: Sequence[Collection[str]], held: Sequence[int]) -> tuple[float, float]:
    """By how many records the worst class misses its share of what is held, and the mean over classes."""
    everywhere, here = (Counter(name for n in positions for name in classes[n]) for positions in (range(len(classes)), held))
    misses = [abs(here[name] - count * len(held) / len(classes)) for name, count in everywhere.items()]
    return max(misses), sum(misses) / len(misses)


def apart(classes: Sequence[Collection[str]], held: Sequence[int]) -> float:
    """The most by which the shares of a class in what is learned from and in what is held out differ, in points of a hundred."""
    everywhere, here = (Counter(name for n in positions for name in classes[n]) for positions in (range(len(classes)), held))
    kept = len(classes) - len(held)
    return 100 * max(abs(here[name] / len(held) - (count - here[name]) / kept) for name, count in everywhere.items())


def absent(classes: Sequence[Collection[str]], held: Sequence[int]) -> int:
    """Classes of ten records and more that are not in what is held."""
    everywhere, here = (Counter(name for n in positions for name in classes[n]) for positions in (range(len(classes)), held))
    return sum(count >= 1 / FRACTION and not here[name] for name, count in everywhere.items())


def at_random(rows: Sequence[Record], count: int) -> list[list[int]]:
    return [random.Random(seed).sample(range(len(rows)), count) for seed in range(RANDOM)]


def stratified() -> str:
    found = []
    for name, file in STRATIFIED.items():
        rows = rows_of(file)
        classes, held = classes_of(rows), hold_out(rows, fraction=FRACTION, seed=SEED).held
        worst, mean = off(classes, held)
        by_chance = [(*off(classes, chosen), absent(classes, chosen)) for chosen in at_random(rows, len(held))]
        worst_by_chance, mean_by_chance, absent_by_chance = (sum(column) / RANDOM for column in zip(*by_chance, strict=True))
        ours = [f"{worst:.1f}", f"{mean:.2f}", f"{apart(classes, held):.2f}", absent(classes, held)]
        chance = [f"{worst_by_chance:.1f}", f"{mean_by_chance:.2f}", f"{absent_by_chance:.1f}"]
        found.append([name, f"{len(held):,} of {len(rows):,}", *ours, *chance])
    head = ["data", "held out", "worst class off by", "mean", "points", "absent", "at random: worst class", "mean", "absent"]
    return table(head, found)


# --- groups


def on_both_sides(keys: Sequence[str], held: Collection[int], left_out: Collection[int] = ()) -> int:
    kept = set(range(len(keys))).difference(held, left_out)
    return len({keys[n] for n in kept if keys[n]} & {keys[n] for n in held if keys[n]})


def grouped() -> str:
    found = [_grouped(name, rows_of(file), "whole if many") for name, file in GROUPED.items()]
    articles = list(dict.fromkeys(record.group for record in rows_of("squad_v2/train.json")))[:4]
    four = [record for record in rows_of("squad_v2/train.json") if record.group in articles]
    found.append(_grouped("4 articles of squad_v2", four, "whole if many"))
    found.append(_grouped("4 articles of squad_v2, with data.group", four, "whole"))
    head = ["data", "groups", "held out", "left out", "groups on both sides", "at random"]
    return table([*head, "words a record, held and learned from", "what is said"], found)


def _grouped(name: str, rows: Sequence[Record], groups: str) -> list[object]:
    cut = hold_out(rows, fraction=FRACTION, seed=SEED, groups=groups)
    keys = [record.group for record in rows]
    chance = sum(on_both_sides(keys, chosen) for chosen in at_random(rows, len(cut.held))) / RANDOM
    said = cut.how[cut.how.index("groups") :]
    lengths = " and ".join(f"{words(rows, side):.1f}" for side in (cut.held, cut.train))
    shares = [f"{len(side) / len(rows):.1%}" for side in (cut.held, cut.left_out)]
    return [name, len(set(keys)), *shares, on_both_sides(keys, cut.held, cut.left_out), f"{chance:.0f}", lengths, said]


def words(rows: Sequence[Record], chosen: Sequence[int]) -> float:
    """In the mean of some records."""
    return sum(len(rows[n].text.split()) for n in chosen) / len(chosen)


# --- time


def temporal() -> str:
    """Comments of go_emotions: the ids that Reddit gives rise with time."""
    rows = rows_of("go_emotions/train.tsv")
    times = [float(int(line.split("\t")[2], 36)) for line in lines("go_emotions/train.tsv")]
    found = []
    for name, cut in (
        ("by time", hold_out_latest(rows, times, fraction=FRACTION)),
        ("as without split.time", hold_out(rows, fraction=FRACTION, seed=SEED)),
    ):
        oldest = min(times[n] for n in cut.held)
        younger = sum(times[n] >= oldest for n in cut.train)
        sides = [[" ".join(rows[n].text.casefold().split()) for n in side] for side in (cut.train, cut.held)]
        shared = len(set(sides[0]) & set(sides[1]))
        found.append([name, f"{len(cut.held):,}", len(cut.left_out), f"{younger:,} of {len(cut.train):,}", shared])
    return table(["cut", "held out", "left out", "learned from, and as young as the oldest held", "texts on both sides"], found)


# --- folds


def folded() -> str:
    found = []
    for name, file in FOLDED.items():
        rows, classes = rows_of(file), classes_of(rows_of(file))
        cuts = folds(rows, count=5, seed=SEED)
        times = Counter(n for cut in cuts for n in cut.held)
        whole = all(sorted([*cut.train, *cut.held]) == list(range(len(rows))) for cut in cuts)
        sizes = [len(cut.held) for cut in cuts]
        worst = max(off(classes, cut.held)[0] for cut in cuts)
        once = f"{sum(count == 1 for count in times.values()):,} of {len(rows):,}"
        found.append([name, once, "yes" if whole else "NO", f"{min(sizes):,}–{max(sizes):,}", f"{worst:.1f}"])
    return table(["data, 5 folds", "records held once", "both sides are all of it", "sizes", "worst class of a fold off by"], found)


# --- the same cut again


def hash_of(file: str, seed: int) -> str:
    """That of the positions held out, as `data.json` and `split.json` have it."""
    config = read_config(None, [f"split.seed={seed}"])
    return read_corpus(find_files(config, data=DATA / file, dev=None, test=None), config).held_out()["sha256"]


def again() -> str:
    """Each in a process of its own, which hashes strings in another way."""
    command = [sys.executable, __file__, "--hashes", "--seed"]
    told = []
    for seed, salt in ((SEED, "1"), (SEED, "2"), (SEED + 1, "1")):
        environment = os.environ | {"PYTHONHASHSEED": salt}
        told.append(subprocess.run([*command, str(seed)], capture_output=True, text=True, check=True, env=environment).stdout.split())
    rows = [(file.split("/")[0], *hashes) for file, *hashes in zip(AGAIN, *told, strict=True)]
    found = [[name, f"`{one[:12]}`", f"`{two[:12]}`", "yes" if one == two else "NO", f"`{other[:12]}`"] for name, one, two, other in rows]
    return table(["data", "seed 1", "seed 1, another process", "the same", "seed 2"], found)


TEMPLATE = """# Are cuts what they are said to be?

{about}

```
python benchmarks/splits.py
```

Python {python}; {seconds:.0f} CPU seconds. A tenth is held out with seed 1, equal texts kept together; "at random" are {random} cuts of as
many records without a rule.

## Labels: both sides have their share

By how many records the worst class, and a class in the mean, has more or fewer in what is held out than its share; the most points of a
hundred by which the shares of a class on both sides differ; and how many classes of ten records or more have none there. Documents and
articles are not split, so no cut can be exact where they are large: squad_v2 has 19, which a cut at random of its questions does not
care for.

{stratified}

## Groups: none is on both sides

Groups that were guessed (documents, articles) are split where fewer than ten bundles would miss the fraction by over half of it; a
group that `data.group` names never is. A text that groups on both sides have (a dateline, a greeting) is learned from and not measured
on.

{grouped}

## Time: nothing younger is learned from than what is held out

{temporal_about}

{temporal}

## Folds: each record is held out once

{folded}

## Near duplicates: none is on both sides

`python benchmarks/audit.py near`: how many of the held texts have a near duplicate in what is learned from, with equal texts kept
together (the default) and with `split.keep_together=near`. Texts that are equal but for case and punctuation are near duplicates.

{near}

## The same seed gives the same cut

The hash of the positions that are held out, in processes that hash strings in different ways; and with another seed.

{again}
"""


def page() -> str:
    began = time.process_time()
    parts = {
        "stratified": stratified(),
        "grouped": grouped(),
        "temporal": temporal(),
        "folded": folded(),
        "near": near(argparse.Namespace()),
        "again": again(),
    }
    about = " ".join(__doc__.split("\n")[0].split())
    children = os.times()
    seconds = time.process_time() - began + children.children_user + children.children_system
    told = {"about": about, "python": platform.python_version(), "random": RANDOM, "seconds": seconds}
    return TEMPLATE.format(**told, **parts, temporal_about=" ".join(temporal.__doc__.split()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", action="store_true", help="print the hashes alone")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    if given.hashes:
        print(*(hash_of(file, given.seed) for file in AGAIN))
    else:
        PAGE.write_text(page(), encoding="utf-8")
