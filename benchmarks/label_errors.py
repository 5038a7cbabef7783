"""Wrong labels that `headway audit` suspects, against those that are known or planted; and what training without them gives.

    python benchmarks/label_errors.py noise --rows trec,banking77        # labels flipped at random: precision and recall
    python benchmarks/label_errors.py noise --rows go_emotions --limit 5000   # the same of sets of labels
    python benchmarks/label_errors.py conll                              # conll2003's test labels against conllpp's corrections
    python benchmarks/label_errors.py entities                           # entities given another type or taken out
    python benchmarks/label_errors.py imdb                               # against what five people said of 1,310 reviews
    python benchmarks/label_errors.py retrain --rows trec --share 0.1    # the score with flipped, without suspected, with mended labels

Each prints a table in Markdown. Data is looked for in ../shared/data (see corpora.py). What was measured is kept, a line each in
build/label_errors.jsonl, and not done again: --anew measures anew. --limit takes so many rows only.
"""

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from audit import NER, SEED, records, table
from corpora import DATA, load

from headway import label_errors, model, pretrained
from headway.config import Data, read_config
from headway.events import Finished
from headway.folders import add_to_log, read_log
from headway.jobs.train import train
from headway.records import Record, Span
from headway.tasks import TASKS

KEPT = Path("build/label_errors.jsonl")


def kept(arguments: argparse.Namespace, key: str, measure: Callable[[], object]) -> object:
    """What `measure` gives, or gave before: a line of KEPT for each key, limit and settings."""
    key = " ".join([key, *(f"limit={arguments.limit}" for _ in range(arguments.limit is not None)), *(arguments.set or [])])
    known = {} if arguments.anew else dict(read_log(KEPT))
    if key not in known:
        found = measure()
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        add_to_log(KEPT, [key, found])
        known[key] = json.loads(json.dumps(found))
        print(key, str(found)[:200], file=sys.stderr, flush=True)
    return known[key]


# --- label errors


def suspects(rows: list[Record], task_name: str) -> tuple[list, float]:
    """The suspected labels, the surest first, and the seconds it took."""
    config = read_config(None, [])
    source = pretrained.find("minilm")
    limit = pretrained.longest_window(pretrained.load_tokenizer(source), pretrained.load_config(source))
    began = time.perf_counter()
    started = model.start(TASKS[task_name].learn(rows, config, limit=limit), source, config, Data(task=task_name))
    started.cast(config.train.precision)
    events = list(label_errors.find_label_errors(started, rows, seed=SEED))
    return [event for event in events if isinstance(event, label_errors.Suspect)], time.perf_counter() - began


def flipped(rows: list[Record], share: float, seed: int) -> tuple[list[Record], set[int]]:
    """A share of the labels replaced by another class, each as likely; of a set of labels one, by one that is not in it."""
    generator = random.Random(seed)
    names = sorted({name for record in rows for name in _names(record.label)})
    wrong = set(generator.sample(range(len(rows)), round(share * len(rows))))
    other = {n: generator.choice([name for name in names if name not in _names(rows[n].label)]) for n in sorted(wrong)}
    labels = [_with(record.label, other[n], generator) if n in wrong else record.label for n, record in enumerate(rows)]
    return [replace(record, label=label) for record, label in zip(rows, labels, strict=True)], wrong


def _names(label: str | tuple[str, ...]) -> tuple[str, ...]:
    return label if isinstance(label, tuple) else (label,)


def _with(label: str | tuple[str, ...], other: str, generator: random.Random) -> str | tuple[str, ...]:
    """The label, or one of a set of them, replaced by the other."""
    if not isinstance(label, tuple):
        return other
    left_out = generator.choice(label) if label else None
    return (*(name for name in label if name != left_out), other)


def corpus_records(name: str, part: str = "train", *, limit: int | None = None) -> list[Record]:
    """Of many, `limit` drawn at random: files may be sorted by class."""
    texts = getattr(load(name), part)
    chosen = range(len(texts)) if limit is None else sorted(random.Random(SEED).sample(range(len(texts)), min(limit, len(texts))))
    return [Record(texts[n].text, label=texts[n].label, where=f"{part}:{n}") for n in chosen]


QUALITY = ["wrong", "flagged", "precision", "recall", "precision of as many as are wrong", "seconds"]


def noise(arguments: argparse.Namespace) -> str:
    def measure(clean: list[Record], share: float) -> list:
        noisy, wrong = flipped(clean, share, SEED)
        flagged, seconds = suspects(noisy, "classification")
        return [len(wrong), *_quality([s.record for s in flagged], wrong), f"{seconds:.0f}"]

    rows = []
    for name in arguments.rows.split(","):
        clean = corpus_records(name, limit=arguments.limit)
        for share in (0.05, 0.1, 0.2):
            found = kept(arguments, f"noise {name} {share}", partial(measure, clean, share))
            rows.append([f"{name}, {share:.0%} flipped", *found])
    return table(["data", *QUALITY], rows)


def _quality(flagged: list[int], wrong: set[int]) -> tuple[str, ...]:
    """Flagged positions, the surest first, against the wrong ones."""
    hits = [position in wrong for position in flagged]
    first = hits[: len(wrong)]
    return (
        f"{len(hits):,}",
        f"{sum(hits) / max(len(hits), 1):.3f}",
        f"{sum(hits) / len(wrong):.3f}",
        f"{sum(first) / max(len(first), 1):.3f}",
    )


def conll(arguments: argparse.Namespace) -> str:
    """Sentences of conll2003's test set that conllpp changes, against sentences with a suspected word."""
    given, corrected = (records(file)[: arguments.limit] for file in ("conll2003/eng.testb", "conllpp/conllpp_test.txt"))
    wrong = {n for n, (old, new) in enumerate(zip(given, corrected, strict=True)) if old.entities != new.entities}
    found = kept(arguments, "conll", lambda: _of_sentences(given, wrong))
    return table(["sentences", *QUALITY], [["conll2003 testb against conllpp", *found]])


def _of_sentences(rows: list[Record], wrong: set[int]) -> list:
    flagged, seconds = suspects(rows, NER)
    return [len(wrong), *_quality(list(dict.fromkeys(suspect.record for suspect in flagged)), wrong), f"{seconds:.0f}"]


ENTITIES = {"wnut17": "wnut17/wnut17train.conll", "masakhaner_swa": "masakhaner_swa/dev.txt"}


def misread(rows: list[Record], share: float, seed: int) -> tuple[list[Record], set[int]]:
    """A share of the entities given another type or, every other one, taken out; and which records these are in."""
    generator = random.Random(seed)
    types = sorted({span.label for record in rows for span in record.entities})
    places = [(n, span) for n, record in enumerate(rows) for span in record.entities]
    wrong: dict[int, dict[Span, Span | None]] = {}
    for number, (n, span) in enumerate(generator.sample(places, round(share * len(places)))):
        other = replace(span, label=generator.choice([name for name in types if name != span.label]))
        wrong.setdefault(n, {})[span] = other if number % 2 else None
    changed = [
        replace(record, entities=tuple(new for span in record.entities if (new := wrong.get(n, {}).get(span, span)) is not None))
        for n, record in enumerate(rows)
    ]
    return changed, set(wrong)


def entities(arguments: argparse.Namespace) -> str:
    """Entities given another type or taken out at random: sentences with a suspected word against those with a changed entity."""
    rows = []
    for name, file in ENTITIES.items():
        for share in (0.05, 0.1):
            noisy = misread(records(file)[: arguments.limit], share, SEED)
            found = kept(arguments, f"entities {name} {share}", partial(_of_sentences, *noisy))
            rows.append([f"{name}, {share:.0%} of the entities", *found])
    return table(["sentences", *QUALITY], rows)


def imdb(arguments: argparse.Namespace) -> str:
    """Of the reviews that people looked at: wrong are those of which three of five say the other class.

    The reviewed ones were chosen because a model disagreed with their labels, so they are harder than most; they are predicted
    together with the 2,000 training reviews.
    """
    with (DATA / "imdb/test_reviewed.csv").open(encoding="utf-8", newline="") as file:
        reviewed = list(csv.DictReader(file))[: arguments.limit]
    train = corpus_records("imdb", limit=arguments.limit)
    rows = train + [Record(row["text"], label=row["given_label"]) for row in reviewed]
    wrong = {len(train) + n for n, row in enumerate(reviewed) if int(row["votes_other"]) >= 3}
    right = {len(train) + n for n, row in enumerate(reviewed) if int(row["votes_given"]) >= 3}

    def measure() -> list:
        flagged, seconds = suspects(rows, "classification")
        settled = [suspect.record for suspect in flagged if suspect.record in wrong | right]
        return [len(wrong), *_quality(settled, wrong), f"{seconds:.0f}"]

    line = [f"imdb, {len(wrong | right)} reviews with a majority", *kept(arguments, "imdb", measure)]
    return table(["reviews", *QUALITY], [line])


# --- training with mended labels


SEEDS = (1, 2, 3)


def retrain(arguments: argparse.Namespace) -> str:
    """Test accuracy after training on the labels as they are given, without the suspected, and with these replaced by the suggestion.

    By the default recipe, but for dev: nothing is held out, as labels of dev would be wrong too. The mean over seeds.
    """
    share, name, limit = arguments.share, arguments.rows, arguments.limit
    clean, test = corpus_records(name, limit=limit), corpus_records(name, "test", limit=limit)
    noisy, wrong = flipped(clean, share, SEED) if share else (clean, set())
    key = f"retrain {name} {share}"
    suspected = kept(arguments, f"{key} suspects", lambda: [[s.record, s.suggested] for s in suspects(noisy, "classification")[0]])
    better = dict(suspected)
    variants = {
        f"{share:.0%} flipped" if share else "as it is": noisy,
        "without suspected": [record for n, record in enumerate(noisy) if n not in better],
        "suspected replaced": [replace(record, label=better.get(n, record.label)) for n, record in enumerate(noisy)],
    }
    right = {}
    for variant, chosen in variants.items():
        of_seeds = [kept(arguments, f"{key} {variant} seed {seed}", partial(_right, chosen, test, seed, arguments.set)) for seed in SEEDS]
        right[variant] = np.mean(of_seeds, axis=0)
    first = next(iter(right.values()))
    rows = [
        (variant, f"{len(variants[variant]):,}", _with_interval(hits), "" if hits is first else _with_interval(hits - first, sign="+"))
        for variant, hits in right.items()
    ]
    head = [f"{name}, trained on", "rows", f"test accuracy, mean of {len(SEEDS)} seeds (95%)", "gain over the first, paired (95%)"]
    return table(head, rows) + f"\n\n{len(wrong)} flipped, {len(better)} suspected, {len(wrong & better.keys())} of these flipped."


def _right(rows: list[Record], test: list[Record], seed: int, settings: list[str] | None) -> list[int]:
    """1 for each test example that a model trained on `rows` gets right, else 0; so for classes that `rows` do not hold."""
    with tempfile.TemporaryDirectory() as folder:
        files = {part: Path(folder) / f"{part}.csv" for part in ("train", "test")}
        _write_rows(files["train"], rows)
        known = {record.label for record in rows}
        _write_rows(files["test"], [record for record in test if record.label in known])
        config = read_config(None, ["split.dev=0", f"train.seed={seed}", "audit.allow=all", "data.kind=single", *(settings or [])])
        events = list(train(files["train"], test=files["test"], out=Path(folder) / "run", config=config))
        run = next(event.folder for event in events if isinstance(event, Finished))
        answers = map(json.loads, (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines())
        return [int(record.label in known and (answer := next(answers))["gold"] == answer["label"]) for record in test]


def _write_rows(path: Path, rows: list[Record]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((record.text, record.label) for record in rows)])


def _with_interval(values: np.ndarray, *, sign: str = "") -> str:
    """Mean and 95% percentile bootstrap over the test examples (Efron 1979), 2,000 resamples."""
    generator = np.random.default_rng(SEED)
    means = values[generator.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


PARTS = {part.__name__: part for part in (noise, conll, entities, imdb, retrain)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rows", default="trec")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--set", action="append")
    given = parser.parse_args()
    print(PARTS[given.part](given))
