"""A few examples of each class: what is learned from 8, 16 and 64 of them, and in how many CPU seconds, beside SetFit.

    OMP_NUM_THREADS=1 python benchmarks/fewshot.py --ways default,layer,contrastive
    OMP_NUM_THREADS=1 python benchmarks/fewshot.py --ways setfit --counts 8        # wants build/peers/setfit/installed, see the Makefile
    python benchmarks/fewshot.py --table

Examples are drawn with the seed; nothing is held out of them, and the whole test set is scored. Seconds are of learning alone: from the
files, or the loaded texts, to a model. What is measured is kept, a line each in build/fewshot.jsonl, and not done again.
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
from pathlib import Path

from corpora import load

from headway.config import read_config
from headway.events import Worked
from headway.jobs.train import train

KEPT = Path("build/fewshot.jsonl")
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
ROWS = ("trec", "sst2", "banking77")


def files_of(row: str, count: int, seed: int) -> tuple[Path, Path]:
    """Files of so many examples of each class, and of the whole test set."""
    corpus = load(row)
    texts = list(corpus.train)
    random.Random(seed).shuffle(texts)
    of_class = defaultdict(list)
    for text in texts:
        of_class[text.label].append(text)
    parts = {"train": [text for label in sorted(of_class) for text in of_class[label][:count]], "test": corpus.test}
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


def known() -> dict[tuple, dict]:
    lines = KEPT.read_text(encoding="utf-8").splitlines() if KEPT.is_file() else []
    return {(*line["key"],): line for line in map(json.loads, filter(None, lines))}


def measure(row: str, way: str, count: int, seed: int) -> None:
    if (row, way, count, seed) in known():
        return
    files = files_of(row, count, seed)
    found = setfit(*files, seed=seed) if way == "setfit" else ours(*files, seed=seed, settings=WAYS[way])
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": [row, way, count, seed], **found}) + "\n")
    print(row, way, count, seed, found, flush=True)


def table() -> str:
    """Mean accuracy and CPU seconds over the seeds there are, as Markdown."""
    cells = defaultdict(list)
    for (row, way, count, _seed), line in known().items():
        cells[row, count, way].append(line)
    ways = [way for way in WAYS if any(way == of for _, _, of in cells)]
    rows = [["data", "examples a class", *ways], ["---", "--:", *["--:"] * len(ways)]]
    for row, count in sorted({(row, count) for row, count, _ in cells}):
        rows.append([row, str(count), *(_cell(cells[row, count, way]) for way in ways)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cell(lines: list[dict]) -> str:
    if not lines:
        return ""
    mean, seconds = (statistics.fmean(line[name] for line in lines) for name in ("accuracy", "seconds"))
    return f"{mean:.3f} ({len(lines)} {'seed' if len(lines) == 1 else 'seeds'}, {seconds:.0f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--ways", default="default,layer,contrastive")
    parser.add_argument("--counts", default="8,16,64")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table())
        return
    for seed in map(int, given.seeds.split(",")):
        for count in map(int, given.counts.split(",")):
            for row in given.rows.split(","):
                for way in given.ways.split(","):
                    measure(row, way, count, seed)


if __name__ == "__main__":
    main()
