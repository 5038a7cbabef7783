"""Seconds of each update of a Headway training, on the data, encoder and batch size of trainer_baseline.py.

python benchmarks/contestants/headway_steps.py --row sst2 --updates 25 [--set train.row_updates=false]
"""

import argparse
import itertools
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from quality import ROWS, files_of

from headway.config import read_config
from headway.events import Stepped
from headway.jobs.train import train


def time_updates(row: str, *, updates: int, settings: list[str]) -> dict:
    """Drive `headway train` itself, and stop after so many updates."""
    began, times = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(row, Path(folder))
        config = read_config(None, [*ROWS[row].settings, "split.dev=0", *settings])
        for event in train(files["data"], out=Path(folder) / "run", config=config):
            if isinstance(event, Stepped):
                times.append(time.perf_counter())
            if len(times) == updates:
                break
    return {
        "row": row,
        "step_seconds": [round(after - before, 4) for before, after in itertools.pairwise(times)],
        "start_seconds": round(times[0] - began, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_gpu_mb": torch.cuda.max_memory_allocated() // 2**20,  # 0 without
        "tokens_per_second": round(event.tokens_per_second),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", required=True)
    parser.add_argument("--updates", type=int, default=25)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    given = parser.parse_args()
    print(json.dumps(time_updates(given.row, updates=given.updates, settings=given.settings)))
