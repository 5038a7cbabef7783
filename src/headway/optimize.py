"""AdamW over fp32 masters of a network that may compute in bf16: groups, schedule, clipping."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from headway.averages import Average
from headway.config import Regularize, Train
from headway.layers import choose, depth_below_head, top_layer, turns
from headway.mixout import Mixout
from headway.records import Window
from headway.rows import RowAdamW

BETAS, EPS = (0.9, 0.999), 1e-8
NORM = re.compile("norm", re.IGNORECASE)


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

    An update is `begin`, forward and backward passes with `accumulate` after each, `step`.

    Args:
        table: the embedding table of the tokens, to be updated in the rows that are read; None updates it as all other weights.
        first: the update it begins with, counted from 0: after a roll-back, its moments are young where the schedule is not.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101; Micikevicius et al. 2018, arXiv:1710.03740 (masters).
    """

    def __init__(
        self, network: nn.Module, *, train: Train, regularize: Regularize, steps: int, table: nn.Embedding | None = None, first: int = 0
    ):
        self.train, self.steps, self.first = train, steps, first
        _whole_gradients(network)
        choose(network, regularize)
        plain = regularize.ema_decay == 0 and regularize.unfreezing == 0  # an average moves all rows, and rows count updates from the first
        sparse = table is not None and table.weight.requires_grad and plain
        self._named = [(name, weight) for name, weight in network.named_parameters() if not sparse or weight is not table.weight]
        self._masters = [weight.detach().float().clone() for _, weight in self._named]
        self._gradients: list[Tensor | None] = [None] * len(self._masters)  # kept: to get as much memory anew costs more than to fill it
        groups = _groups(network, self._named, self._masters, regularize)
        self._adam = torch.optim.AdamW(groups, lr=train.learning_rate, betas=BETAS, eps=EPS, fused=True)
        self._table_name = next((name for name, weight in network.named_parameters() if sparse and weight is table.weight), None)
        self._rows = self._by_rows(network, table, regularize) if sparse else None
        self._average = Average(self._masters, decay=regularize.ema_decay) if regularize.ema_decay > 0 else None
        self._settled = False
        self._turns = turns(network, round(regularize.unfreezing * steps)) if regularize.unfreezing > 0 else []
        self._mixed = _inner_matrices(network, self._named) if regularize.mixout > 0 else []
        pretrained = [self._masters[place] for place in self._mixed]
        self.mixout = Mixout(pretrained, p=regularize.mixout, seed=train.seed) if regularize.mixout > 0 else None

    def _by_rows(self, network: nn.Module, table: nn.Embedding, regularize: Regularize) -> RowAdamW:
        table.sparse = True
        decay, share = _decay_and_share(network, self._table_name, table.weight, regularize)
        rates = [self.learning_rate(step) * share for step in range(self.first, self.steps)]
        return RowAdamW(table.weight, rates=rates, betas=BETAS, eps=EPS, decay=decay)

    def begin(self, step: int, windows: Sequence[Window]) -> None:
        """Get ready what the coming update reads."""
        if self._settled and self._average is not None:
            self._to_network()
        self._settled = False
        self.wake(step)
        if self.mixout is not None:
            mixed = self.mixout.mix([self._masters[place] for place in self._mixed], step=step)
            _copy(mixed, to=[self._named[place] for place in self._mixed])
        if self._rows is not None:
            self._rows.read(torch.from_numpy(np.unique(np.concatenate([window.input_ids_N for window in windows])).astype(np.int64)))

    def wake(self, step: int) -> None:
        """Let the weights learn whose turn it is by an update, and no other; those that are frozen have none."""
        for weight, turn in self._turns:
            weight.requires_grad_(turn <= step)

    def accumulate(self) -> None:
        """Add the gradients of a piece to those of its update, and take them off the network."""
        for number, ((_, weight), master) in enumerate(zip(self._named, self._masters, strict=True)):
            if weight.grad is None:
                continue
            if master.grad is not None:
                master.grad.add_(weight.grad)
            elif self._gradients[number] is None:
                self._gradients[number] = master.grad = weight.grad.float()
            else:
                master.grad = self._gradients[number].copy_(weight.grad)
            weight.grad = None
        if self._rows is not None:
            self._rows.collect()

    def adopt(self, module: nn.Module) -> None:
        """Take over what somebody has written into a part of the network, other than the embedding table."""
        taken = {id(weight) for weight in module.parameters()}
        for (_, weight), master in zip(self._named, self._masters, strict=True):
            if id(weight) in taken:
                master.copy_(weight.detach())

    def step(self, step: int) -> Tensor:
        """() one update with the accumulated gradients; gives their norm before clipping."""
        if self.mixout is not None:
            self.mixout.back([self._masters[place].grad for place in self._mixed], step=step)
        gradients = [master.grad for master in self._masters if master.grad is not None]
        gradients += [self._rows.gradient_UD] if self._rows is not None else []
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, (self.train.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        for group in self._adam.param_groups:
            group["lr"] = self.learning_rate(step) * group["share"]
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self._to_network()
        if self._rows is not None:
            self._rows.step()
        if self._average is not None:
            self._average.add(self._masters)
        return norm

    def learning_rate(self, step: int) -> float:
        return self.train.learning_rate * schedule(step, steps=self.steps, warmup=self.train.warmup)

    def settle(self) -> None:
        """Bring the network to where it is after the last update, rows that wait to be read too, and to the average where there is one."""
        if self._rows is not None:
            self._rows.settle()
        if self._average is not None and self._average.count > 0:
            _copy(self._average.means, to=self._named)
        self._settled = True

    def masters(self) -> dict[str, Tensor]:
        """All weights in fp32, also those that are frozen, by their names in the network; settled."""
        self.settle()
        weights = {name: master for (name, _), master in zip(self._named, self._masters, strict=True)}
        return weights if self._rows is None else weights | {self._table_name: self._rows.master_VD}

    def weights(self) -> dict[str, Tensor]:
        """What the settled network computes with, in fp32: the masters, or their average where there is one."""
        if self._average is None or self._average.count == 0:
            return self.masters()
        return dict(zip((name for name, _ in self._named), self._average.means, strict=True))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, as named tensors; nothing is settled by asking."""
        state = {}
        for (name, _), master in zip(self._named, self._masters, strict=True):
            state |= {f"{kind}.{name}": value for kind, value in {"master": master, **self._adam.state.get(master, {})}.items()}
        if self._rows is not None:
            state |= {f"{kind}.{self._table_name}": value for kind, value in self._rows.state().items()}
        if self._average is not None:
            state |= {f"average.{name}": mean for (name, _), mean in zip(self._named, self._average.means, strict=True)}
        return state

    def restore(self, state: Mapping[str, Tensor], *, done: int) -> None:
        """Go on from what `state` gave after `done` updates of the run."""
        for (name, _), master in zip(self._named, self._masters, strict=True):
            master.copy_(state[f"master.{name}"])
            kept = {kind: state[f"{kind}.{name}"].clone() for kind in ("step", "exp_avg", "exp_avg_sq") if f"{kind}.{name}" in state}
            if kept:
                self._adam.state[master] = kept
        if self._rows is not None:
            self._rows.restore({kind: state[f"{kind}.{self._table_name}"] for kind in self._rows.state()}, done=done - self.first)
        if self._average is not None:
            for (name, _), mean in zip(self._named, self._average.means, strict=True):
                mean.copy_(state[f"average.{name}"])
            self._average.count = done - self.first
        self._to_network()

    def _to_network(self) -> None:
        _copy(self._masters, to=self._named)


@torch.no_grad()
def _copy(values: Sequence[Tensor], *, to: Sequence[tuple[str, nn.Parameter]]) -> None:
    torch._foreach_copy_([weight for _, weight in to], values)


def _whole_gradients(network: nn.Module) -> None:
    """Undo what an optimizer before this one asked of the embedding table, where it learned in the rows that are read."""
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = False


def _inner_matrices(network: nn.Module, named: Sequence[tuple[str, nn.Parameter]]) -> list[int]:
    """Which of the weights are matrices of linear layers of the base model, and learn."""
    inner = {id(module.weight) for module in network.base_model.modules() if isinstance(module, nn.Linear)}
    return [place for place, (_, weight) in enumerate(named) if id(weight) in inner and weight.requires_grad]


def _groups(network: nn.Module, named: list[tuple[str, nn.Parameter]], masters: list[Tensor], regularize: Regularize) -> list[dict]:
    """Masters with the same weight decay and the same share of the learning rate together."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for (name, weight), master in zip(named, masters, strict=True):
        if weight.requires_grad:
            groups.setdefault(_decay_and_share(network, name, weight, regularize), []).append(master)
    return [{"params": members, "weight_decay": decay, "share": share} for (decay, share), members in groups.items()]


def _decay_and_share(network: nn.Module, name: str, weight: nn.Parameter, regularize: Regularize) -> tuple[float, float]:
    """Weight decay, which norms and biases do not have, and the share of the learning rate, smaller the deeper a layer lies."""
    decay = 0.0 if weight.ndim < 2 or NORM.search(name) else regularize.weight_decay
    return decay, regularize.layer_decay ** depth_below_head(name, network.base_model_prefix, top_layer(network))
