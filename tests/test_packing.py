from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.packing import Order, count_targets, pack, pieces
from headway.records import IGNORED, Window

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=25)
ORDERS = st.builds(Order, st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**31))
promise = settings(max_examples=60)


def window(length, seed=0, record=0):
    """A window whose every number can be told from those of other windows."""
    draw = np.random.default_rng([seed, length])
    ids, types = draw.integers(0, 1000, length, dtype=np.int32), draw.integers(0, 2, length, dtype=np.int32)
    return Window(record, ids, types, np.zeros((length, 2), dtype=np.int32), np.array([seed]))


def windows_of(lengths):
    return [window(length, seed) for seed, length in enumerate(lengths)]


@promise
@given(LENGTHS)
def test_packing_gives_the_windows_back(lengths):
    windows = windows_of(lengths)
    batch = pack(windows)
    assert batch.lengths == tuple(lengths)
    assert batch.longest == max(lengths)
    assert batch.targets_A.tolist() == list(range(len(lengths)))
    for ids, types, positions, given_window in zip(
        batch.input_ids_T.split(lengths), batch.token_type_ids_T.split(lengths), batch.positions_T.split(lengths), windows, strict=True
    ):
        assert ids.tolist() == given_window.input_ids_N.tolist()
        assert types.tolist() == given_window.token_type_ids_N.tolist()
        assert positions.tolist() == list(range(len(given_window)))


@promise
@given(LENGTHS)
def test_every_token_knows_its_sequence_and_every_sequence_its_start(lengths):
    batch = pack(windows_of(lengths))
    assert batch.sequence_T.tolist() == [number for number, length in enumerate(lengths) for _ in range(length)]
    assert batch.starts_S.tolist() == [sum(lengths[:number]) for number in range(len(lengths))]
    assert (batch.positions_T[batch.starts_S] == 0).all()


@promise
@given(LENGTHS)
def test_groups_are_whole_sequences_that_follow_one_another(lengths):
    batch = pack(windows_of(lengths))
    starts = [*batch.starts_S.tolist(), sum(lengths)]
    assert [group.start for group in batch.groups] == [0, *(group.stop for group in batch.groups[:-1])]
    assert batch.groups[-1].stop == sum(lengths)
    assert sum(group.rows for group in batch.groups) == len(lengths)
    assert all(group.stop in starts for group in batch.groups)


@promise
@given(LENGTHS)
def test_a_group_put_in_its_rectangle_and_taken_out_is_as_before(lengths):
    batch = pack(windows_of(lengths))
    for group in batch.groups:
        tokens = batch.input_ids_T[group.start : group.stop]
        if group.gather_SL is None:
            assert len(tokens) == group.rows * group.longest
            continue
        cells = tokens[group.gather_SL]
        assert cells[group.scatter_T].equal(tokens)
        assert cells[group.inside_SL.reshape(-1)].equal(tokens)
        assert group.inside_SL.shape == (group.rows, group.longest)


def test_a_rectangle_has_few_empty_cells_where_lengths_are_sorted():
    lengths = sorted(np.random.default_rng(0).integers(1, 500, 200).tolist())
    cells = sum(group.rows * group.longest for group in pack(windows_of(lengths)).groups)
    assert cells < 1.25 * sum(lengths)


def test_moving_a_batch_to_where_it_is_gives_the_batch_itself():
    batch = pack(windows_of([3, 5]))
    assert batch.to(torch.device("cpu")) is batch


def test_moving_a_batch_moves_every_tensor_of_it():
    moved = pack(windows_of([3, 5, 40])).to(torch.device("meta"))
    tensors = [moved.input_ids_T, moved.token_type_ids_T, moved.positions_T, moved.starts_S, moved.sequence_T, moved.targets_A]
    tensors += [part for group in moved.groups for part in group if isinstance(part, torch.Tensor)]
    assert len(tensors) > 6
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@promise
@given(LENGTHS, st.integers(1, 100))
def test_pieces_hold_every_window_once(lengths, budget):
    cut = pieces(windows_of(lengths), token_budget=budget)
    assert sorted(position for piece in cut for position in piece) == list(range(len(lengths)))


@promise
@given(LENGTHS, st.integers(1, 100))
def test_a_piece_is_within_the_budget_or_a_single_window(lengths, budget):
    for piece in pieces(windows_of(lengths), token_budget=budget):
        assert len(piece) == 1 or sum(lengths[position] for position in piece) <= budget


@promise
@given(LENGTHS, st.integers(1, 100))
def test_pieces_go_from_short_windows_to_long_ones(lengths, budget):
    read = [lengths[position] for piece in pieces(windows_of(lengths), token_budget=budget) for position in piece]
    assert read == sorted(lengths)


def test_of_no_windows_there_are_no_pieces():
    assert pieces([], token_budget=10) == []


@promise
@given(ORDERS, st.integers(0, 3))
def test_every_epoch_sees_every_window_once(order, epoch):
    per_epoch = order.updates_per_epoch
    updates = [order.update(step).tolist() for step in range(epoch * per_epoch, (epoch + 1) * per_epoch)]
    first = epoch * order.windows if order.unrolled else 0
    assert sorted(position - first for update in updates for position in update) == list(range(order.windows))
    assert all(len(update) == order.batch_size for update in updates[:-1])
    assert updates[-1]


@promise
@given(ORDERS, st.integers(0, 200))
def test_an_update_is_a_function_of_the_seed_and_its_number(order, step):
    first = order.update(step).tolist()
    order.update(step + 1)
    np.random.seed(step)
    assert order.update(step).tolist() == first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((Order(50, 50, 1), 0), (Order(50, 50, 1), 1), id="epochs"),
        pytest.param((Order(50, 50, 1), 0), (Order(50, 50, 2), 0), id="seeds"),
        pytest.param((Order(50, 50, 1), 2), (Order(50, 50, 2), 1), id="seed and epoch exchanged"),
    ],
)
def test_another_order_comes_with_another(one, other):
    assert one[0].update(one[1]).tolist() != other[0].update(other[1]).tolist()


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        pytest.param([[1], [0], [IGNORED]], 2, id="classes"),
        pytest.param([[IGNORED, 3, 0, IGNORED], [IGNORED]], 2, id="tokens"),
        pytest.param([[[0.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]], 6, id="label sets"),
        pytest.param([[[0, 0]], [[4, 7]]], 4, id="starts and ends"),
    ],
)
def test_what_a_loss_is_divided_by_counts_every_target_that_is_not_ignored(targets, count):
    assert count_targets([SimpleNamespace(targets_A=np.array(target)) for target in targets]) == count
