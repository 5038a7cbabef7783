"""Where the time of Headway's updates, or of its predictions, goes: each kernel's share, by torch's profiler.

python benchmarks/contestants/kernel_shares.py --row sst2                               # updates of a training
python benchmarks/contestants/kernel_shares.py --model MODEL --texts test.csv           # predictions of texts

The last line is JSON. Watching slows small kernels more than products, whose share is a little larger without.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from predictions import texts_of
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[1]))
from quality import ROWS, files_of

from headway.config import read_config
from headway.events import Stepped
from headway.jobs.train import train
from headway.model import load

PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
WARM_UP, WATCHED = 5, 15  # updates
TEXTS = 1_000
SHOWN = 8


def of_updates(row: str) -> profile:
    """Those of `headway train`."""
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(row, Path(folder))
        config = read_config(None, [*ROWS[row].settings, "split.dev=0"])
        events = train(files["data"], out=Path(folder) / "run", config=config)
        updates = (event for event in events if isinstance(event, Stepped))
        for _ in range(WARM_UP):
            next(updates)
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            for _ in range(WATCHED):
                next(updates)
        return watched


def of_predictions(model: Path, texts: list[str]) -> profile:
    """Those of a loaded model."""
    loaded = load(model)
    loaded.predict(texts[:100])
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        loaded.predict(texts)
    return watched


def shares(watched: profile) -> dict[str, float]:
    """Of the time that all kernels take, largest first; matrix products as one."""
    times: Counter[str] = Counter()
    for kernel in watched.key_averages():
        name = kernel.key.removeprefix("aten::")
        times["products" if name in PRODUCTS else name] += kernel.self_cpu_time_total
    return {name: round(taken / times.total(), 4) for name, taken in times.most_common(SHOWN)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--texts", type=Path)
    given = parser.parse_args()
    watched = of_updates(given.row) if given.row else of_predictions(given.model, texts_of(given.texts, TEXTS))
    print(json.dumps({"shares": shares(watched)}))
