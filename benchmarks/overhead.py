"""What a training costs beside the training: baselines, intervals, slices, audit, in seconds of `headway train` as data.json has them.

python benchmarks/overhead.py --rows conll2003                 under 10% is wanted
python benchmarks/overhead.py --runs runs/a runs/b             of runs that there are
"""

import argparse
import json
import tempfile
from pathlib import Path

from quality import ROWS, files_of

from headway.config import read_config
from headway.jobs.train import train

BESIDE = ("audit", "baselines", "score", "tell")  # what a bare training would do without
WANTED = 0.1


def seconds_of(name: str, settings: list[str]) -> dict[str, float]:
    """Of a training as `quality.py` makes it, with the defaults."""
    row = ROWS[name]
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(name, Path(folder))
        run = Path(folder) / "run"
        list(train(files.pop("data"), **files, out=run, config=read_config(None, [*row.settings, *settings])))
        return json.loads((run / "data.json").read_text())["seconds"]


def line(name: str, seconds: dict[str, float]) -> str:
    beside = sum(seconds.get(phase, 0.0) for phase in BESIDE)
    share = beside / seconds["train"]
    spent = " · ".join(f"{phase} {spent:.1f}" for phase, spent in seconds.items())
    return f"{name}: {share:.1%} of training ({'under' if share < WANTED else 'over'} {WANTED:.0%}) · {spent}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="conll2003")
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    given = parser.parse_args()
    for run in given.runs:
        print(line(run.name, json.loads((run / "data.json").read_text())["seconds"]))
    for name in given.rows.split(",") if not given.runs else ():
        print(line(name, seconds_of(name, given.settings)), flush=True)


if __name__ == "__main__":
    main()
