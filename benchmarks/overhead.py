"""What a training costs beside the training: audit, baselines, intervals, slices and report, in seconds.

    python benchmarks/overhead.py --rows mrpc,sms_spam,trec,conll2003      makes what is missing, and writes benchmarks/overhead.md
    python benchmarks/overhead.py --runs runs/a runs/b                     of runs that there are; writes nothing

A row is `headway train` with the defaults and the settings that quality.py names. The seconds are those that data.json has, on the wall
clock; the report is made once more to measure it. A row that was measured is a line of build/overhead.jsonl, and is not measured again
with the same settings.
"""

import argparse
import json
import platform
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from quality import ROWS, files_of

from headway.config import read_config
from headway.jobs.report import write_report
from headway.jobs.train import train

BESIDE = ("audit", "baselines", "score", "tell", "report")  # what a bare training would do without
WANTED, SMALL = 0.1, 60.0  # of training; or not more seconds than that
KEPT = Path("build/overhead.jsonl")
PAGE = Path(__file__).with_name("overhead.md")


def seconds_of(name: str, settings: list[str]) -> dict[str, float]:
    """Of a training as `quality.py` makes it."""
    row = ROWS[name]
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(name, Path(folder))
        run = Path(folder) / "run"
        list(train(files.pop("data"), **files, out=run, config=read_config(None, [*row.settings, *settings])))
        written, began = json.loads((run / "data.json").read_text())["seconds"], time.monotonic()
        list(write_report(run))
        return written | {"report": round(time.monotonic() - began, 3)}


def measured(names: list[str], settings: list[str]) -> list[dict]:
    """Of each row, made where it is missing."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.is_file() else []
    found = {line["row"]: line for line in kept if line["settings"] == settings}
    for name in (name for name in names if name not in found):
        found[name] = {"row": name, "settings": settings, "seconds": seconds_of(name, settings), **machine()}
        KEPT.parent.mkdir(exist_ok=True)
        with KEPT.open("a") as file:
            file.write(json.dumps(found[name]) + "\n")
        print(line(name, found[name]["seconds"]), flush=True)
    return [found[name] for name in names]


def machine() -> dict[str, str]:
    return {
        "day": date.today().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, headway {version('headway')}",
    }


def beside(seconds: dict[str, float]) -> float:
    return sum(seconds.get(phase, 0.0) for phase in BESIDE)


def verdict(seconds: dict[str, float]) -> str:
    """As it is wanted: a small share, or else, on small data, few seconds."""
    if beside(seconds) < WANTED * seconds["train"]:
        return f"under {WANTED:.0%}"
    return f"under {SMALL:.0f} s" if beside(seconds) < SMALL else "too much"


def line(name: str, seconds: dict[str, float]) -> str:
    spent = " · ".join(f"{phase} {spent:.1f}" for phase, spent in seconds.items())
    return f"{name}: {beside(seconds):.1f} s, {beside(seconds) / seconds['train']:.1%} of training ({verdict(seconds)}) · {spent}"


def cells(one: dict) -> list[str]:
    seconds = one["seconds"]
    spent = [f"{seconds.get(phase, 0.0):.1f}" for phase in ("train", *BESIDE)]
    together = [f"{beside(seconds):.1f}", f"{beside(seconds) / seconds['train']:.1%}", verdict(seconds)]
    return [one["row"], *spent, *together, one["day"]]


def page(found: list[dict]) -> str:
    names = ",".join(one["row"] for one in found)
    settings = "".join(f" --set {setting}" for setting in found[0]["settings"])
    rows = [f"| {' | '.join(cells(one))} |" for one in found]
    where = "; ".join(dict.fromkeys(f"{one['machine']}, {one['versions']}" for one in found))
    return f"""# What a training costs beside the training

Seconds of `headway train` with its defaults. Wanted: under {WANTED:.0%} of the training, and on small data never over {SMALL:.0f} seconds.

```
python benchmarks/overhead.py --rows {names}{settings}
```

{where}.

| data | training | {" | ".join(BESIDE)} | together | of training | | measured |
|---|{"--:|" * (len(BESIDE) + 3)}---|---|
{chr(10).join(rows)}

*Training* is all updates and the evaluations between them. *Baselines* learn and answer, the frozen encoder with a linear head among them;
*score* is intervals, slices and the test of the model against the best baseline; *tell* is writing what was found, and *report* the
report with its model card.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="mrpc,sms_spam,trec,conll2003")
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    for run in given.runs:
        print(line(run.name, json.loads((run / "data.json").read_text())["seconds"]))
    if not given.runs:
        given.page.write_text(page(measured(given.rows.split(","), given.settings)), encoding="utf-8")


if __name__ == "__main__":
    main()
