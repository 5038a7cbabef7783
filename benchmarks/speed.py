"""How fast Headway trains, predicts and starts, next to its peers: in turn in one run, on the same data, encoder, batch size and epochs.

    make bench                                        all of it on an idle machine, about three hours; writes benchmarks/speed.md
    python benchmarks/speed.py --parts step --rows sst2 --repeats 1
    python benchmarks/speed.py --parts gpu            on a GPU, with networks of usual sizes; without one nothing is done
    python benchmarks/speed.py --page                 the page again, from build/speed.jsonl

What is in build/speed.jsonl is not measured again: a run that was stopped goes on, and without that file all begins anew. A part that
was not measured keeps its section of the page.
Every measurement is a process of its own whose last line is JSON; but for the part gpu, one that sees no GPU. Peers run in environments
of their own (peers/): simpletransformers and Flair do not work with transformers 5.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from corpora import DATA
from equality import BATCH_SIZES
from shapes import SHAPES
from speed_page import READING, page, where

HERE = Path(__file__).parent
RESULTS = Path("build/speed.jsonl")
PAGE = HERE / "speed.md"
OURS = sys.executable
ENVIRONMENTS = os.environ.get("PEERS", "build/peers")
PEERS, OLDER, SETFIT = (f"{ENVIRONMENTS}/{name}/bin/python" for name in ("transformers-5", "transformers-4", "setfit"))
STEP_ROWS = ("sst2", "conll2003", "squad_v1.1")
SCORE_ROWS = ("sst2", "banking77", "conll2003")
UPDATES = {"Headway": 100, "Trainer, best flags": 100, "Trainer, flags of run_*": 12}  # others, whose updates are all alike: 25
PEAK = {"cpu": [OURS, "contestants/peak.py"], "gpu": [OURS, "contestants/peak.py", "--device", "cuda"]}
MODEL, AGNEWS = Path("build/agnews-model"), DATA / "agnews"


class Measurement(NamedTuple):
    part: str
    row: str
    contestant: str
    command: list[str]


def steps(rows: tuple[str, ...]) -> Iterator[Measurement]:
    """Updates of training."""
    for row in rows:
        contestants = {
            "Headway": [OURS, "contestants/headway_steps.py", "--row", row],
            "Trainer, best flags": [PEERS, "trainer_baseline.py", "--rows", row, "--flags", "best"],
            "Trainer, flags of run_*": [PEERS, "trainer_baseline.py", "--rows", row, "--flags", "default"],
            "simpletransformers": [OLDER, "contestants/simpletransformers_steps.py", "--row", row],
            "Flair": [OLDER, "contestants/flair_steps.py", "--row", row],
        }
        for name, command in contestants.items():
            if not (name == "Flair" and row == "squad_v1.1"):  # Flair answers no questions
                yield Measurement("step", row, name, [*command, "--updates", str(UPDATES.get(name, 25))])


def scores(rows: tuple[str, ...]) -> Iterator[Measurement]:
    """Whole trainings, until they score as Trainer does after three epochs."""
    for row in rows:
        trainer = [PEERS, "trainer_baseline.py", "--rows", row, "--epochs"]
        yield Measurement("score", row, "Trainer, best flags", [*trainer, "3"])
        yield Measurement("score", row, "Trainer, best flags, 1 epoch at 3e-4", [*trainer, "1", "--learning-rate", "3e-4"])
        for epochs in (0.9, 1, 2, 3) if row == "conll2003" else (0, 1, 2, 3):  # 0: a layer fitted on frozen features, for classes
            command = [OURS, "quality.py", "--rows", row, "--set", f"train.epochs={epochs}"]
            yield Measurement("score", row, f"Headway, {epochs} epochs", command)
        if row != "conll2003":  # SetFit knows no entities; of the pairs that there are, one alike and one unlike for each text
            command = [SETFIT, "contestants/setfit_scores.py", "--row", row, "--iterations", "1"]
            yield Measurement("score", row, "SetFit, 2 pairs a text", command)


def predictions(_rows: tuple[str, ...]) -> Iterator[Measurement]:
    """The test file of AG News, 7,600 rows."""
    _make_model()
    common = ["contestants/predictions.py", "--model", str(MODEL / "model"), "--texts", str(AGNEWS / "test.csv")]
    yield Measurement("predict", "agnews", "Headway", [OURS, *common, "--engine", "headway", "--dtype", "bfloat16"])
    for dtype in ("float32", "bfloat16"):
        for size in (1, 8, 32):
            command = [PEERS, *common, "--engine", "pipeline", "--dtype", dtype, "--batch-size", str(size)]
            yield Measurement("predict", "agnews", f"pipeline, {dtype}, {size} a batch", command)
    for size in (8, 32):
        command = [PEERS, *common, "--engine", "onnx", "--batch-size", str(size)]
        yield Measurement("predict", "agnews", f"ONNX Runtime, float32, {size} a batch, sorted", command)


def starts(_rows: tuple[str, ...]) -> Iterator[Measurement]:
    """A cold `headway predict` of one line, and the libraries' share of it."""
    _make_model()
    yield Measurement("start", "agnews", "headway predict", [OURS, "-m", "headway", "predict", str(MODEL), "Stocks fall as oil rises"])
    classes, folder = "AutoModelForSequenceClassification, AutoTokenizer", str(MODEL / "model")
    imports = f"import torch, sklearn.linear_model; from transformers import {classes}; print('{{}}')"
    loading = f"[kind.from_pretrained({folder!r}) for kind in ({classes})]; {imports.split('; ')[-1]}"
    alone, with_model = imports, "; ".join([*imports.split("; ")[:-1], loading])
    yield Measurement("start", "agnews", "the same imports alone", [OURS, "-c", alone])
    yield Measurement("start", "agnews", "the same imports, and loading in plain transformers", [OURS, "-c", with_model])
    yield Measurement("start", "agnews", "headway --help", [OURS, "-m", "headway", "--help"])


def growth(_rows: tuple[str, ...]) -> Iterator[Measurement]:
    """Prediction of a file with ten times more rows, three times over."""
    _make_model()
    for rows in (1_000, 10_000, 100_000, 1_000_000):
        command = [OURS, "contestants/growth.py", "--model", str(MODEL), "--texts", str(AGNEWS / "test.csv"), "--rows", str(rows)]
        yield Measurement("growth", "agnews", f"{rows:,} rows", command)


def kernels(rows: tuple[str, ...]) -> Iterator[Measurement]:
    """Where the time of training and of prediction goes."""
    _make_model()
    for row in rows:
        yield Measurement("kernels", row, "an update", [OURS, "contestants/kernel_shares.py", "--row", row])
    predicting = ["--model", str(MODEL / "model"), "--texts", str(AGNEWS / "test.csv")]
    yield Measurement("kernels", "agnews", "a prediction", [OURS, "contestants/kernel_shares.py", *predicting])


def on_gpu(rows: tuple[str, ...]) -> Iterator[Measurement]:
    """Updates of networks of usual sizes, and how fast they read what was tokenised beforehand."""
    if measure(Measurement("gpu", "", "peak", PEAK["gpu"])).get("error"):
        return
    for shape in SHAPES:
        for row in rows:
            encoder, size = str(_make_shape(shape)), BATCH_SIZES[row]
            ours = [OURS, "contestants/headway_steps.py", "--row", row, "--updates", "100", "--set", f"model.base_model={encoder}"]
            ours += ["--set", f"train.batch_size={size}", "--set", "model.head=random"]
            peer = [PEERS, "trainer_baseline.py", "--rows", row, "--flags", "best", "--updates", "100", "--encoder", encoder]
            read = [OURS, "contestants/reading.py", "--row", row, "--encoder", encoder]
            yield Measurement("gpu", f"{shape}, {row}", "Headway", ours)
            yield Measurement("gpu", f"{shape}, {row}", "Headway, compiled layers", [*ours, "--set", "train.compile=true"])
            yield Measurement("gpu", f"{shape}, {row}", "Trainer, best flags", peer)
            yield Measurement("gpu", f"{shape}, {row}", READING, read)


PARTS: dict[str, Callable[[tuple[str, ...]], Iterator[Measurement]]] = {
    "step": steps,
    "score": scores,
    "predict": predictions,
    "start": starts,
    "growth": growth,
    "kernels": kernels,
    "gpu": on_gpu,
}
REPEATS = {"score": 1, "growth": 1, "kernels": 1, "predict": 3, "start": 5, "step": 3, "gpu": 3}
ROWS = {"step": STEP_ROWS, "kernels": STEP_ROWS, "score": SCORE_ROWS, "gpu": ("sst2", "squad_v1.1")}


def _make_model() -> None:
    """A classifier of AG News with a stock head, which all engines load."""
    if not (MODEL / "scores.json").is_file():
        settings = ["--set", "model.pooling=first", "--set", "train.epochs=0.2", "--set", "split.dev=0.05"]
        subprocess.run([OURS, "-m", "headway", "train", str(AGNEWS / "train_5k.csv"), "--out", str(MODEL), *settings], check=True)


def _make_shape(shape: str) -> Path:
    folder = Path("build/shapes") / shape
    if not (folder / "tokenizer.json").is_file():
        subprocess.run([OURS, str(HERE / "shapes.py"), shape, "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


def measure(measurement: Measurement) -> dict:
    """What a process says of itself, and what it took as a whole."""
    began = time.perf_counter()
    seen = os.environ if measurement.part == "gpu" else os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(_found(measurement.command), capture_output=True, text=True, env=seen)
    seconds = time.perf_counter() - began
    line = (done.stdout.strip().splitlines() or ["{}"])[-1]
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    return (json.loads(line) if line.startswith("{") else {}) | {"process_seconds": round(seconds, 3)}


def _found(command: list[str]) -> list[str]:
    """With the scripts where they are."""
    return [str(HERE / word) if word.endswith(".py") and (HERE / word).is_file() else word for word in command]


def as_typed(command: list[str]) -> str:
    """For a shell in the root of the repository."""
    root = HERE.parent
    words = ("python" if word == OURS else os.path.relpath(word, root) if Path(word).is_absolute() else word for word in _found(command))
    return shlex.join(words)


def run(parts: list[str], rows: tuple[str, ...] | None, repeats: int | None) -> None:
    """All measurements of a part once, then all of them again, so that whatever else the machine does meets everybody."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    measured = {(line["turn"], line["part"], line["row"], line["contestant"]) for line in _results()}
    for part in parts:
        chosen = rows or ROWS.get(part, ())
        for turn in range(repeats or REPEATS[part]):
            missing = [x for x in PARTS[part](chosen) if (turn, *x[:3]) not in measured]
            peak = measure(Measurement(part, "", "peak", PEAK.get(part, PEAK["cpu"]))) if missing else {}
            for measurement in missing:
                found = measure(measurement)
                about = {"command": as_typed(measurement.command), "turn": turn, "peak": peak, "where": where()}
                line = {**measurement._asdict(), **about, **found}
                with RESULTS.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                said = {name: found[name] for name in ("error", "rows_per_second", "process_seconds", "peak_mb") if name in found}
                print(turn, measurement.part, measurement.row, measurement.contestant, said, flush=True)


def _results() -> list[dict]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rows", help="of step, kernels and score; names from corpora.py, separated by commas")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    if not given.page:
        run(given.parts.split(","), tuple(given.rows.split(",")) if given.rows else None, given.repeats)
    PAGE.write_text(page(_results(), before=PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""), encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
