"""What keeps a network from learning its training data by heart, where torch's own is too slow for us."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 256  # a byte decides whether a number is kept
SHORTEST_STRIP = 2**22  # numbers
ALIGNED = 32  # numbers: masks begin where the processor likes to read


class Dropout(nn.Module):
    """`drop` as a module."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


def drop(x: Tensor, p: float) -> Tensor:
    """`x` with each number zero with probability `p`, or else scaled up by what is lost.

    On CPU torch draws a random number for each of them, one after the other, which takes a fifth of a training step. Here a mask is
    cut out of a long strip of zeros and scales, at a place drawn from torch's generator: one number is drawn, and one multiplication
    done. Masks overlap now and then, out of step with each other. The probability is rounded to 1/256, and what is kept is scaled by
    the rounded one, so that the expectation is exact, but for the rounding of the scale itself in bf16 (at most 0.4%).
    """
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped = min(round(p * LEVELS), LEVELS - 1)  # p is below 1: something is kept
    if dropped == 0 or x.numel() == 0:
        return x
    length = max(SHORTEST_STRIP, 1 << (2 * x.numel() - 1).bit_length())  # of x alone, so that a mask is a function of x and the place
    place = int(torch.randint((length - x.numel()) // ALIGNED, ())) * ALIGNED
    return x * _strip(dropped, length, x.dtype)[place : place + x.numel()].view(x.shape)


@lru_cache(maxsize=4)
def _strip(dropped: int, length: int, dtype: torch.dtype) -> Tensor:
    """Zero in `dropped` of 256 places, else what makes up for them."""
    drawn = torch.empty(length // 8, dtype=torch.int64).random_(-(2**63), None, generator=torch.Generator().manual_seed(dropped))
    return (drawn.view(torch.uint8) >= dropped).to(dtype).mul_(LEVELS / (LEVELS - dropped))
