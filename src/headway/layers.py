"""Which layer a weight is in, and which weights learn."""

import re

import torch
from torch import nn
from transformers import PreTrainedModel

from headway.config import Regularize
from headway.errors import ConfigError

WHOLE_LAYER = re.compile(r"\.(?:layer|layers|h|albert_layers)\.(\d+)$")
LAYER = re.compile(r"\.(?:layer|layers|h|albert_layers)\.(\d+)\.")


def choose(network: nn.Module, regularize: Regularize) -> None:
    """Let learn what is to learn; of the new layers, which are outside of the base model, all does.

    Raises:
        ConfigError: nothing of the base model is as it was asked for.
    """
    freeze(network, regularize.frozen_layers)
    if regularize.parameters == "biases":
        _keep_to_biases(network)
    if regularize.parameters == "lora":
        _keep_to_adapters(network)


def freeze(network: nn.Module, layers: int) -> None:
    """Keep the lowest `layers` layers as they were pretrained, and what lies below them, the embeddings, with them.

    Raises:
        ConfigError: the network has fewer.
    """
    if layers == 0:
        return
    _check_count(network, "frozen_layers", layers)
    for name, weight in network.base_model.named_parameters():
        found = LAYER.search(f".{name}")
        weight.requires_grad_((found is not None and int(found[1]) >= layers) or (found is None and "embed" not in name))


def whole_layers(network: nn.Module) -> list[nn.Module]:
    """The layers of the base model, from the lowest."""
    return [module for name, module in network.base_model.named_modules() if WHOLE_LAYER.search(f".{name}")]


def frozen_parts(network: nn.Module, layers: int) -> list[nn.Module]:
    """The lowest `layers` layers, and the embeddings below them; nothing where no layer is frozen."""
    embeddings = [module for name, module in network.base_model.named_children() if "embed" in name]
    return [*embeddings, *whole_layers(network)[:layers]] if layers else []


def reinitialize(network: PreTrainedModel, layers: int) -> None:
    """Begin the highest `layers` layers anew, and the pooler on them, as a network from scratch would; torch's generator draws.

    Raises:
        ConfigError: the network has fewer.

    Source: Zhang et al. 2021, arXiv:2006.05987.
    """
    if layers == 0:
        return
    _check_count(network, "reinitialized_layers", layers)
    base, first = network.base_model, top_layer(network) + 1 - layers
    anew = [module for name, module in base.named_modules() if (found := WHOLE_LAYER.search(f".{name}")) and int(found[1]) >= first]
    pooler = getattr(base, "pooler", None)
    for module in [*anew, *([pooler] if pooler is not None else [])]:
        for weight in module.parameters():
            weight._is_hf_initialized = False  # or transformers leaves it as it was loaded
        with torch.no_grad():
            module.apply(base._init_weights)


def _check_count(network: nn.Module, setting: str, layers: int) -> None:
    if layers > (there := top_layer(network) + 1):
        raise ConfigError(f"regularize.{setting} = {layers}: the network has {there} {'layer' if there == 1 else 'layers'}")


def _keep_to_biases(network: nn.Module) -> None:
    """Of the base model, let what is added learn, and nothing that is multiplied with.

    Source: Ben Zaken et al. 2022, arXiv:2106.10199 (BitFit).
    """
    weights = dict(network.base_model.named_parameters())
    if not any(name.endswith("bias") for name in weights):
        raise ConfigError('regularize.parameters = "biases": the network has none; leave it away')
    for name, weight in weights.items():
        weight.requires_grad_(weight.requires_grad and name.endswith("bias"))


def _keep_to_adapters(network: nn.Module) -> None:
    for name, weight in network.base_model.named_parameters():
        weight.requires_grad_(weight.requires_grad and ".lora_" in name)


def turns(network: nn.Module, updates: int) -> list[tuple[nn.Parameter, int]]:
    """Each weight that learns, and the update it begins with: the head at once, the lowest after so many, and evenly in between.

    Source: Howard and Ruder 2018, arXiv:1801.06146 (gradual unfreezing).
    """
    top, prefix = top_layer(network), network.base_model_prefix
    depths = [(weight, depth_below_head(name, prefix, top)) for name, weight in network.named_parameters() if weight.requires_grad]
    deepest = max((depth for _, depth in depths), default=0)
    return [(weight, round(updates * depth / max(deepest, 1))) for weight, depth in depths]


def top_layer(network: nn.Module) -> int:
    """The number of the highest layer, from 0; -1 where no weight is in a layer."""
    return max((int(found[1]) for name, _ in network.named_parameters() if (found := LAYER.search(name))), default=-1)


def depth_below_head(name: str, prefix: str, top: int) -> int:
    """0 for the head, 1 for the top layer, one more for each layer down, the embeddings lowest."""
    if not name.startswith(prefix + "."):
        return 0
    found = LAYER.search(name)
    if found is None:
        return top + 2 if "embed" in name else 1
    return top + 1 - int(found[1])
