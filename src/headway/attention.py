"""Let every token look at the tokens of its own sequence: several kernels, one answer.

Shape letters: T tokens in a batch, H heads, K width of a head, S sequences in a group, L tokens of its longest sequence.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface

from headway.packing import Group, Packed
from headway.regularize import drop

NAME = "headway"  # what transformers knows this attention by
WIDEST = 256  # of a head, in flash attention
AMPERE = (8, 0)  # the first compute capability that has flash attention


def attend(q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Packed, *, reach: int | None = None, dropout: float = 0.0) -> Tensor:
    """out_THK: for every token the mean of the values of its own sequence, weighted by how well their keys answer its query.

    Queries come scaled. `reach` is how many tokens a token sees on each side; None is all. Time grows with the sum of squared lengths.
    """
    tokens = [group.stop - group.start for group in batch.groups]
    parts = zip(*(x.split(tokens) for x in (q_THK, k_THK, v_THK)), batch.groups, strict=True)  # slices would each have a whole gradient
    outputs = [_attend_group(*part, reach=reach, dropout=dropout) for part in parts]
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def _attend_group(q: Tensor, k: Tensor, v: Tensor, group: Group, *, reach: int | None, dropout: float) -> Tensor:
    q_SHLK, k_SHLK, v_SHLK = (_rectangle(x, group) for x in (q, k, v))
    scores_SHLL = q_SHLK @ k_SHLK.transpose(-1, -2)
    hidden = _hidden(group, reach, scores_SHLL.device)
    if hidden is not None:
        scores_SHLL = scores_SHLL.masked_fill(hidden, float("-inf"))
    weights_SHLL = F.softmax(scores_SHLL, dim=-1)
    return _row(drop(weights_SHLL, dropout) @ v_SHLK, group)


def _rectangle(x_THK: Tensor, group: Group) -> Tensor:
    """The tokens of a group as x_SHLK."""
    cells = x_THK if group.gather_SL is None else x_THK.index_select(0, group.gather_SL)
    return cells.unflatten(0, (group.rows, group.longest)).transpose(1, 2)


def _row(x_SHLK: Tensor, group: Group) -> Tensor:
    """x_SHLK back as the tokens of a group, x_THK."""
    cells = x_SHLK.transpose(1, 2).flatten(0, 1)
    return cells if group.scatter_T is None else cells.index_select(0, group.scatter_T)


def _hidden(group: Group, reach: int | None, device: torch.device) -> Tensor | None:
    """Which keys a query may not see, to broadcast over scores_SHLL; None where it may see all."""
    outside = None if group.inside_SL is None else ~group.inside_SL[:, None, None, :]
    if reach is None or reach >= group.longest - 1:
        return outside
    place = torch.arange(group.longest, device=device)
    far = (place[:, None] - place[None, :]).abs() > reach
    if outside is None:
        return far
    # the query of an empty cell sees the first token, so that its softmax has something to sum; nobody reads the result
    return (outside | far) & (group.inside_SL[:, None, :, None] | (place > 0))


def attend_varlen(q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Packed, *, reach: int | None = None, dropout: float = 0.0) -> Tensor:
    """The same by torch's kernel for packed rows, which knows no dropout: flash attention, in memory that grows with T alone.

    Source: Dao 2023, FlashAttention-2, arXiv:2307.08691.
    """
    from torch.nn.attention.varlen import varlen_attn  # a second to import, and of use on a GPU only

    assert dropout == 0.0
    ends, longest, sides = batch.bounds, batch.longest, (-1, -1) if reach is None else (reach, reach)
    return varlen_attn(q_THK, k_THK, v_THK, ends, ends, longest, longest, scale=1.0, window_size=sides)


KERNELS: dict[str, Callable[..., Tensor]] = {"grouped": attend, "varlen": attend_varlen}


def choose_kernel(device: torch.device, dtype: torch.dtype, *, width: int, dropout: float, varlen: bool = True) -> str:
    """The fastest that can do it: "varlen" wants a GPU since Ampere, half precision, heads of a width that fits, and no dropout."""
    if not varlen or dropout or device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16) or width % 8 or width > WIDEST:
        return "grouped"
    return "varlen" if torch.cuda.get_device_capability(device) >= AMPERE else "grouped"


def _for_transformers(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, **given) -> tuple[Tensor, None]:
    """What transformers calls in place of its own attention: query, key and value are (1, H, T, K), the answer (1, T, H, K).

    transformers names a sliding window by its size with the token itself, one more than it reaches.
    """
    packed: Packed = given["packed"]
    window = given.get("sliding_window")
    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query * given.get("scaling", query.shape[-1] ** -0.5), key, value))
    dropout = given["attention_dropout"] if module.training else 0.0
    kernel = choose_kernel(q.device, q.dtype, width=q.shape[-1], dropout=dropout, varlen=given["varlen"])
    return KERNELS[kernel](q, k, v, packed, reach=None if window is None else window - 1, dropout=dropout)[None], None


AttentionInterface.register(NAME, _for_transformers)


def keep_from_compiler() -> None:
    """Have compiled layers call attention as it is: what it does in Python is another thing for every batch."""
    AttentionInterface.register(NAME, torch.compiler.disable(_for_transformers))
