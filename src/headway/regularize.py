"""What keeps a network from learning its training data by heart, where torch's own is too slow for us."""

import torch
from torch import Tensor, nn

LEVELS = 256  # a byte decides whether a number is kept


class Dropout(nn.Module):
    """Dropout that spends one random byte a number where `nn.Dropout` spends a draw of the generator.

    On CPU the draws are serial and take a fifth of a training step; eight bytes from each drawn int64 cost a tenth of that. The
    probability is rounded to 1/256, and what is kept is scaled by the rounded one, so the expectation is exact, but for the
    rounding of the scale itself in bf16 (at most 0.4%).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        dropped = min(round(self.p * LEVELS), LEVELS - 1)  # p is below 1: something is kept
        if not self.training or dropped == 0:
            return x
        drawn = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = drawn.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    def extra_repr(self) -> str:
        return f"p={self.p}"
