"""How good the models are that Headway's defaults make: `headway train` on twelve public data sets, scored on their test sets.

    python benchmarks/quality.py --rows sst2,trec --seeds 1,2,3 --out build/quality.jsonl
    python benchmarks/quality.py --table build/quality.jsonl --beside build/trainer.jsonl

The data is looked for in ../shared/data (see corpora.py); settings that a row needs are in `ROWS`, and no row has others.
A training that was interrupted goes on from its last checkpoint, in build/quality; its seconds are then those of the end.
"""

import argparse
import csv
import json
import shutil
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import torch
from corpora import DATA, load

from headway.config import read_config
from headway.events import Evaluated, Stepped, Worked
from headway.jobs.train import train

UNFINISHED = Path("build/quality")
ALL = "split.dev=0"  # nothing is held out of the training file, as Trainer holds nothing out: the last epoch's model counts


class Row(NamedTuple):
    train: str
    dev: str | None
    test: str
    metric: str  # as Headway names it
    at_least: float
    settings: tuple[str, ...] = ()


ROWS = {
    "sst2": Row("sst2/train.tsv", "sst2/dev.tsv", "sst2/test.tsv", "accuracy", 0.89),
    "trec": Row("trec/train_5500.label", None, "trec/TREC_10.label", "accuracy", 0.965, ("data.label=coarse", ALL)),
    "banking77": Row("banking77/train.csv", None, "banking77/test.csv", "accuracy", 0.93, (ALL,)),
    "sms_spam": Row("train", None, "test", "f1", 0.95, (ALL,)),
    "mrpc": Row("mrpc/train.tsv", "mrpc/dev.tsv", "mrpc/test.tsv", "f1", 0.82),
    "stsb": Row("stsb/stsb-en-train.csv", "stsb/stsb-en-dev.csv", "stsb/stsb-en-test.csv", "spearman", 0.83),
    "go_emotions": Row("go_emotions/train.tsv", "go_emotions/dev.tsv", "go_emotions/test.tsv", "macro_f1", 0.40),
    "conll2003": Row("conll2003/eng.train", "conll2003/eng.testa", "conll2003/eng.testb", "f1", 0.86),
    "wnut17": Row("wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", "wnut17/emerging.test.annotated", "f1", 0.42),
    "squad_v1.1": Row("squad_v1.1/train.json", None, "squad_v1.1/dev.json", "f1", 0.68),
    "squad_v2": Row("squad_v2/train.json", None, "squad_v2/dev.json", "f1", 0.57),
    "imdb": Row("imdb/train.csv", None, "imdb/test.csv", "accuracy", 0.85, ("train.epochs=3", ALL)),
}


def files_of(name: str, folder: Path) -> dict[str, Path | None]:
    """The files of a row; sms_spam has no split, so the one of corpora.py (20% held out by text) is written to `folder`."""
    row = ROWS[name]
    if name != "sms_spam":
        return {part: path and DATA / path for part, path in (("data", row.train), ("dev", row.dev), ("test", row.test))}
    corpus = load(name)
    for part, texts in (("train", corpus.train), ("test", corpus.test)):
        with (folder / f"{part}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text.text, text.label) for text in texts)])
    return {"data": folder / "train.csv", "dev": None, "test": folder / "test.csv"}


def run(name: str, *, seed: int, settings: list[str]) -> dict:
    """One training with this seed for everything, and what it scored."""
    row, began = ROWS[name], time.perf_counter()
    folder = UNFINISHED / "-".join([name, *settings, f"seed={seed}"])
    folder.mkdir(parents=True, exist_ok=True)
    files, out = files_of(name, folder), folder / "run"
    config = read_config(None, [*row.settings, *settings, f"train.seed={seed}", f"split.seed={seed}"])
    events, trained, resumed = [], began, (out / "run.toml").is_file()
    if not resumed:
        shutil.rmtree(out, ignore_errors=True)
    for event in train(files.pop("data"), **files, out=out, config=config, resume=resumed):
        events.append(event)
        fitted = event == Worked("scoring", 0) and trained == began  # a layer on frozen features, and no update
        trained = time.perf_counter() if fitted or isinstance(event, Stepped) else trained
    scores = json.loads((out / "scores.json").read_text())
    used = read_config(out / "run.toml")
    shutil.rmtree(folder)
    return {
        "row": name,
        "seed": seed,
        "settings": [*row.settings, *settings],
        "metric": row.metric,
        "score": scores["test"][row.metric]["value"],
        "test": {metric: round(value["value"], 5) for metric, value in scores["test"].items()},
        "dev": [(event.step, round(event.value, 4)) for event in events if isinstance(event, Evaluated)],
        "epochs": used.train.epochs,
        "learning_rate": used.train.learning_rate,
        "batch_size": used.train.batch_size,
        "resumed": resumed,
        "seconds": round(time.perf_counter() - began, 1),
        "train_seconds": round(trained - began, 1),  # from the files to the last update or the fitted layer, with evaluations
        "threads": torch.get_num_threads(),
    }


def table(results: Path, beside: Path | None) -> str:
    """Mean and range of the default runs in a results file, next to the Trainer's, as Markdown."""
    scores, trainer = defaultdict(list), {}
    for line in map(json.loads, results.read_text().splitlines()):
        if line["settings"] == list(ROWS[line["row"]].settings):
            scores[line["row"]].append(line)
    if beside is not None:
        trainer = {line["row"]: line for line in map(json.loads, beside.read_text().splitlines())}
    rows = ["| data | metric | at least | Headway | range | seeds | epochs | Trainer |", "|---|---|--:|--:|--:|--:|--:|--:|"]
    for name, row in ROWS.items():
        found = [line["score"] for line in scores[name]]
        if not found:
            continue
        spread = f"{min(found):.3f}–{max(found):.3f}" if len(found) > 1 else ""
        peer = f"{trainer[name]['score']:.3f}" if name in trainer else ""
        epochs = f"{scores[name][0]['epochs']:g}"
        cells = [name, row.metric, f"{row.at_least}", f"{statistics.mean(found):.3f}", spread, str(len(found)), epochs, peer]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("build/quality.jsonl"))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--beside", type=Path)
    given = parser.parse_args()
    if given.table:
        print(table(given.table, given.beside))
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for name in given.rows.split(","):
        for seed in map(int, given.seeds.split(",")):
            result = run(name, seed=seed, settings=given.settings)
            with given.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
