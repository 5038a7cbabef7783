"""The limit: how many matrix multiplications a second the machine makes, in bf16 and fp32, at its best size.

python benchmarks/contestants/peak.py [--device cuda]
"""

import argparse
import json
import time

import torch

SIZES = {
    "cpu": ((1024, 384, 1536), (4096, 384, 1536), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 4096, 1024)),
    "cuda": ((8192, 768, 3072), (4096, 4096, 4096), (8192, 8192, 8192), (16384, 8192, 8192)),
}
SECONDS = 0.5  # a size


def gflops(dtype: torch.dtype, size: tuple[int, int, int], device: str) -> float:
    """10^9 additions and multiplications a second, in the best of many products of one size."""
    rows, inner, columns = size
    a, b = torch.randn(rows, inner, device=device).to(dtype), torch.randn(inner, columns, device=device).to(dtype)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        wait()
        began = time.perf_counter()
        torch.mm(a, b)
        wait()
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=SIZES, default="cpu")
    device = parser.parse_args().device
    dtypes = {"bf16": torch.bfloat16, "fp32": torch.float32}
    peaks = {name: round(max(gflops(dtype, size, device) for size in SIZES[device]), 1) for name, dtype in dtypes.items()}
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(json.dumps(peaks | {"threads": torch.get_num_threads(), "device": name}))
