"""Whether forecasts come true: `headway forecast` on half of a training set, against what all of it scores on the same dev set.

    python benchmarks/forecast.py --quick --rows sst2,trec,banking77 --halves 1,2,3      frozen features
    python benchmarks/forecast.py --rows sst2,banking77,trec,conll2003,go_emotions       fine-tuned, 12 trainings and 3 more for each half
    python benchmarks/forecast.py --table build/forecast.jsonl

A half is drawn by its seed, stratified. Dev is the data set's own or, where it has none, a fifth of the training set that neither half
nor whole learns from. go_emotions is a seeded part of its rows (SUBSETS). What is done is kept under build/, training by training, and not
done again: the same command goes on where it was stopped. --limit takes so many rows only, to see that it works.
"""

import argparse
import csv
import json
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path

from corpora import Sentence, Text, load

from headway.config import Config, read_config
from headway.curves import COVERAGE
from headway.jobs.corpus import find_files, read_corpus
from headway.jobs.forecast import fitted, forecast
from headway.jobs.forecast.measure import Curves, measure, read_points
from headway.jobs.start import start
from headway.records import Record, Span
from headway.splits import hold_out

ROWS = ("sst2", "banking77", "trec", "conll2003", "go_emotions")
COLUMNS = ("data.text=text", "data.label=label")
SUBSETS = {"go_emotions": (8000, 1500)}  # rows to learn from and to measure on, drawn at random: with all of them it takes three hours
DEV = 0.2  # of the training set, where there is no dev set
WORK = Path("build/forecast")
HOW = {True: "frozen", False: "fine-tuned"}


def as_record(row: Text | Sentence) -> Record:
    """Only what cuts look at: the text and what it is labelled."""
    if isinstance(row, Text):
        return Record(row.text, label=row.label)
    return Record(" ".join(row.tokens), entities=tuple(Span(0, 1, tag[2:]) for tag in row.tags if tag != "O"))


def write(rows: list[Text | Sentence], path: Path) -> Path:
    """A file that Headway reads: CSV for one class, JSONL for several, CoNLL for entities."""
    if isinstance(rows[0], Sentence):
        path = path.with_suffix(".conll")
        sentences = ("".join(f"{token} {tag}\n" for token, tag in zip(row.tokens, row.tags, strict=True)) for row in rows)
        path.write_text("\n".join(sentences), encoding="utf-8")
    elif isinstance(rows[0].label, tuple):
        path = path.with_suffix(".jsonl")
        path.write_text("".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows), encoding="utf-8")
    else:
        path = path.with_suffix(".csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((row.text, row.label) for row in rows)])
    return path


def parts(name: str, limit: int | None) -> tuple[list, list]:
    """The rows to learn from and those to measure on."""
    corpus = load(name)
    train, dev = (limit, limit) if limit else SUBSETS.get(name, (None, None))
    rows = some(corpus.train, train)
    if corpus.dev:
        return rows, some(corpus.dev, dev)
    cut = hold_out([as_record(row) for row in rows], fraction=DEV, seed=1)
    return [rows[i] for i in cut.train], [rows[i] for i in cut.held]


def some(rows: list, count: int | None) -> list:
    """So many of them, drawn at random, in their order."""
    return rows if count is None or count >= len(rows) else [rows[i] for i in sorted(random.Random(1).sample(range(len(rows)), count))]


def settings_of(name: str, settings: list[str]) -> Config:
    columns = () if name == "conll2003" else COLUMNS
    kind = () if name == "conll2003" else (f"data.kind={'multi' if name == 'go_emotions' else 'single'}",)
    return read_config(None, [*columns, *kind, *settings])


def score_of_all(train: Path, dev: Path, folder: Path, *, config: Config, how: str) -> tuple[int, float]:
    """How many records there are, and the mean score of as many trainings on all of them as the forecast makes of each size."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(find_files(config, data=train, dev=dev, test=None), config)
    if len(read_points(folder)) < config.forecast.trainings:
        list(measure(Curves(start(corpus, config), corpus, config, folder, config.forecast.trainings, how, shares=(1,))))
    return len(corpus.train), statistics.mean(measured.point.score for measured in read_points(folder, how=how))


def check(name: str, *, half: int, quick: bool, settings: list[str], limit: int | None = None) -> dict:
    """Forecast from one half, and what came true."""
    began, cpu = time.perf_counter(), time.process_time()
    how = HOW[quick]
    work = WORK / (f"{name}-{how}" + (f"-{limit}" if limit else ""))
    work.mkdir(parents=True, exist_ok=True)
    rows, dev_rows = parts(name, limit)
    kept = hold_out([as_record(row) for row in rows], fraction=0.5, seed=half).train
    files = [write(part, work / stem) for part, stem in ((rows, "all"), (dev_rows, "dev"), ([rows[i] for i in kept], f"half-{half}"))]
    config = settings_of(name, settings)
    list(forecast(files[2], dev=files[1], out=work / f"curve-{half}", config=config, quick=quick))
    records, true = score_of_all(files[0], files[1], work / "score-of-all", config=config, how=how)
    curve = fitted(work / f"curve-{half}")
    points = read_points(work / f"curve-{half}")
    band = curve.at(records)
    return {
        "row": name,
        "how": how,
        "half": half,
        "metric": points[0].metric,
        "settings": settings,
        "limit": limit,
        "learned_from": curve.largest,
        "score_of_half": round(statistics.mean(m.point.score for m in points if m.point.size == curve.largest), 5),
        "records": records,
        "forecast": [round(value, 5) for value in band],
        "true": round(true, 5),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def table(results: Path) -> str:
    """Error and band of every data set, and over all of them, as Markdown."""
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    by_row = defaultdict(list)
    for line in lines:
        by_row[line["how"], line["row"]].append(line)
    shown = [
        "| data | how | metric | records | halves | score of half | score of all | forecast | error | no growth | half a band | held |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (how, row), found in by_row.items():
        first = found[0]
        numbers = [f"{statistics.mean(values):.3f}" for values in (half_scores(found), truths(found), forecasts(found))]
        points = [f"{100 * statistics.mean(values):.1f}" for values in (errors(found), growths(found), margins(found))]
        cells = [
            row,
            how,
            first["metric"],
            f"{first['records']:,}",
            str(len(found)),
            *numbers,
            *points,
            f"{sum(held(found))} of {len(found)}",
        ]
        shown.append("| " + " | ".join(cells) + " |")
    for how in dict.fromkeys(line["how"] for line in lines):
        of_how = [line for line in lines if line["how"] == how]
        mean, margin = 100 * statistics.mean(errors(of_how)), 100 * statistics.mean(margins(of_how))
        kept = f"{sum(held(of_how))} of {len(of_how)} in their {COVERAGE:.0%} band, which is ± {margin:.1f} wide in the mean"
        shown += ["", f"{how}: {mean:.2f} points off in the mean, {kept}"]
    return "\n".join(shown)


def half_scores(found: list[dict]) -> list[float]:
    return [line["score_of_half"] for line in found]


def truths(found: list[dict]) -> list[float]:
    return [line["true"] for line in found]


def forecasts(found: list[dict]) -> list[float]:
    return [line["forecast"][0] for line in found]


def errors(found: list[dict]) -> list[float]:
    return [abs(line["forecast"][0] - line["true"]) for line in found]


def growths(found: list[dict]) -> list[float]:
    """How far off a forecast is that says: as good as half of it."""
    return [abs(line["score_of_half"] - line["true"]) for line in found]


def margins(found: list[dict]) -> list[float]:
    return [(line["forecast"][2] - line["forecast"][1]) / 2 for line in found]


def held(found: list[dict]) -> list[bool]:
    return [line["forecast"][1] <= line["true"] <= line["forecast"][2] for line in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--halves", default="1")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("build/forecast.jsonl"))
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    if given.table:
        print(table(given.table))
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.is_file() else []
    for name in given.rows.split(","):
        for half in map(int, given.halves.split(",")):
            asked = {"row": name, "half": half, "how": HOW[given.quick], "settings": given.settings, "limit": given.limit}
            if any(all(line.get(key) == value for key, value in asked.items()) for line in done):
                print(name, half, "has been done before")
                continue
            result = check(name, half=half, quick=given.quick, settings=given.settings, limit=given.limit)
            with given.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(name, half, result["forecast"], result["true"], f"{result['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
