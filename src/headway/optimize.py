"""AdamW over fp32 masters of a network that may compute in bf16: groups, schedule, clipping."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headway.config import Regularize, Train
from headway.errors import ConfigError

NORM = re.compile("norm", re.IGNORECASE)
LAYER = re.compile(r"\.(?:layer|layers|h|albert_layers)\.(\d+)\.")


def schedule(step: int, *, steps: int, warmup: float) -> float:
    """The share of the learning rate at an update: up from 0 over the first `warmup` of all updates, then down to 0, both in a line.

    Source: Devlin et al. 2019; that training is unstable without the warm-up, Mosbach et al. 2021, arXiv:2006.04884.
    """
    rising = max(round(steps * warmup), 1)
    return (step + 1) / rising if step < rising else max(steps - step, 1) / max(steps - rising, 1)


class Optimizer:
    """AdamW with bias correction on fp32 masters.

    The network's weights are what its forward pass computes with, bf16 or fp32; small updates would be lost in bf16, so the masters
    hold the truth and are copied over after each update. They are taken from the network as it is given, in fp32: cast it to bf16
    afterwards. Gradients of all pieces are added in fp32.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101; Micikevicius et al. 2018, arXiv:1710.03740 (masters).
    """

    def __init__(self, network: nn.Module, *, train: Train, regularize: Regularize, steps: int):
        self.train, self.steps = train, steps
        freeze(network, regularize.frozen_layers)
        self._named = list(network.named_parameters())
        self._masters = [weight.detach().float().clone() for _, weight in self._named]
        groups = _groups(network, self._named, self._masters, regularize)
        self._adam = torch.optim.AdamW(groups, lr=train.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)

    def accumulate(self) -> None:
        """Add the gradients of a piece to those of its update, and take them off the network."""
        for (_, weight), master in zip(self._named, self._masters, strict=True):
            if weight.grad is not None:
                master.grad = weight.grad.float() if master.grad is None else master.grad.add_(weight.grad)
                weight.grad = None

    def adopt(self, module: nn.Module) -> None:
        """Take over what somebody has written into a part of the network."""
        taken = {id(weight) for weight in module.parameters()}
        for (_, weight), master in zip(self._named, self._masters, strict=True):
            if id(weight) in taken:
                master.copy_(weight.detach())

    def step(self, step: int) -> Tensor:
        """() one update with the accumulated gradients; gives their norm before clipping."""
        gradients = [master.grad for master in self._masters if master.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch.nn.utils.clip_grads_with_norm_([m for m in self._masters if m.grad is not None], self.train.max_grad_norm, norm)
        for group in self._adam.param_groups:
            group["lr"] = self.learning_rate(step) * group["share"]
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self._to_network()
        return norm

    def learning_rate(self, step: int) -> float:
        return self.train.learning_rate * schedule(step, steps=self.steps, warmup=self.train.warmup)

    def masters(self) -> dict[str, Tensor]:
        """All weights in fp32, also those that are frozen, by their names in the network."""
        return {name: master for (name, _), master in zip(self._named, self._masters, strict=True)}

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, as named tensors."""
        state = {f"master.{name}": master for name, master in self.masters().items()}
        for name, master in self.masters().items():
            state |= {f"{kind}.{name}": value for kind, value in self._adam.state.get(master, {}).items()}
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, master in self.masters().items():
            master.copy_(state[f"master.{name}"])
            kept = {kind: state[f"{kind}.{name}"].clone() for kind in ("step", "exp_avg", "exp_avg_sq") if f"{kind}.{name}" in state}
            if kept:
                self._adam.state[master] = kept
        self._to_network()

    @torch.no_grad()
    def _to_network(self) -> None:
        torch._foreach_copy_([weight for _, weight in self._named], self._masters)


def freeze(network: nn.Module, layers: int) -> None:
    """Keep the lowest `layers` layers as they were pretrained, and what lies below them, the embeddings, with them.

    Raises:
        ConfigError: the network has fewer.
    """
    if layers == 0:
        return
    if layers > (there := _top_layer(network) + 1):
        raise ConfigError(f"regularize.frozen_layers = {layers}: the network has {there} {'layer' if there == 1 else 'layers'}")
    for name, weight in network.base_model.named_parameters():
        found = LAYER.search(f".{name}")
        weight.requires_grad_((found is not None and int(found[1]) >= layers) or (found is None and "embed" not in name))


def _groups(network: nn.Module, named: list[tuple[str, nn.Parameter]], masters: list[Tensor], regularize: Regularize) -> list[dict]:
    """Masters with the same weight decay and the same share of the learning rate together. Norms and biases do not decay."""
    top = _top_layer(network)
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for (name, weight), master in zip(named, masters, strict=True):
        if not weight.requires_grad:
            continue
        decay = 0.0 if weight.ndim < 2 or NORM.search(name) else regularize.weight_decay
        share = regularize.layer_decay ** _depth_below_head(name, network.base_model_prefix, top)
        groups.setdefault((decay, share), []).append(master)
    return [{"params": members, "weight_decay": decay, "share": share} for (decay, share), members in groups.items()]


def _top_layer(network: nn.Module) -> int:
    return max((int(found[1]) for name, _ in network.named_parameters() if (found := LAYER.search(name))), default=-1)


def _depth_below_head(name: str, prefix: str, top: int) -> int:
    """0 for the head, 1 for the top layer, one more for each layer down, the embeddings lowest."""
    if not name.startswith(prefix + "."):
        return 0
    found = LAYER.search(name)
    if found is None:
        return top + 2 if "embed" in name else 1
    return top + 1 - int(found[1])
