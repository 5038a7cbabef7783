"""The limit: how many matrix multiplications a second the machine makes, in bf16 and fp32, at its best size.

python benchmarks/contestants/peak.py
"""

import json
import time

import torch

SIZES = ((1024, 384, 1536), (4096, 384, 1536), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 4096, 1024))
SECONDS = 0.5  # a size


def gflops(dtype: torch.dtype, size: tuple[int, int, int]) -> float:
    """10^9 additions and multiplications a second, in the best of many products of one size."""
    rows, inner, columns = size
    a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best / 1e9


if __name__ == "__main__":
    peaks = {name: max(gflops(dtype, size) for size in SIZES) for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))}
    print(json.dumps({name: round(peak, 1) for name, peak in peaks.items()} | {"threads": torch.get_num_threads()}))
