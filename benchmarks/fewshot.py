"""A few examples of each class: what is learned from 8, 16 and 64 of them, and in how many CPU seconds, beside SetFit.

    OMP_NUM_THREADS=1 python benchmarks/fewshot.py --ways default,layer,contrastive
    OMP_NUM_THREADS=1 python benchmarks/fewshot.py --ways setfit --counts 8        # wants build/peers/setfit/installed, see the Makefile
    python benchmarks/fewshot.py --page                                             # writes benchmarks/fewshot.md of what was measured
    OMP_NUM_THREADS=1 python benchmarks/fewshot.py --rows trec --counts 2 --seeds 1 --limit 20      # to see that it runs; kept apart

Examples are drawn with the seed; nothing is held out of them, and the whole test set is scored. Seconds are of learning alone: from the
files, or the loaded texts, to a model. What is measured is kept, a line each in measured/fewshot.jsonl, and not done again; with
--limit, which scores so many texts alone, in build/fewshot-LIMIT.jsonl, and its page is beside it.
"""

import argparse
import csv
import json
import os
import random
import shutil
import statistics
import subprocess
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import NamedTuple

from audit import table
from corpora import load
from equality import gain

from headway.config import read_config
from headway.events import Worked
from headway.folders import add_to_log, read_log
from headway.jobs.train import train
from headway.metrics import spread

PAGE = Path(__file__).with_suffix(".md")
FOLDER = Path("build/fewshot")
SETFIT = Path("build/peers/setfit/bin/python")
PLAIN = ("split.dev=0", "audit.allow=all", "data.text=text", "data.label=label")
WAYS = {  # settings; None: somebody else's
    "default": (),
    "probe": ("train.epochs=0",),
    "layer": ("contrastive.epochs=20", "train.epochs=0"),
    "contrastive": ("contrastive.epochs=20",),
    "setfit": None,
}
PEER = "setfit"
TOLD = """# Few examples of each class

`python benchmarks/fewshot.py`, and `make fewshot` with SetFit. Encoder: all-MiniLM-L6-v2, for SetFit too, whose settings are its own but
for the number of pairs (40 an example, as in its paper). So many examples of each class are drawn with each seed, the same for all;
nothing is held out of them, and the whole test set is scored. Seconds are CPU seconds of learning on one thread. Intervals are Student's,
over seeds; differences are paired by seed."""
ROWS = ("trec", "sst2", "banking77")


def files_of(row: str, count: int, seed: int, *, limit: int | None) -> tuple[Path, Path]:
    """Files of so many examples of each class, and of the whole test set, or of its first so many."""
    corpus = load(row)
    texts = list(corpus.train)
    random.Random(seed).shuffle(texts)
    of_class = defaultdict(list)
    for text in texts:
        of_class[text.label].append(text)
    parts = {"train": [text for label in sorted(of_class) for text in of_class[label][:count]], "test": corpus.test[:limit]}
    folder = FOLDER / f"{row}-{count}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, chosen in parts.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text.text, text.label) for text in chosen)])
    return folder / "train.csv", folder / "test.csv"


def ours(train_file: Path, test_file: Path, *, seed: int, settings: tuple[str, ...]) -> dict:
    out = train_file.parent / "run"
    shutil.rmtree(out, ignore_errors=True)
    config = read_config(None, [*PLAIN, *settings, f"train.seed={seed}"])
    began, seconds = time.process_time(), 0.0
    for event in train(train_file, test=test_file, out=out, config=config):
        if event == Worked("scoring", 0):
            seconds = time.process_time() - began
    score = json.loads((out / "scores.json").read_text())["test"]["accuracy"]["value"]
    shutil.rmtree(out)
    return {"accuracy": round(score, 4), "seconds": round(seconds, 1)}


def setfit(train_file: Path, test_file: Path, *, seed: int) -> dict:
    command = [SETFIT, "benchmarks/contestants/setfit_scores.py", train_file, test_file, "--seed", seed]
    done = subprocess.run(list(map(str, command)), env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def kept_in(limit: int | None) -> Path:
    return Path(f"build/fewshot-{limit}.jsonl") if limit else Path(__file__).parent / "measured/fewshot.jsonl"


def known(path: Path) -> dict[tuple, dict]:
    """(data, way, examples a class, seed) -> what was measured."""
    return {(*line["key"],): line for line in read_log(path)}


def measure(row: str, way: str, count: int, seed: int, *, limit: int | None) -> None:
    path = kept_in(limit)
    if (row, way, count, seed) in known(path):
        return
    files = files_of(row, count, seed, limit=limit)
    found = setfit(*files, seed=seed) if way == PEER else ours(*files, seed=seed, settings=WAYS[way])
    path.parent.mkdir(parents=True, exist_ok=True)
    add_to_log(path, {"key": [row, way, count, seed], **found})
    print(row, way, count, seed, found, flush=True)


# --- the page


def page(path: Path) -> str:
    """Every way with its scores and seconds, beside SetFit's where that was measured; and whether it gives as much for as little."""
    cells = _by_cell(path)
    columns = ["data", "examples a class", "way", "accuracy", "95% over seeds", "seeds", "less SetFit's", "seconds", "of SetFit's"]
    rows = [_row(cell, way, cells[cell]) for cell in sorted(cells) for way in WAYS if way in cells[cell]]
    ways = "\n".join(f"* `{way}`: {' '.join(f'`--set {given}`' for given in settings) or 'no setting'}" for way, settings in ours_of(cells))
    worth = "\n\n".join(_worth(way, cells) for way, _ in ours_of(cells))
    return "\n\n".join([TOLD, ways, table(columns, rows), "## Beside SetFit", worth]) + "\n"


Cells = dict[tuple[str, int], dict[str, dict[int, dict]]]  # (data, examples a class) -> way -> seed -> what was measured


def _by_cell(path: Path) -> Cells:
    cells: Cells = defaultdict(lambda: defaultdict(dict))
    for (row, way, count, seed), line in known(path).items():
        cells[row, count][way][seed] = line
    return cells


def ours_of(cells: Cells) -> list[tuple[str, tuple[str, ...]]]:
    """Our ways that were measured, with their settings."""
    return [(way, settings) for way, settings in WAYS.items() if way != PEER and any(way in by_way for by_way in cells.values())]


def _row(cell: tuple[str, int], way: str, by_way: dict[str, dict[int, dict]]) -> list[str]:
    scores, seconds = ([line[name] for line in by_way[way].values()] for name in ("accuracy", "seconds"))
    of = spread("accuracy", scores) if len(scores) > 1 else None
    beside = _beside(way, by_way) if way != PEER else None
    shown, mean = f"{of.low:.3f}–{of.high:.3f}" if of else "one seed", statistics.fmean(scores)
    less, times = (str(beside), f"{beside.times:.2f}") if beside else ("", "")
    return [cell[0], cell[1], way, f"{mean:.3f}", shown, len(scores), less, f"{statistics.fmean(seconds):.0f}", times]


class Beside(NamedTuple):
    """A way beside SetFit, on the seeds that both have."""

    less: float  # accuracy, less SetFit's
    reach: float | None  # half of its interval; None of a single seed
    times: float  # seconds, as a share of SetFit's

    def __str__(self) -> str:
        return f"{self.less:+.4f}" + ("" if self.reach is None else f" ± {self.reach:.4f}")


def _beside(way: str, by_way: dict[str, dict[int, dict]]) -> Beside | None:
    seeds = sorted(by_way[way].keys() & by_way.get(PEER, {}).keys())
    if not seeds:
        return None
    (mine, theirs), (took, taken) = ([[by_way[of][seed][name] for seed in seeds] for of in (way, PEER)] for name in ("accuracy", "seconds"))
    reach = float(gain(mine, theirs).split(" ± ")[1]) if len(seeds) > 1 else None
    return Beside(statistics.fmean(mine) - statistics.fmean(theirs), reach, statistics.fmean(took) / statistics.fmean(taken))


def _worth(way: str, cells: Cells) -> str:
    """Whether a way scores at least what SetFit does, in no more than its time: in how many cells, and where not."""
    beside = {cell: found for cell, by_way in sorted(cells.items()) if way in by_way and (found := _beside(way, by_way))}
    if not beside:
        return f"`{way}`: SetFit was not run beside it."
    kept = [cell for cell, found in beside.items() if found.less >= 0 and found.times <= 1]
    head = f"`{way}`: at least SetFit's score, in the mean of the seeds, in no more than its time: in {len(kept)} of {len(beside)}"
    others = [_shortfall(cell, found) for cell, found in beside.items() if cell not in kept]
    return f"{head}{'; ' if others else ''}{'; '.join(others)}."


def _shortfall(cell: tuple[str, int], found: Beside) -> str:
    words = []
    if found.less < 0:
        level = found.reach is not None and found.less + found.reach >= 0
        words.append(f"{found.less:+.3f}{', which its interval does not tell from zero' if level else ''}")
    if found.times > 1:
        words.append(f"{found.times:.1f} times its time")
    return f"{cell[0]} with {cell[1]}: {' and '.join(words)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--ways", default="default,layer,contrastive")
    parser.add_argument("--counts", default="8,16,64")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--limit", type=int, help="score so many texts alone, to see that it runs")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    asked = product(*(part.split(",") for part in (given.seeds, given.counts, given.rows, given.ways)))
    for seed, count, row, way in [] if given.page else asked:
        measure(row, way, int(count), int(seed), limit=given.limit)
    if given.page:
        path = kept_in(given.limit)
        (path.with_suffix(".md") if given.limit else PAGE).write_text(page(path), encoding="utf-8")


if __name__ == "__main__":
    main()
