"""Whether the fast path scores as the plain one does: the same trainings with both, over five seeds.

    python benchmarks/equality.py                  # sst2, conll2003 and squad_v1.1; a table in Markdown
    python benchmarks/equality.py --rows sst2 --train 500 --test 500 --seeds 1,2

Plain is one text at a time, an embedding table that is updated whole, and fp32. The first `--train` records are learned from for
`--epochs`, and the first `--test` records of the test file are scored; without them, as many as RECORDS says. A finished training is a
line of build/equality.jsonl, and is not made again. All of it takes an hour and a half of one core.
"""

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from audit import table
from corpora import Corpus, load, write
from scipy.stats import t

from headway.config import read_config
from headway.folders import add_to_log, read_log
from headway.jobs.train import train

KEPT = Path("build/equality.jsonl")
PATHS = {
    "fast": (),
    "plain": ("train.token_budget=1", "train.row_updates=false", "train.varlen=false", "train.precision=fp32"),
}
SEEDS = (1, 2, 3, 4, 5)
METRICS = {"sst2": "accuracy", "conll2003": "f1", "squad_v1.1": "f1"}
BATCH_SIZES = {"sst2": 32, "conll2003": 32, "squad_v1.1": 16}  # as with all records
RECORDS = {"sst2": 500, "conll2003": 500, "squad_v1.1": 1000}  # of 500 questions too little is learned for a difference to be seen


def score(corpus: Corpus, settings: Sequence[str], *, seed: int, sizes: tuple[int, int]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        parts = {"train": corpus.train, "test": corpus.test}
        files = [write(Path(folder) / part, corpus, parts[part][:size]) for part, size in zip(parts, sizes, strict=True)]
        config = read_config(None, [*settings, f"train.seed={seed}", "split.dev=0", "audit.allow=all"])
        list(train(files[0], test=files[1], out=Path(folder) / "run", config=config))
        return json.loads((Path(folder) / "run/scores.json").read_text())["test"][METRICS[corpus.name]]["value"]


def gain(fast: Sequence[float], plain: Sequence[float]) -> str:
    """The mean of the paired differences with Student's 95% interval."""
    differences = [one - other for one, other in zip(fast, plain, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    reach = t.ppf(0.975, len(differences) - 1) * error
    return f"{statistics.mean(differences):+.4f} ± {reach:.4f}"


def found(lines: Sequence[dict]) -> str:
    """What was measured, as a table; of each data set the seeds that all paths have."""
    scores: dict[tuple, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        scores[line["row"], line["train"], line["epochs"], line["test"]][line["path"]][line["seed"]] = line["score"]
    rows = []
    for (name, trained, epochs, tested), by_path in scores.items():
        seeds = sorted(set.intersection(*(set(by_path[path]) for path in PATHS)))
        if len(seeds) > 1:
            of = {path: [by_path[path][seed] for seed in seeds] for path in PATHS}
            cells = [f"{statistics.mean(of[path]):.4f} ± {statistics.stdev(of[path]):.4f}" for path in PATHS]
            sizes = [f"{trained:,}", f"{epochs:g}", f"{tested:,}", len(seeds)]
            rows.append([f"{name}, {METRICS[name]}", *sizes, *cells, gain(of["fast"], of["plain"])])
    means = [f"{path}, mean ± deviation" for path in PATHS]
    return table(["data", "learned from", "epochs", "scored on", "seeds", *means, "fast less plain (95%)"], rows)


def complete(lines: Sequence[dict]) -> bool:
    """Whether all is there that is made without options, so that a page loses nothing by it."""
    made = {(line["row"], line["path"], line["seed"]) for line in lines if RECORDS[line["row"]] == line["train"] == line["test"]}
    return made >= set(product(METRICS, PATHS, SEEDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(METRICS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--train", type=int)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--test", type=int)
    given = parser.parse_args()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    for name, seed, path in product(given.rows.split(","), map(int, given.seeds.split(",")), PATHS):
        sizes = (given.train or RECORDS[name], given.test or RECORDS[name])
        key = {"row": name, "path": path, "seed": seed, "train": sizes[0], "epochs": given.epochs, "test": sizes[1]}
        if not any(key.items() <= line.items() for line in read_log(KEPT)):
            settings = [*PATHS[path], f"train.epochs={given.epochs}", f"train.batch_size={BATCH_SIZES[name]}"]
            reached = score(load(name), settings, seed=seed, sizes=sizes)
            add_to_log(KEPT, key | {"score": reached})
    print(found(read_log(KEPT)))


if __name__ == "__main__":
    main()
