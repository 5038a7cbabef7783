"""Where tensors live, and in what precision the network computes."""

import os

import torch

from headway.config import Auto
from headway.errors import BackendError

TOKENS_ON_CPU = 2048  # more takes memory and saves no time (LOG.md, "pieces on a CPU")
TOKENS_ON_ACCELERATORS = 8192
KERNELS_KEPT = 64  # an update of six layers uses some 60 of them several times; more saves no time (LOG.md, "kernel memory")


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes an accelerator where there is one.

    Raises:
        BackendError: there is no such device here.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise BackendError(f'train.device = "{name}" is not here; use "auto" or "cpu"') from None
    return device


def bound_kernel_memory() -> None:
    """Let torch and oneDNN, which multiplies bf16 matrices on a CPU, each keep the code and scratch space of fewer sizes than their 1,024.

    Packed rows come in ever new sizes, and each size holds some MB. Has no effect after the first product; a person's own numbers stay.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, str(KERNELS_KEPT))


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """fp32 or bf16; "auto" is bf16 where the machine multiplies it in hardware, where it is about three times as fast.

    Raises:
        BackendError: bf16 was asked of a device that has none.
    """
    fast = _has_bf16(device)
    if precision == "bf16" and not fast and device.type != "cpu":
        raise BackendError(f'train.precision = "bf16": {device} has no bf16; use "fp32"')
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and fast) else torch.float32


def pick_token_budget(chosen: int | Auto, device: torch.device) -> int:
    """How many tokens are read at once; "auto" is what suits the device."""
    if chosen != "auto":
        return chosen
    return TOKENS_ON_CPU if device.type == "cpu" else TOKENS_ON_ACCELERATORS


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return any(able.get(feature, False) for feature in ("avx512_bf16", "amx_bf16", "arm_bf16"))
    return False
