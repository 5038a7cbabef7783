"""What each recipe is worth: the same trainings with it and without, on few examples and on all of them.

    OMP_NUM_THREADS=1 python benchmarks/recipes.py                                   # 200 examples of five data sets, five seeds
    OMP_NUM_THREADS=1 python benchmarks/recipes.py --sizes all --rows mrpc --recipes default,R-Drop --seeds 1,2
    python benchmarks/recipes.py --page                                              # writes benchmarks/recipes.md, and the table
                                                                                     # src/headway/recipes.toml for --recipe auto

With each seed other examples are drawn, the same for all recipes; a tenth of them is dev, as by default. Scored is the whole test set, of
questions the same thousand.
A finished training is a line of measured/recipes.jsonl, and is not made again.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

from audit import table
from corpora import Corpus, load, write
from equality import gain

from headway import model
from headway.config import read_config
from headway.events import Worked
from headway.evidence import TABLE, is_uneven
from headway.folders import add_to_log, read_log
from headway.jobs.train import train
from headway.readers import meaning, read

KEPT = Path(__file__).parent / "measured/recipes.jsonl"
PAGE = Path(__file__).with_suffix(".md")
METRICS = {"sst2": "accuracy", "mrpc": "f1", "sms_spam": "f1", "conll2003": "f1", "squad_v1.1": "f1"}
UNLABELED = 2_000  # texts
TOLD = """# Recipes

`python benchmarks/recipes.py`. Encoder: all-MiniLM-L6-v2.

Scores on the whole test set, of questions on 1,000, in the mean of the seeds that the recipe and the default share. The difference is
paired by seed, with Student's 95% interval; in bold where it leaves out zero: of twenty recipes that change nothing, one would be. Cost
is CPU seconds of learning on one thread, as a multiple of the default's."""
CLASSES = ("sst2", "mrpc", "sms_spam")
QUESTIONS = ("squad_v1.1",)
TESTED = 1_000  # questions; all of the test set elsewhere
DEFAULT = "default"


class Recipe(NamedTuple):
    """Settings, or another way of training."""

    settings: tuple[str, ...] = ()
    rows: tuple[str, ...] = (*CLASSES, "conll2003")  # the data that it is tried on
    unlabeled: bool = False  # other texts of the training file are read first
    teachers: int = 0


RECIPES = {
    DEFAULT: Recipe(rows=tuple(METRICS)),
    "random head": Recipe(("model.head=random",), ("sst2", "sms_spam")),
    "fitted head": Recipe(("model.head=fitted",), ("mrpc",)),
    "32 an update": Recipe(("train.batch_size=32",), ("conll2003",)),  # as where there are more sentences
    "16 an update": Recipe(("train.batch_size=16",), QUESTIONS),  # as where there are more questions
    "8 an update": Recipe(("train.batch_size=8",), QUESTIONS),
    "contrastive": Recipe(("contrastive.epochs=20",), CLASSES),
    "masked words": Recipe(unlabeled=True),
    "distillation": Recipe(teachers=3),
    "label smoothing": Recipe(("regularize.label_smoothing=0.1",)),
    "class weights": Recipe(("regularize.class_weights=balanced",), CLASSES),
    "focal loss": Recipe(("regularize.focal_gamma=2",)),
    "multi-sample dropout": Recipe(("regularize.head_samples=5",)),
    "R-Drop": Recipe(("regularize.r_drop=1",)),
    "FGM": Recipe(("regularize.adversarial=1",)),
    "FreeLB": Recipe(("regularize.freelb=0.3",)),
    "EMA": Recipe(("regularize.ema_decay=0.99",)),
    "uniform soup": Recipe(("regularize.soup=uniform", "train.evaluations=3")),
    "greedy soup": Recipe(("regularize.soup=greedy", "train.evaluations=3")),
    "layer-wise decay": Recipe(("regularize.layer_decay=0.9",)),
    "mixout": Recipe(("regularize.mixout=0.7",)),
    "BitFit": Recipe(("regularize.parameters=biases", "train.learning_rate=1e-3")),
    "LoRA": Recipe(("regularize.parameters=lora",)),
    "gradual unfreezing": Recipe(("regularize.unfreezing=0.3",)),
    "top layer anew": Recipe(("regularize.reinitialized_layers=1",)),
    "lower half frozen": Recipe(("regularize.frozen_layers=3",)),
}


class Files(NamedTuple):
    """What a seed learns from."""

    train: Path
    test: Path
    others: Path  # of the training file, that are not learned from


def files_of(corpus: Corpus, folder: Path, *, size: int | None, seed: int) -> Files:
    rows = random.Random(seed).sample(corpus.train, len(corpus.train)) if size else corpus.train
    tested = random.Random(0).sample(corpus.test, TESTED) if corpus.task == "qa" else corpus.test
    parts = {"train": rows[:size], "test": tested, "others": rows[size : size + UNLABELED] if size else []}
    return Files(*(write(folder / part, corpus, chosen) for part, chosen in parts.items()))


def learned(files: Files, out: Path, settings: Iterable[str]) -> float:
    """CPU seconds from the file to a model that is not scored yet."""
    config = read_config(None, ["audit.allow=all", *settings])
    began = seconds = time.process_time()
    for event in train(files.train, out=out, config=config):
        if event == Worked("scoring", 0):
            seconds = time.process_time()
    return seconds - began


def score(run: Path, test: Path, *, metric: str) -> float:
    """Of the model alone: a test file of `headway train` is answered by the frozen encoder as well."""
    trained = model.load(run)
    records = list(read(test, meaning(trained.data)).records)
    said = [prediction for _, prediction in trained.stream(records)]
    return trained.task.score(records, said).values[metric]


def run(row: str, recipe: Recipe, *, size: int | None, seed: int) -> dict:
    """The test score of a training, and what it cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = files_of(load(row), folder, size=size, seed=seed)
        teachers = [folder / f"teacher-{number}" for number in range(recipe.teachers)]
        seconds = sum(learned(files, out, [f"train.seed={1000 * seed + number}"]) for number, out in enumerate(teachers))
        more = [f"distill.teachers={json.dumps(list(map(str, teachers)))}"] if teachers else []
        more += [f"data.unlabeled={files.others}"] if recipe.unlabeled else []
        seconds += learned(files, folder / "run", [*recipe.settings, *more, f"train.seed={seed}"])
        return {"score": score(folder / "run", files.test, metric=METRICS[row]), "seconds": round(seconds, 1)}


Found = dict[tuple[str, int | None], dict[str, dict[int, dict]]]  # row and size -> recipe -> seed -> what was measured


def found() -> Found:
    """All that is kept of rows and sizes that the default was trained on, too."""
    of_all: Found = defaultdict(lambda: defaultdict(dict))
    for line in read_log(KEPT):
        of_all[line["row"], line["size"]][line["recipe"]][line["seed"]] = line
    return {place: recipes for place, recipes in of_all.items() if DEFAULT in recipes}


def page(measured: Found) -> str:
    """Of each data set and size the recipes, best first."""
    tables = [f"## {row}, {_many(size)}\n\n{_compared(row, recipes)}" for (row, size), recipes in measured.items()]
    return "\n\n".join([TOLD, *(tables or ["Not measured yet."])]) + "\n"


def evidence(measured: Found) -> str:
    """The same as `headway train --recipe auto` reads it, but for recipes that need a file of their own."""
    lines = ["# Written by benchmarks/recipes.py: each recipe against the default, in the mean of the seeds that both have."]
    for (row, size), recipes in measured.items():
        for name, of_seeds in recipes.items():
            seeds = sorted(of_seeds.keys() & recipes[DEFAULT].keys())
            if name != DEFAULT and len(seeds) > 1 and not (RECIPES[name].unlabeled or RECIPES[name].teachers):
                pairs = [(of_seeds[seed], recipes[DEFAULT][seed]) for seed in seeds]
                lines += ["", "[[tried]]", *_as_toml(_tried(row, size, name, pairs))]
    return "\n".join(lines) + "\n"


def _tried(row: str, size: int | None, name: str, pairs: list[tuple[dict, dict]]) -> dict:
    """As `headway.evidence.Tried` has it."""
    corpus = load(row)
    gains = [one["score"] - usual["score"] for one, usual in pairs]
    cost, usual_cost = (statistics.mean(line["seconds"] for line in side) for side in zip(*pairs, strict=True))
    counts = Counter(text.label for text in corpus.train) if row in CLASSES else Counter()
    return {
        "recipe": name,
        "settings": dict(map(_setting, RECIPES[name].settings)),
        "task": corpus.task,
        "kind": corpus.kind or "",
        "uneven": is_uneven(list(counts.values())),
        "data": row,
        "records": size or len(corpus.train),
        "gain": round(statistics.mean(gains), 5),
        "error": round(statistics.stdev(gains) / len(gains) ** 0.5, 5),
        "seeds": len(gains),
        "cost": round(cost / usual_cost, 2),
    }


def _setting(text: str) -> tuple[str, bool | float | str]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _as_toml(values: dict) -> list[str]:
    """JSON spells texts, numbers and truth as TOML does."""
    settings = ", ".join(f'"{name}" = {json.dumps(value)}' for name, value in values["settings"].items())
    return [f"{name} = {json.dumps(value) if name != 'settings' else f'{{{settings}}}'}" for name, value in values.items()]


def _many(size: int | None) -> str:
    return f"{size} examples" if size else "all examples"


def _compared(row: str, by_recipe: dict[str, dict[int, dict]]) -> str:
    """A table of what is known by two seeds or more."""
    default, cells = by_recipe[DEFAULT], []
    for name, of_seeds in by_recipe.items():
        seeds = sorted(of_seeds.keys() & default.keys())
        if len(seeds) > 1:
            scores, usual = ([of[seed]["score"] for seed in seeds] for of in (of_seeds, default))
            costs, usual_costs = ([of[seed]["seconds"] for seed in seeds] for of in (of_seeds, default))
            less = "" if name == DEFAULT else _marked(gain(scores, usual))
            cost = f"{statistics.mean(costs) / statistics.mean(usual_costs):.1f}"
            cells.append([name, f"{statistics.mean(scores):.3f}", less, len(seeds), cost])
    cells.sort(key=lambda line: line[1], reverse=True)
    return table(["recipe", METRICS[row], "less the default's", "seeds", "cost"], cells)


def _marked(difference: str) -> str:
    mean, reach = map(float, difference.split(" ± "))
    return f"**{difference}**" if abs(mean) > reach else difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(METRICS))
    parser.add_argument("--sizes", default="200", help="numbers of examples, and `all`")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    asked = product(given.sizes.split(","), map(int, given.seeds.split(",")), given.rows.split(","), given.recipes.split(","))
    for size, seed, row, name in [] if given.page else asked:
        count = None if size == "all" else int(size)
        key = {"row": row, "size": count, "recipe": name, "seed": seed}
        recipe = RECIPES[name]
        meant = row in recipe.rows and not (recipe.unlabeled and count is None)
        if meant and not any(key.items() <= line.items() for line in read_log(KEPT)):
            line = key | run(row, recipe, size=count, seed=seed)
            add_to_log(KEPT, line)
            print(line, flush=True)
    measured = found()
    PAGE.write_text(page(measured), encoding="utf-8")
    TABLE.write_text(evidence(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
