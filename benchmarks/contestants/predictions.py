"""Texts a second that a trained classifier answers: Headway, transformers' pipeline or ONNX Runtime, loaded before the clock starts.

    python benchmarks/contestants/predictions.py --engine pipeline --model MODEL --texts test.csv --batch-size 32 --dtype bfloat16

MODEL is a model folder with a stock head, which all three load; the last line is JSON. The labels are hashed, so that it shows whether
everybody answers the same.
"""

import argparse
import csv
import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

Answers = Callable[[list[str]], list[str]]


def headway(model: Path, *, batch_size: int | None, dtype: str) -> Answers:
    from headway.model import load

    loaded = load(model, precision={"float32": "fp32", "bfloat16": "bf16"}[dtype], token_budget=batch_size or "auto")
    return lambda texts: [prediction.label for prediction in loaded.predict(texts)]


def pipeline(model: Path, *, batch_size: int | None, dtype: str) -> Answers:
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(model), dtype=dtype, device="cpu")
    return lambda texts: [row["label"] for row in classify(texts, batch_size=batch_size or 1, truncation=True, max_length=512)]


def onnx(model: Path, *, batch_size: int | None, dtype: str) -> Answers:
    """Batches of texts sorted by length, padded to the longest: the best that a careful user gets out of ONNX Runtime."""
    import onnxruntime
    from transformers import AutoConfig, AutoTokenizer

    tokenizer, names = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model).id2label
    session = onnxruntime.InferenceSession(_exported(model), providers=["CPUExecutionProvider"])
    rows, wanted = batch_size or 32, {given.name for given in session.get_inputs()}

    def answers(texts: list[str]) -> list[str]:
        found = np.empty(len(texts), dtype=object)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for first in range(0, len(order), rows):
            numbers = order[first : first + rows]
            batch = tokenizer([texts[n] for n in numbers], padding=True, truncation=True, max_length=512, return_tensors="np")
            (logits,) = session.run(["logits"], {name: array for name, array in batch.items() if name in wanted})
            found[numbers] = [names[column] for column in logits.argmax(-1)]
        return found.tolist()

    return answers


def _exported(model: Path) -> str:
    """The file of the exported network, made beside the model the first time."""
    import torch
    from transformers import AutoModelForSequenceClassification

    path = model / "model.onnx"
    if not path.is_file():
        network = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
        ids = torch.randint(5, 900, (2, 16))
        torch.onnx.export(
            network,
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask", "token_type_ids"],
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in ("input_ids", "attention_mask", "token_type_ids")},
            dynamo=False,
        )
    return str(path)


ENGINES = {"headway": headway, "pipeline": pipeline, "onnx": onnx}


def texts_of(path: Path, rows: int | None) -> list[str]:
    """The texts of an AG News file, title and description, over and over where more rows are asked for than it has."""
    with path.open(encoding="utf-8", newline="") as file:
        texts = [" ".join(row[1:]) for row in csv.reader(file)]
    return [texts[number % len(texts)] for number in range(rows or len(texts))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--rows", type=int)
    parser.add_argument(
        "--batch-size", type=int, help="of texts, and for headway of tokens; by default 1, 32 for onnx, and what headway thinks best"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    given = parser.parse_args()
    answers = ENGINES[given.engine](given.model, batch_size=given.batch_size, dtype=given.dtype)
    texts = texts_of(given.texts, given.rows)
    answers(texts[:200])
    began = time.perf_counter()
    found = answers(texts)
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "rows": len(texts),
                "seconds": round(seconds, 3),
                "rows_per_second": round(len(texts) / seconds, 1),
                "labels": dict(sorted(Counter(found).items())),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
