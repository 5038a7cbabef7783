"""LoRA: beside each matrix of a pretrained network, which stays as it is, a product of two thin ones that learns.

The library peft puts the adapters in and computes with them; what is saved has them added to the matrices, and is a stock network again.

Source: Hu et al. 2022, arXiv:2106.09685.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from headway.config import Lora
from headway.errors import ConfigError
from headway.layers import LAYER
from headway.regularize import Dropout

ADAPTER = "default"  # what peft calls the only one there is
BESIDE = ".base_layer."  # what it puts into the names of weights that have an adapter beside them


def adapt(network: nn.Module, lora: Lora, *, frozen_layers: int = 0) -> None:
    """Put adapters beside the linear layers of the base model's layers; the network answers as before until they have learned.

    Torch's generator draws what they begin with. Which weights learn is for `layers.choose` to say.

    Raises:
        ConfigError: peft is not installed, or the network has no such layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model  # a third of a second to import, and an extra
    except ModuleNotFoundError:
        raise ConfigError('regularize.parameters = "lora" needs peft: pip install headway[lora]') from None
    matrices = list(_matrices(network, lora, above=frozen_layers))
    if not matrices:
        raise ConfigError(f'lora.layers = "{lora.layers}": the network has no such layer that learns; leave regularize.parameters away')
    wanted = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=matrices, bias="none")
    inject_adapter_in_model(wanted, network)
    for module in _adapted(network).values():
        if lora.dropout > 0:
            module.lora_dropout[ADAPTER] = Dropout(lora.dropout)
    network.requires_grad_(True)


def _matrices(network: nn.Module, lora: Lora, *, above: int) -> Iterator[str]:
    """The names of the linear layers that get an adapter, none of which lies in the `above` lowest layers."""
    for name, module in network.base_model.named_modules(prefix=network.base_model_prefix):
        found = LAYER.search(name)
        if isinstance(module, nn.Linear) and found and int(found[1]) >= above:
            attends = "att" in name[found.end() :]  # attention, attn
            yield from [name] if attends or lora.layers == "all" else []


def _adapted(network: nn.Module) -> dict[str, nn.Module]:
    """The layers that have an adapter beside them."""
    modules = dict(network.named_modules())
    return {name: module for name, module in modules.items() if f"{name}.lora_A" in modules}


class Added(NamedTuple):
    """What adapters are made of."""

    matrices: int  # that have one beside them
    parameters: int  # of all of them


def count_added(network: nn.Module) -> Added:
    thin = [weight for name, weight in network.named_parameters() if ".lora_" in name]
    return Added(len(_adapted(network)), sum(weight.numel() for weight in thin))


@torch.no_grad()
def merged(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights of an adapted network -> those of the stock one that answers the same; of any other network, the same.

    Args:
        weights: by their names in `network`, in fp32: in bf16 what adapters have learned would be lost in the sum.
    """
    plain = {name.replace(BESIDE, "."): weight for name, weight in weights.items() if ".lora_" not in name}
    for name, module in _adapted(network).items():
        down_RD, up_DR = (weights[f"{name}.lora_{side}.{ADAPTER}.weight"] for side in "AB")
        plain[f"{name}.weight"] = plain[f"{name}.weight"] + module.scaling[ADAPTER] * (up_DR @ down_RD)
    return plain


def placed(network: nn.Module, plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the stock network by their names in an adapted one, whose adapters stay as they are."""
    return {name: plain.get(name.replace(BESIDE, "."), weight) for name, weight in network.state_dict().items()}
