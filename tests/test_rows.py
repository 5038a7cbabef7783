import pytest
import torch
from torch import nn

from headway.optimize import schedule
from headway.rows import RowAdamW

ROWS, WIDTH, STEPS = 40, 8, 120
BETAS, EPS = (0.9, 0.999), 1e-8
RATES = [1e-2 * schedule(step, steps=STEPS, warmup=0.1) for step in range(STEPS)]


def table(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(ROWS, WIDTH).to(dtype))


def rowwise(weight, decay=0.01):
    return RowAdamW(weight, rates=RATES, betas=BETAS, eps=EPS, decay=decay)


def reads(step):
    """Rows and gradients of an update: a few rows are read often, the others once in a while, the last never."""
    torch.manual_seed(step)
    rows = torch.unique(torch.randint(0, ROWS - 1 if step % 8 == 0 else 6, (5,)))
    return rows, torch.randn(len(rows), WIDTH) * 1e-2


def learn(optimizer, steps):
    for step in steps:
        rows, gradient = reads(step)
        optimizer.read(rows)
        for part in (0.25, 0.75):  # two pieces
            give(optimizer.table, rows, gradient * part)
            optimizer.collect()
        optimizer.step()


def give(weight, rows, gradient):
    weight.grad = torch.sparse_coo_tensor(rows[None], gradient.to(weight.dtype), weight.shape, check_invariants=True)


def dense(weight, decay=0.01):
    """What torch's AdamW makes of the same gradients in a dense table."""
    adamw = torch.optim.AdamW([weight], betas=BETAS, eps=EPS, weight_decay=decay)
    for step in range(STEPS):
        rows, gradient = reads(step)
        weight.grad = torch.zeros(ROWS, WIDTH)
        weight.grad[rows] = gradient
        adamw.param_groups[0]["lr"] = RATES[step]
        adamw.step()
    return weight.detach()


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.3])
def test_rows_end_where_dense_adamw_takes_them(decay):
    optimizer = rowwise(table(), decay)
    learn(optimizer, range(STEPS))
    optimizer.settle()
    expected = dense(table(), decay)
    assert (expected - table()).abs().max() > 0.1  # they went some way
    torch.testing.assert_close(optimizer.master_VD, expected, rtol=0, atol=2e-5)


def test_a_row_is_ready_when_it_is_read():
    optimizer = rowwise(table())
    learn(optimizer, range(20))
    rows = torch.tensor([0, 7, ROWS - 1])
    optimizer.read(rows)
    read = optimizer.table[rows].clone()
    optimizer.settle()
    assert read.equal(optimizer.table[rows])


def test_only_rows_that_are_read_are_touched_until_all_are_settled():
    optimizer = rowwise(table())
    learn(optimizer, [1])  # rows below 6
    assert optimizer.table[6:].equal(table()[6:])
    optimizer.settle()
    assert not optimizer.table[ROWS - 1].equal(table()[ROWS - 1])  # weight decay


def test_settling_twice_is_settling_once():
    optimizer = rowwise(table())
    learn(optimizer, range(9))
    optimizer.settle()
    settled = optimizer.master_VD.clone()
    optimizer.settle()
    assert optimizer.master_VD.equal(settled)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restored_table_goes_on_bit_for_bit(dtype):
    unbroken, broken, resumed = (rowwise(table(dtype)) for _ in range(3))
    learn(unbroken, range(40))
    learn(broken, range(25))
    resumed.restore(broken.state(), done=25)
    learn(resumed, range(25, 40))
    for optimizer in (unbroken, resumed):
        optimizer.settle()
    assert all(kept.equal(resumed.state()[name]) for name, kept in unbroken.state().items())
    assert unbroken.table.equal(resumed.table)


def test_the_network_has_the_rounded_master():
    optimizer = rowwise(table(torch.bfloat16))
    learn(optimizer, range(12))
    optimizer.settle()
    assert optimizer.table.equal(optimizer.master_VD.bfloat16())
