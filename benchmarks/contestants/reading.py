"""Tokens a second that Headway's network reads, tokenised beforehand, in sequences as long as those of a data set.

python benchmarks/contestants/reading.py --row sst2 --encoder build/shapes/bert-base [--device cuda]

The last line is JSON. Weights need not be good: what is read is not looked at.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from quality import ROWS, files_of

from headway.config import read_config
from headway.jobs.corpus import find_files, read_corpus
from headway.jobs.start import start

WARM_UP = 500  # windows
SECONDS = 5.0  # that reading goes on for at least


def read(row: str, settings: list[str]) -> dict:
    """Read the training windows over and over, in what precision Headway thinks best."""
    with tempfile.TemporaryDirectory() as folder:
        config = read_config(None, [*ROWS[row].settings, "split.dev=0", *settings])
        started = start(read_corpus(find_files(config, data=files_of(row, Path(folder))["data"], dev=None, test=None), config), config)
    model, windows = started.model, started.train
    model.cast(config.train.precision)
    model.decisions(windows[:WARM_UP])
    began, rounds = time.perf_counter(), 0
    while not rounds or time.perf_counter() - began < SECONDS:
        model.decisions(windows)
        rounds += 1
    seconds, tokens = time.perf_counter() - began, rounds * sum(map(len, windows))
    return {"row": row, "tokens_per_second": round(tokens / seconds), "mean_length": round(sum(map(len, windows)) / len(windows), 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", required=True)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    settings = [f"model.base_model={given.encoder}", f"train.device={given.device}", "model.head=random"]
    print(json.dumps(read(given.row, settings)))
