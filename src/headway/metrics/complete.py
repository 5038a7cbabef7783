"""All there is to say of predictions: beside the scores of their task the quality of their probabilities, and how sure each number is."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from headway.metrics.calibration import calibration, judge, reliability
from headway.metrics.ranking import average_precision
from headway.metrics.resampling import with_intervals
from headway.metrics.scores import Key, Scores, Weigh, scored
from headway.records import Prediction, Record


def complete(scores: Scores, records: Sequence[Record], predictions: Sequence[Prediction]) -> Scores:
    """The scores with their intervals, and with average precision (label sets) and calibration where there are probabilities.

    Records of one unit count as one piece of evidence.
    """
    return with_intervals(with_probabilities(scores, records, predictions), [record.unit for record in records])


def with_probabilities(scores: Scores, records: Sequence[Record], predictions: Sequence[Prediction]) -> Scores:
    """The scores, and those of the probabilities that the predictions come with."""
    weighs, about, diagram = [scores.weigh], dict(scores.about), ()
    if isinstance(records[0].label, tuple) and all(prediction.scores for prediction in predictions):
        weigh, of_label = average_precision([record.label for record in records], [prediction.scores for prediction in predictions])
        weighs.append(weigh)
        about |= of_label
    if (judged := judge(records, predictions)) is not None:
        weighs.append(calibration(judged, records=len(records)))
        about |= dict.fromkeys(((None, "ece"), (None, "brier")), np.unique(judged.record_M).astype(np.int64))
        diagram = reliability(judged)
    together = scored(scores.main, partial(_together, weighs), scores.each_N, about=about, judged=scores.judged)
    return replace(together, reliability=diagram)


def _together(weighs: Sequence[Weigh], weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    return {key: values_B for weigh in weighs for key, values_B in weigh(weights_NB).items()}
