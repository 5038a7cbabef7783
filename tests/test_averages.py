import pytest
import torch

from headway.averages import Average, blend


def weights(count):
    """What a training might go through: two tensors after each update."""
    torch.manual_seed(0)
    return [[torch.randn(4, 3), torch.randn(5)] for _ in range(count)]


def averaged(path, decay):
    average = Average(path[0], decay=decay)
    for step in path:
        average.add(step)
    return average


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_the_mean_in_which_each_counts_decay_times_the_one_after(decay):
    path = weights(30)
    shares = torch.tensor([decay ** (29 - step) for step in range(30)], dtype=torch.float64)
    for mean, *values in zip(averaged(path, decay).means, *path, strict=True):
        expected = torch.tensordot(shares / shares.sum(), torch.stack(values).double(), dims=1)
        torch.testing.assert_close(mean.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_of_one_is_itself(decay):
    path = weights(1)
    assert all(mean.equal(weight) for mean, weight in zip(averaged(path, decay).means, path[0], strict=True))


def test_a_slow_decay_gives_the_plain_mean():
    path = weights(20)
    for mean, *values in zip(averaged(path, 1 - 1e-9).means, *path, strict=True):
        torch.testing.assert_close(mean, torch.stack(values).mean(0))


def test_what_does_not_move_stays():
    path = [weights(1)[0]] * 9
    assert all(mean.equal(weight) for mean, weight in zip(averaged(path, 0.9).means, path[0], strict=True))


def test_blended_one_after_the_other_they_are_the_mean_of_all():
    path = [dict(zip("ab", step, strict=True)) for step in weights(9)]
    mean = path[0]
    for count, step in enumerate(path[1:], 1):
        mean = blend(mean, step, count=count)
    for name in "ab":
        torch.testing.assert_close(mean[name], torch.stack([step[name] for step in path]).mean(0))
