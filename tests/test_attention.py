import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import varlen

from headway.attention import AMPERE, KERNELS, attend, choose_kernel
from headway.packing import pack
from headway.records import Window

H, K = 3, 8
LENGTHS = {
    "even": [6, 6, 6],
    "uneven": [5, 6, 7, 8],
    "far apart": [1, 2, 9, 30, 33],
    "unsorted": [30, 2, 17, 18, 1, 16],
    "one token": [1],
    "one sequence": [12],
}
# A group's rectangle is summed in another order than a single sequence; nothing else differs.
FP32 = {"rtol": 1e-5, "atol": 1e-6}

every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
every_length = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
every_reach = pytest.mark.parametrize("reach", [None, 0, 1, 3, 100])


@pytest.fixture(autouse=True)
def flash_attention_on_cpu(monkeypatch):
    """torch's kernel for packed rows runs on a GPU; where there is none, its documented answer is computed one sequence after another."""

    def varlen_attn(q, k, v, bounds_q, bounds_k, longest_q, longest_k, *, scale, window_size):
        assert bounds_q is bounds_k
        assert bounds_q.dtype == torch.int32
        lengths = bounds_q.diff().tolist()
        assert max(lengths) == longest_q == longest_k
        [reach] = {*window_size}
        return one_at_a_time(q * scale, k, v, lengths, None if reach == -1 else reach)

    monkeypatch.setattr(varlen, "varlen_attn", varlen_attn)


def batch_of(lengths):
    zeros = [np.zeros(length, dtype=np.int32) for length in lengths]
    return pack([Window(0, row, row, np.zeros((len(row), 2)), np.zeros(1)) for row in zeros])


def rows_of(lengths, seed=0):
    """q, k and v; queries scaled as they come."""
    torch.manual_seed(seed)
    q, k, v = torch.randn(3, sum(lengths), H, K)
    return q * K**-0.5, k, v


def one_at_a_time(q, k, v, lengths, reach):
    """Every sequence alone: softmax(q k) v, with the keys out of reach left out."""
    outputs = []
    for q_NHK, k_NHK, v_NHK in zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True):
        scores_HNN = torch.einsum("nhk,mhk->hnm", q_NHK, k_NHK)
        place = torch.arange(len(q_NHK))
        if reach is not None:
            scores_HNN = scores_HNN.masked_fill((place[:, None] - place).abs() > reach, float("-inf"))
        outputs.append(torch.einsum("hnm,mhk->nhk", F.softmax(scores_HNN, dim=-1), v_NHK))
    return torch.cat(outputs)


@every_kernel
@every_reach
@every_length
def test_every_sequence_is_answered_as_if_it_were_alone(kernel, lengths, reach):
    q, k, v = rows_of(lengths)
    torch.testing.assert_close(kernel(q, k, v, batch_of(lengths), reach=reach), one_at_a_time(q, k, v, lengths, reach), **FP32)


@every_kernel
@every_reach
@every_length
def test_gradients_are_those_of_every_sequence_alone(kernel, lengths, reach):
    rows = [row.requires_grad_() for row in rows_of(lengths)]
    towards = torch.randn(sum(lengths), H, K)
    gradients = torch.autograd.grad((kernel(*rows, batch_of(lengths), reach=reach) * towards).sum(), rows)
    expected = torch.autograd.grad((one_at_a_time(*rows, lengths, reach) * towards).sum(), rows)
    for gradient, right in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, right, **FP32)


@every_kernel
@every_reach
@every_length
def test_bf16_differs_from_fp32_by_its_rounding(kernel, lengths, reach):
    rows = [row.bfloat16() for row in rows_of(lengths)]
    out = kernel(*rows, batch_of(lengths), reach=reach)
    exact = one_at_a_time(*(row.float() for row in rows), lengths, reach)
    assert out.dtype == torch.bfloat16
    # scores under 4, weights and sums are each rounded to 8 bits: 2**-9 of their size at most
    assert (out.float() - exact).abs().max() <= (4 + 2) * 2**-9 * rows[2].float().abs().max()


@every_kernel
@pytest.mark.parametrize("reach", [None, 2])
@pytest.mark.parametrize("changed", range(4))
def test_no_sequence_sees_another(kernel, reach, changed):
    lengths = [5, 6, 7, 30]
    batch = batch_of(lengths)
    q, k, v = rows_of(lengths)
    before = kernel(q, k, v, batch, reach=reach).split(lengths)
    other = [row.split(lengths) for row in rows_of(lengths, seed=1)]
    mixed = [
        torch.cat([(theirs if n == changed else ours)[n] for n in range(4)])
        for ours, theirs in zip([row.split(lengths) for row in (q, k, v)], other, strict=True)
    ]
    after = kernel(*mixed, batch, reach=reach).split(lengths)
    assert [bool(was.equal(now)) for was, now in zip(before, after, strict=True)] == [n != changed for n in range(4)]


@every_kernel
def test_what_one_token_reads_is_its_own_value(kernel):
    q, k, v = rows_of([1, 1, 1])
    torch.testing.assert_close(kernel(q, k, v, batch_of([1, 1, 1])), v, rtol=0, atol=0)


@every_kernel
@pytest.mark.parametrize("magnitude", [0.0, 30.0])
def test_gradients_are_finite_for_flat_and_for_sharp_attention(kernel, magnitude):
    lengths = [2, 3, 9]
    q, k, v = (row.mul(magnitude).requires_grad_() for row in rows_of(lengths))
    kernel(q, k, v, batch_of(lengths), reach=1).sum().backward()
    assert all(row.grad.isfinite().all() for row in (q, k, v))


def test_dropout_keeps_the_mean_of_what_is_read():
    lengths = [50, 50]
    q, k, _ = rows_of(lengths)
    ones = torch.ones(100, H, K)
    torch.manual_seed(0)
    read = torch.stack([attend(q, k, ones, batch_of(lengths), dropout=0.3) for _ in range(200)])
    assert read.std() > 0.01
    assert abs(read.mean().item() - 1) < 0.01  # 60,000 independent rows of standard deviation near 0.1: 0.01 is 20 deviations


@pytest.mark.parametrize(
    ("device", "dtype", "given", "capability", "chosen"),
    [
        ("cuda", torch.bfloat16, {}, AMPERE, "varlen"),
        ("cuda", torch.float16, {"width": 256}, (9, 0), "varlen"),
        ("cuda", torch.bfloat16, {}, (7, 5), "grouped"),
        ("cuda", torch.float32, {}, (9, 0), "grouped"),
        ("cuda", torch.bfloat16, {"dropout": 0.1}, (9, 0), "grouped"),
        ("cuda", torch.bfloat16, {"width": 20}, (9, 0), "grouped"),
        ("cuda", torch.bfloat16, {"width": 264}, (9, 0), "grouped"),
        ("cuda", torch.bfloat16, {"varlen": False}, (9, 0), "grouped"),
        ("cpu", torch.bfloat16, {}, None, "grouped"),
    ],
)
def test_the_packed_kernel_is_chosen_where_it_can_answer(monkeypatch, device, dtype, given, capability, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_kernel(torch.device(device), dtype, **{"width": 64, "dropout": 0.0} | given) == chosen


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@every_reach
@every_length
def test_on_a_gpu_the_packed_kernel_answers_as_the_plain_one(monkeypatch, lengths, reach):
    monkeypatch.undo()
    rows = [row.cuda().bfloat16().requires_grad_() for row in rows_of(lengths)]
    outputs = [KERNELS[name](*rows, batch_of(lengths).to(rows[0].device), reach=reach) for name in ("grouped", "varlen")]
    gradients = [torch.autograd.grad(output.float().square().sum(), rows) for output in outputs]
    torch.testing.assert_close(*outputs, rtol=2e-2, atol=2e-2)
    for plain, fast in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, fast, rtol=5e-2, atol=5e-2)
