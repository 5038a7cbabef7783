"""What could be saved beside the network: reading and tokenising before a training, and the parts of an optimiser's update.

python benchmarks/contestants/around_products.py --row sst2
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

sys.path.insert(0, str(Path(__file__).parents[1]))
from corpora import DATA
from quality import ROWS

from headway import pretrained
from headway.config import read_config
from headway.encoder import Encoder
from headway.jobs.corpus import find_files, read_corpus
from headway.tasks import TASKS

TIMES = 30


def seconds(call: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    found = call()
    return round(time.perf_counter() - began, 2), found


def milliseconds(call: Callable[[], object]) -> float:
    """In the mean of many, after one that gets the memory."""
    call()
    began = time.perf_counter()
    for _ in range(TIMES):
        call()
    return round((time.perf_counter() - began) / TIMES * 1e3, 2)


def before_training(row: str) -> dict[str, float]:
    config = read_config(None, [*ROWS[row].settings, "split.dev=0"])
    reading, corpus = seconds(lambda: read_corpus(find_files(config, data=DATA / ROWS[row].train, dev=None, test=None), config))
    source = pretrained.find("minilm")
    tokenizer = pretrained.load_tokenizer(source)
    limit = pretrained.longest_window(tokenizer, pretrained.load_config(source))
    task = TASKS[corpus.task].learn(corpus.train, config, limit=limit)
    tokenising, windows = seconds(lambda: task.windows(corpus.train, tokenizer))
    return {"reading_s": reading, "tokenising_s": tokenising, "windows": len(windows)}


def optimizer_parts() -> dict[str, float]:
    """Of the bundled encoder in bf16, whose table is updated by rows and not counted."""
    source = pretrained.find("minilm")
    encoder = Encoder(pretrained.load_network(source, AutoModelForSequenceClassification, pretrained.load_config(source)))
    named = [weight for name, weight in encoder.network.named_parameters() if weight is not encoder.table().weight]
    masters = [weight.detach().float().clone().requires_grad_() for weight in named]
    encoder.network.to(torch.bfloat16)
    given = [torch.randn_like(weight) * 1e-3 for weight in named]
    for master, gradient in zip(masters, given, strict=True):
        master.grad = gradient.float()
    gradients = [master.grad for master in masters]
    adam = torch.optim.AdamW(masters, lr=1e-4, fused=True)
    return {
        "gradients_to_fp32_ms": milliseconds(lambda: torch._foreach_copy_(gradients, given)),
        "norm_ms": milliseconds(lambda: torch.nn.utils.get_total_norm(gradients)),
        "clipping_ms": milliseconds(lambda: torch._foreach_mul_(gradients, torch.tensor(1.0))),
        "adamw_ms": milliseconds(adam.step),
        "masters_to_bf16_ms": milliseconds(lambda: torch._foreach_copy_([weight.data for weight in named], [m.data for m in masters])),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", default="sst2", choices=[name for name in ROWS if name != "sms_spam"])
    given = parser.parse_args()
    print(json.dumps({"row": given.row, **before_training(given.row), **optimizer_parts()}))
