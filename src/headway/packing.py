"""Sequences without padding: how windows become updates, updates pieces, and pieces one packed row.

Shape letters: T tokens in a batch, S sequences in a batch, N tokens of one sequence, L tokens of the longest sequence of a group,
A targets in a batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from headway.records import IGNORED, Window

UNEVEN = 1.5  # a group of sequences is closed where the next is this much longer than its first (LOG.md, "groups")
SLACK_TOKENS = 12  # lengths this close always go together


class Group(NamedTuple):
    """Neighbouring sequences of similar length, so that attention can treat them as one rectangle of S rows and L columns."""

    start: int  # first token in the packed row
    stop: int
    rows: int
    longest: int
    gather_SL: Tensor | None  # int64, flat: which token of the group fills each cell; None where all are of one length
    scatter_T: Tensor | None  # int64: which cell holds each token
    inside_SL: Tensor | None  # bool: which cells hold a token


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Sequences end to end in one row, and where each begins.

    `longest` and `lengths` are Python numbers, so that reading them never waits for a GPU.
    """

    input_ids_T: Tensor  # int64
    token_type_ids_T: Tensor  # int64
    positions_T: Tensor  # int64, from 0 in every sequence
    starts_S: Tensor  # int64, the first token of each sequence
    bounds: Tensor  # (S + 1,) int32, where each sequence starts and where the last ends
    sequence_T: Tensor  # int64, the number of the sequence each token is of
    targets_A: Tensor
    lengths: tuple[int, ...]
    groups: tuple[Group, ...]
    taught: Tensor | None = None  # what teachers say, as rows of the logits; None without teachers

    @property
    def longest(self) -> int:
        return max(self.lengths)

    def to(self, device: torch.device) -> "Packed":
        if device == self.input_ids_T.device:
            return self
        moved = {name: _sent(getattr(self, name), device) for name in _TENSORS}
        groups = tuple(Group(*(_sent(part, device) if isinstance(part, Tensor) else part for part in g)) for g in self.groups)
        taught = None if self.taught is None else _sent(self.taught, device)
        return replace(self, groups=groups, taught=taught, **moved)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On its way to the device; to a CUDA device from pinned memory, which alone can be read while the CPU goes on."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


_TENSORS = ("input_ids_T", "token_type_ids_T", "positions_T", "starts_S", "bounds", "sequence_T", "targets_A")


def pack(windows: Sequence[Window]) -> Packed:
    """Windows, in this order, as one row. Cheapest for attention where neighbours are of similar length."""
    lengths = np.array([len(window) for window in windows])
    ends = np.cumsum(lengths)
    starts = ends - lengths
    sequence = np.repeat(np.arange(len(windows)), lengths)
    return Packed(
        input_ids_T=_joined([window.input_ids_N for window in windows]),
        token_type_ids_T=_joined([window.token_type_ids_N for window in windows]),
        positions_T=torch.from_numpy(np.arange(ends[-1]) - starts[sequence]),
        starts_S=torch.from_numpy(starts),
        bounds=torch.from_numpy(np.append(starts, ends[-1]).astype(np.int32)),
        sequence_T=torch.from_numpy(sequence),
        targets_A=torch.from_numpy(np.concatenate([window.targets_A for window in windows])),
        lengths=tuple(lengths.tolist()),
        groups=tuple(_groups(lengths, starts)),
        taught=None if windows[0].taught is None else torch.from_numpy(np.concatenate([window.taught for window in windows])),
    )


def _joined(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64))


def _groups(lengths: np.ndarray, starts: np.ndarray) -> Iterator[Group]:
    first = 0
    for this in range(1, len(lengths) + 1):
        if this == len(lengths) or not _similar(lengths[first : this + 1]):
            yield _group(lengths[first:this], int(starts[first]))
            first = this


def _similar(lengths: np.ndarray) -> bool:
    return lengths.max() <= max(lengths.min() * UNEVEN, lengths.min() + SLACK_TOKENS)


def _group(lengths: np.ndarray, start: int) -> Group:
    rows, longest, tokens = len(lengths), int(lengths.max()), int(lengths.sum())
    if rows * longest == tokens:
        return Group(start, start + tokens, rows, longest, None, None, None)
    column = np.arange(longest)
    inside = column < lengths[:, None]
    first = np.cumsum(lengths) - lengths
    gather = first[:, None] + np.where(inside, column, 0)  # an empty cell repeats the sequence's first token; attention never looks at it
    return Group(
        start,
        start + tokens,
        rows,
        longest,
        torch.from_numpy(gather.reshape(-1)),
        torch.from_numpy(np.flatnonzero(inside)),
        torch.from_numpy(inside),
    )


class Order(NamedTuple):
    """Which windows each update learns from: a pure function of the seed and the number of the update.

    Every epoch sees every window once, in an order of its own; its last update may be smaller.
    """

    windows: int
    batch_size: int
    seed: int
    unrolled: bool = False  # positions count on from epoch to epoch, for windows that are another in each

    @property
    def updates_per_epoch(self) -> int:
        return -(-self.windows // self.batch_size)

    def update(self, step: int) -> np.ndarray:
        """Positions of the windows of update `step`, counted from 0 over all epochs."""
        epoch, place = divmod(step, self.updates_per_epoch)
        positions = _shuffled(self.windows, self.seed, epoch)[place * self.batch_size : (place + 1) * self.batch_size]
        return positions + epoch * self.windows if self.unrolled else positions


@lru_cache(maxsize=2)
def _shuffled(windows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(windows)


def pieces(windows: Sequence[Window], *, token_budget: int) -> list[list[int]]:
    """Cut an update, or a buffer of windows, into forward passes: positions, short windows first, at most `token_budget` tokens a piece.

    A window longer than the budget is a piece of its own.
    """
    cut: list[list[int]] = []
    room = 0
    for position in sorted(range(len(windows)), key=lambda i: len(windows[i])):
        length = len(windows[position])
        if length > room or not cut:
            cut.append([])
            room = token_budget
        cut[-1].append(position)
        room -= length
    return cut


def count_targets(windows: Sequence[Window]) -> int:
    """How many targets a loss over these windows sums: what its sum is divided by."""
    return sum(int(np.count_nonzero(window.targets_A != IGNORED)) for window in windows)
