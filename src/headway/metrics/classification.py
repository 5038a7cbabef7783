"""Scores of classes: one a record, or any number of them. Equal to scikit-learn's, from counts, without its validation of every call."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import sqrt

from headway.metrics.scores import Scores, Tally, macro_f1, paired, rates, weighted_f1

IMBALANCED = 3  # times the rarest class: from here on, accuracy hides how the rare classes fare


def score_classes(gold: Sequence[str], predicted: Sequence[str], *, positive: str | None = None) -> Scores:
    """Accuracy, macro, micro and weighted F1, and Matthews' correlation (-1 to 1) of one class a record.

    `positive` names the class that a two-class problem is about, and adds its precision, recall and f1. A gold class that the model
    has never seen counts as an error like any other, and as a class of the macro mean.
    """
    pairs = paired(gold, predicted)
    tally = Tally(Counter(truth for truth, guess in pairs if truth == guess), Counter(predicted), Counter(gold))
    by_label = tally.by_label()
    values = {
        "accuracy": tally.right.total() / len(pairs),
        "macro_f1": macro_f1(by_label),
        "micro_f1": tally.overall()["f1"],
        "weighted_f1": weighted_f1(by_label),
        "mcc": _matthews(tally),
    }
    if positive is not None:
        of_positive = by_label.get(positive) or rates(0, 0, 0)
        values |= {name: of_positive[name] for name in ("precision", "recall", "f1")}
    return Scores(main=main_metric(tally.gold), values=values, by_label=by_label)


def main_metric(gold: Counter[str]) -> str:
    """Macro F1 where the largest gold class is over three times the smallest, else accuracy.

    With 13% spam, a model that never says "spam" is 87% accurate and useless; its macro F1 of 0.47 tells.
    """
    return "macro_f1" if max(gold.values()) > IMBALANCED * min(gold.values()) else "accuracy"


def score_label_sets(gold: Sequence[Iterable[str]], predicted: Sequence[Iterable[str]], *, labels: Iterable[str] = ()) -> Scores:
    """Macro, micro, weighted and samples F1, and subset accuracy, of any number of classes a record.

    Of the `labels` that the model knows, those that are neither in the gold nor predicted say nothing about it: they are left out of
    the macro mean and counted in `absent_labels`. A record without labels for which none is predicted has a samples F1 of 1.
    """
    pairs = [(set(truth), set(guess)) for truth, guess in paired(gold, predicted)]
    tally = Tally(
        right=Counter(label for truth, guess in pairs for label in truth & guess),
        predicted=Counter(label for _, guess in pairs for label in guess),
        gold=Counter(label for truth, _ in pairs for label in truth),
    )
    by_label = tally.by_label()
    values = {
        "macro_f1": macro_f1(by_label),
        "micro_f1": tally.overall()["f1"],
        "weighted_f1": weighted_f1(by_label),
        "samples_f1": sum(_overlap_f1(truth, guess) for truth, guess in pairs) / len(pairs),
        "subset_accuracy": sum(truth == guess for truth, guess in pairs) / len(pairs),
        "absent_labels": float(len(set(labels) - by_label.keys())),
    }
    return Scores(main="macro_f1", values=values, by_label=by_label)


def _overlap_f1(truth: set[str], guess: set[str]) -> float:
    return 2 * len(truth & guess) / (len(truth) + len(guess)) if truth or guess else 1.0


def _matthews(tally: Tally) -> float:
    """Correlation between gold and predicted classes; 0 where either side has one class only.

    Source: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient.
    """
    total = tally.gold.total()
    together = tally.right.total() * total - sum(count * tally.predicted[label] for label, count in tally.gold.items())
    spread_gold, spread_predicted = (total**2 - sum(count**2 for count in side.values()) for side in (tally.gold, tally.predicted))
    return together / sqrt(spread_gold * spread_predicted) if spread_gold and spread_predicted else 0.0
