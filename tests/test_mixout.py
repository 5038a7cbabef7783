import pytest
import torch

from headway.mixout import Mixout

SHAPES = [(40, 30), (7, 5)]
every_share = pytest.mark.parametrize("p", [0.25, 0.5, 0.875])  # whole 256ths


def drawn(seed):
    torch.manual_seed(seed)
    return [torch.randn(shape) for shape in SHAPES]


@every_share
def test_each_weight_is_the_pretrained_one_or_as_much_further_from_it(p):
    """Lee et al. 2020, equation 5: (m u + (1 - m) w - p u) / (1 - p), with m drawn once for each weight."""
    pretrained, learned = drawn(0), drawn(1)
    for u, w, mixed in zip(pretrained, learned, Mixout(pretrained, p=p, seed=1).mix(learned, step=3), strict=True):
        m = mixed.eq(u)
        torch.testing.assert_close(mixed, (m * u + ~m * w - p * u) / (1 - p), rtol=1e-5, atol=1e-5)
    share = Mixout(pretrained, p=p, seed=1).mix(learned, step=3)[0].eq(pretrained[0]).float().mean().item()
    assert share == pytest.approx(p, abs=0.06)


def test_in_the_mean_it_is_what_has_been_learned():
    pretrained, learned = drawn(0), drawn(1)
    mixout = Mixout(pretrained, p=0.5, seed=1)
    mean = sum(mixout.mix(learned, step=step)[1] for step in range(2000)) / 2000
    torch.testing.assert_close(mean, learned[1], rtol=0, atol=0.25)


@every_share
def test_the_gradient_goes_back_through_the_same_mask(p):
    pretrained, learned, towards = drawn(0), drawn(1), drawn(2)
    mixout = Mixout(pretrained, p=p, seed=1)
    mixed = mixout.mix(learned, step=4)
    gradients = [weight.clone() for weight in towards]
    mixout.back(gradients, step=4)
    for u, w, out, given, found in zip(pretrained, learned, mixed, towards, gradients, strict=True):
        slope = torch.where(out == u, 0.0, (out - u) / (w - u))  # what is computed with is a line in what is learned
        torch.testing.assert_close(found, given * slope, rtol=1e-4, atol=1e-4)


def test_what_has_not_moved_is_not_moved():
    pretrained = drawn(0)
    assert all(a.equal(b) for a, b in zip(Mixout(pretrained, p=0.9, seed=1).mix(pretrained, step=0), pretrained, strict=True))


def test_masks_are_a_function_of_the_seed_the_update_and_the_weight():
    pretrained, learned = drawn(0), drawn(1)
    mixed = {(seed, step): Mixout(pretrained, p=0.5, seed=seed).mix(learned, step=step)[0] for seed in (1, 2) for step in (0, 1)}
    assert Mixout(pretrained, p=0.5, seed=1).mix(learned, step=0)[0].equal(mixed[1, 0])
    assert not any(mixed[1, 0].equal(other) for place, other in mixed.items() if place != (1, 0))


def test_a_weight_without_a_gradient_changes_no_other_mask():
    pretrained, towards = drawn(0), drawn(2)
    both, one = [weight.clone() for weight in towards], [None, towards[1].clone()]
    for gradients in (both, one):
        Mixout(pretrained, p=0.5, seed=1).back(gradients, step=0)
    assert both[1].equal(one[1])
