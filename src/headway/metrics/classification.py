"""Scores of classes, one a record or any number of them, as scikit-learn counts them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from warnings import catch_warnings

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from headway.metrics.scores import Scores, paired

IMBALANCED = 3  # times the rarest class: from here on, accuracy hides how the rare classes fare


def score_classes(gold: Sequence[str], predicted: Sequence[str], *, positive: str | None = None) -> Scores:
    """Accuracy, macro, micro and weighted F1, and Matthews' correlation (-1 to 1; 0 where a side has one class) of one class a record.

    `positive` names the class that a two-class problem is about, and adds its precision, recall and f1. A gold class that the model
    has never seen counts as an error like any other, and as a class of the macro mean.
    """
    gold, predicted = zip(*paired(gold, predicted), strict=True)
    labels = sorted({*gold, *predicted})
    with catch_warnings(action="ignore", category=UserWarning):  # that most classes occur once, or that there is only one
        by_label = dict(zip(labels, _rates(gold, predicted, labels), strict=True))
        values = {
            "accuracy": float(accuracy_score(gold, predicted)),
            **_mean_f1(gold, predicted, labels),
            "mcc": float(matthews_corrcoef(gold, predicted)),
        }
        if positive is not None:
            [of_positive] = _rates(gold, predicted, [positive])
            values |= {name: of_positive[name] for name in ("precision", "recall", "f1")}
    return Scores(main=main_metric(Counter(gold)), values=values, by_label=by_label)


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
    gold, predicted = zip(*((set(truth), set(guess)) for truth, guess in paired(gold, predicted)), strict=True)
    seen = sorted(set().union(*gold, *predicted))
    never = object(), object()  # columns of zeros: scikit-learn takes a single column for classes, and no column for a mistake
    to_bits = MultiLabelBinarizer(classes=[*seen, *never], sparse_output=True).fit([])
    bits = to_bits.transform(gold), to_bits.transform(predicted)
    columns = range(max(len(seen), 1))
    values = {
        **_mean_f1(*bits, columns),
        "samples_f1": float(f1_score(*bits, average="samples", zero_division=1)),
        "subset_accuracy": float(accuracy_score(*bits)),
        "absent_labels": float(len(set(labels) - set(seen))),
    }
    return Scores(main="macro_f1", values=values, by_label=dict(zip(seen, _rates(*bits, columns), strict=False)))


def _rates(gold, predicted, labels: Sequence) -> list[dict[str, float]]:
    """Precision, recall, F1 and support of each label; 0 where a rate would divide by 0."""
    rates = precision_recall_fscore_support(gold, predicted, labels=labels, average=None, zero_division=0)
    return [dict(zip(("precision", "recall", "f1", "support"), row, strict=True)) for row in np.transpose(rates).tolist()]


def _mean_f1(gold, predicted, labels: Sequence) -> dict[str, float]:
    """F1 with every label alike, with every decision alike, and with every label by its share of the gold."""
    means = ("macro", "micro", "weighted")
    return {f"{mean}_f1": float(f1_score(gold, predicted, labels=labels, average=mean, zero_division=0)) for mean in means}
