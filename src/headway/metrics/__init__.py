"""Gold and predicted -> numbers. A share runs from 0 to 1; `Scores.main` names the number that decides which model is best.

| kind of answer | function |
|---|---|
| one class | `score_classes`, `best_macro_threshold` |
| any number of classes | `score_label_sets`, `best_threshold` |
| a number | `score_numbers` |
| entities | `score_spans` |
| an answer in a text | `score_answers`, `best_no_answer_threshold` |

`complete` adds intervals and what is said of probabilities; `differences` compares two models; `choose_run` the seeds of one;
`slice_scores` scores parts.
"""

from headway.metrics.classification import score_classes, score_label_sets
from headway.metrics.complete import complete, with_probabilities
from headway.metrics.paired import Difference, differences, holm, mcnemar, overall_differences
from headway.metrics.regression import score_numbers
from headway.metrics.resampling import units, with_intervals
from headway.metrics.runs import Choice, Spread, choose_run, spread
from headway.metrics.scores import Scores
from headway.metrics.slices import SLICES, Slice, by_value, slice_scores
from headway.metrics.spans import score_spans
from headway.metrics.squad import answer_em, answer_f1, normalise_answer, score_answers
from headway.metrics.thresholds import best_macro_threshold, best_no_answer_threshold, best_threshold

__all__ = [
    "SLICES",
    "Choice",
    "Difference",
    "Scores",
    "Slice",
    "Spread",
    "answer_em",
    "answer_f1",
    "best_macro_threshold",
    "best_no_answer_threshold",
    "best_threshold",
    "by_value",
    "choose_run",
    "complete",
    "differences",
    "holm",
    "mcnemar",
    "normalise_answer",
    "overall_differences",
    "score_answers",
    "score_classes",
    "score_label_sets",
    "score_numbers",
    "score_spans",
    "slice_scores",
    "spread",
    "units",
    "with_intervals",
    "with_probabilities",
]
