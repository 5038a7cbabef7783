import pytest
import torch
from torch.nn import functional as F

from headway.losses import binary_cross_entropy, cross_entropy
from headway.records import IGNORED

GAMMAS = (0.5, 1.0, 2.0, 5.0)
CLASSES, TARGETS = 4, 9


def logits(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return torch.randn(TARGETS, CLASSES, dtype=dtype, requires_grad=True)


def classes():
    targets_A = torch.arange(TARGETS) % CLASSES
    targets_A[3] = IGNORED
    return targets_A


def label_sets():
    return (torch.arange(TARGETS * CLASSES) % 3 == 0).double().view(TARGETS, CLASSES)


LOSSES = {"one class": (cross_entropy, classes), "sets of classes": (binary_cross_entropy, label_sets)}
every_loss = pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)


SMOOTHINGS = (0.0, 0.1, 0.5)
WEIGHTS = {"alike": torch.ones(CLASSES).double(), "weighed": torch.tensor([1.0, 2.0, 0.5, 3.0]).double()}
every_weight = pytest.mark.parametrize("weights_C", WEIGHTS.values(), ids=WEIGHTS)


@every_weight
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_label_smoothing_and_weights_of_one_class_are_the_equation(smoothing, weights_C):
    """Szegedy et al. 2016, section 7: a share of each target is drawn evenly among all classes; each class counts by its weight."""
    targets_A, logits_AC = classes(), logits()
    known = targets_A != IGNORED
    wanted = (1 - smoothing) * F.one_hot(targets_A[known], CLASSES) + smoothing / CLASSES
    expected = -(weights_C * wanted * logits_AC.softmax(-1)[known].log()).sum()
    torch.testing.assert_close(cross_entropy(logits_AC, targets_A, weights_C=weights_C, smoothing=smoothing), expected)


@every_weight
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_label_smoothing_and_weights_of_label_sets_are_the_equation(smoothing, weights_C):
    """The same, each label by itself: there or not are its two classes, and its weight is of where it is there."""
    targets_AC, logits_AC = label_sets(), logits()
    p, wanted = logits_AC.sigmoid(), (1 - smoothing) * label_sets() + smoothing / 2
    expected = -(weights_C * wanted * p.log() + (1 - wanted) * (1 - p).log()).sum()
    torch.testing.assert_close(binary_cross_entropy(logits_AC, targets_AC, weights_C=weights_C, smoothing=smoothing), expected)


def test_a_class_of_weight_2_counts_as_if_each_of_its_targets_were_there_twice():
    targets_A, logits_AC = classes(), logits()
    twice = targets_A == 1
    expected = cross_entropy(torch.cat([logits_AC, logits_AC[twice]]), torch.cat([targets_A, targets_A[twice]]))
    torch.testing.assert_close(cross_entropy(logits_AC, targets_A, weights_C=torch.tensor([1.0, 2.0, 1.0, 1.0]).double()), expected)


@every_loss
@pytest.mark.parametrize("smoothing", SMOOTHINGS[1:])
def test_smoothed_targets_are_learned_best_by_who_is_as_unsure(loss, targets, smoothing):
    """The slope is none where an answer gives a target what is left of it, and each other class its share."""
    if loss is cross_entropy:
        sure = F.one_hot(classes().clamp(min=0), CLASSES)
        logits_AC = ((1 - smoothing) * sure + smoothing / CLASSES).double().log().requires_grad_()
    else:
        logits_AC = ((1 - smoothing) * label_sets() + smoothing / 2).logit().requires_grad_()
    loss(logits_AC, targets(), smoothing=smoothing).backward()
    torch.testing.assert_close(logits_AC.grad, torch.zeros_like(logits_AC))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_loss_of_one_class_is_the_equation(gamma):
    """Lin et al. 2017, equation 5, with weights of the classes for alpha."""
    weights_C, targets_A, logits_AC = torch.tensor([1.0, 2.0, 0.5, 3.0]).double(), classes(), logits()
    known = targets_A != IGNORED
    p = logits_AC.softmax(-1)[known, targets_A[known]]
    expected = -(weights_C[targets_A[known]] * (1 - p) ** gamma * p.log()).sum()
    torch.testing.assert_close(cross_entropy(logits_AC, targets_A, weights_C=weights_C, focal_gamma=gamma), expected)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_loss_of_label_sets_is_the_equation(gamma):
    """The same, each label by itself: p is what is said of a label that is there, 1 - p of one that is not."""
    weights_C, targets_AC, logits_AC = torch.tensor([1.0, 2.0, 0.5, 3.0]).double(), label_sets(), logits()
    p = torch.where(targets_AC == 1, logits_AC.sigmoid(), 1 - logits_AC.sigmoid())
    expected = -(torch.where(targets_AC == 1, weights_C, 1.0) * (1 - p) ** gamma * p.log()).sum()
    torch.testing.assert_close(binary_cross_entropy(logits_AC, targets_AC, weights_C=weights_C, focal_gamma=gamma), expected)


@every_loss
@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_gradient_is_that_of_the_loss(loss, targets, gamma):
    assert torch.autograd.gradcheck(lambda logits_AC: loss(logits_AC, targets(), focal_gamma=gamma), (logits(),))


@every_loss
def test_focal_loss_nears_the_plain_one_as_gamma_nears_0(loss, targets):
    torch.testing.assert_close(loss(logits(), targets(), focal_gamma=1e-9), loss(logits(), targets()))


@every_loss
@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_target_that_is_known_for_sure_teaches_nothing_and_breaks_nothing(loss, targets, gamma):
    sure = (F.one_hot(classes().clamp(min=0), CLASSES) if loss is cross_entropy else label_sets()).double()
    logits_AC = ((2 * sure - 1) * 1e4).requires_grad_()
    value = loss(logits_AC, targets(), focal_gamma=gamma)
    value.backward()
    assert value == 0
    assert logits_AC.grad.eq(0).all()


@every_loss
def test_a_target_that_is_missed_for_sure_counts_in_full(loss, targets):
    wrong = -(F.one_hot(classes().clamp(min=0), CLASSES) if loss is cross_entropy else label_sets()).double()
    logits_AC = (2 * wrong + 1) * 1e3
    torch.testing.assert_close(loss(logits_AC, targets(), focal_gamma=2.0), loss(logits_AC, targets()))
