"""Layers as compiled regions: the many small kernels of a layer become a few, for GPUs, where to launch them is what costs."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from headway import attention
from headway.errors import BackendError
from headway.layers import whole_layers
from headway.regularize import Dropout

BACKEND = "inductor"  # of torch.compile


@contextmanager
def compiled(network: PreTrainedModel, *, above: int = 0) -> Iterator[None]:
    """While it lasts, every layer but the lowest `above` is compiled, once for rows of all lengths. Attention stays as it is.

    Only what a layer does itself is compiled, so that hooks on it and what it saves are as ever; the first call takes seconds.

    Raises:
        BackendError: torch cannot compile here.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second to import

    attention.keep_from_compiler()
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor")  # the compiler looks at it where a region goes on
    replaced = {layer: torch.compile(layer.forward, dynamic=True, backend=BACKEND) for layer in whole_layers(network)[above:]}
    if network.device.type == "cpu":  # where dropout asks for the size of what it drops from
        replaced |= {module: torch.compiler.disable(module.forward) for module in network.modules() if isinstance(module, Dropout)}
    for module, forward in replaced.items():
        module.forward = forward
    try:
        yield
    except TorchDynamoException as error:
        why = " ".join(str(error).splitlines()[:2])  # which backend; what it raised
        raise BackendError(f"train.compile: torch could not compile a layer here ({why}); leave it away") from error
    finally:
        for module in replaced:
            del module.forward  # of the instance: that of the class is found again
