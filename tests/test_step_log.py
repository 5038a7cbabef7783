"""The log of updates, and that nobody waits for a loss who need not."""

import json
import math

import pytest
import torch

from headway.engine import Step
from headway.jobs.step_log import Diverged, StepLog


def step(number, loss=1.0):
    return Step(number, torch.tensor(loss), torch.tensor(0.5), 1e-4, 100)


def written(log):
    return [json.loads(line)["step"] for line in log.path.read_text().splitlines()]


def numbers(steps):
    return [step.number for step in steps]


@pytest.mark.parametrize(("behind", "given"), [(False, [[1], [2], [3]]), (True, [[], [1], [2]])])
def test_an_update_is_looked_at_at_once_or_when_the_next_is_on_its_way(tmp_path, behind, given):
    log = StepLog(tmp_path / "steps.jsonl", behind=behind)
    assert [numbers(log.add(step(number))) for number in (1, 2, 3)] == given
    assert numbers(log.rest()) == ([3] if behind else [])
    assert written(log) == [1, 2, 3]
    assert (log.steps, log.tokens) == (3, 300)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_noticed_when_it_is_looked_at_and_not_written(tmp_path, loss):
    log = StepLog(tmp_path / "steps.jsonl", behind=True)
    log.add(step(1))
    log.add(step(2, loss))
    with pytest.raises(Diverged) as diverged:
        log.add(step(3))
    assert (diverged.value.step, written(log)) == (2, [1])
