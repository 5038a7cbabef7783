"""What the trainings show, as numbers and in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from headway.events import Estimate
from headway.jobs.claims.measure import How, Trained, of
from headway.wording import metric_text, score_text, signed_text


@dataclass(frozen=True)
class Claims:
    """What fine-tuning gives that learning from scratch does not. Scores are means over seeds, on dev."""

    metric: str
    labels: int  # there are
    fine_tuned: dict[int, Estimate]  # labels -> score
    from_scratch: dict[int, Estimate]
    labels_needed: int | None  # the fewest measured with which fine-tuning scores what all labels give from scratch; None: none do
    seconds_from_scratch: float  # of training on all labels, until that score was reached
    seconds_needed: float | None  # by fine-tuning on all labels; None: it never was


def find_claims(points: Sequence[Trained]) -> Claims:
    """From all trainings that `measure` makes."""
    tuned, scratch = _by_labels(points, "fine-tuned"), _by_labels(points, "from scratch")
    everything = max(scratch)
    wanted = scratch[everything].value
    enough = [labels for labels, score in tuned.items() if score.value >= wanted]
    needed = [_seconds_to(wanted, point) for point in of(points, "fine-tuned", 1)]
    return Claims(
        metric=points[0].metric,
        labels=everything,
        fine_tuned=tuned,
        from_scratch=scratch,
        labels_needed=min(enough, default=None),
        seconds_from_scratch=fmean(_seconds_to_best(point) for point in of(points, "from scratch", 1)),
        seconds_needed=fmean(needed) if all(map(math.isfinite, needed)) else None,
    )


def _by_labels(points: Sequence[Trained], how: How) -> dict[int, Estimate]:
    """Rising; intervals are those of one training, over the records of dev, around the mean."""
    found = {}
    for share in sorted({point.share for point in points if point.how == how}):
        of_share = of(points, how, share)
        score, low, high = (fmean(getattr(point, name) for point in of_share) for name in ("score", "low", "high"))
        found[round(fmean(point.size for point in of_share))] = Estimate(score, low, high)
    return found


def _seconds_to(wanted: float, point: Trained) -> float:
    return next((seconds for seconds, score in point.curve if score >= wanted), math.inf)


def _seconds_to_best(point: Trained) -> float:
    return _seconds_to(max(score for _, score in point.curve), point)


def sentences(claims: Claims) -> Iterator[str]:
    """The three claims, or that they do not hold."""
    metric = metric_text(claims.metric)
    tuned, scratch = claims.fine_tuned[claims.labels].value, claims.from_scratch[claims.labels].value
    all_labels = f"all {claims.labels:,} labels"
    scores = f"{metric} {score_text(tuned)}, from scratch {score_text(scratch)}"
    yield f"fine-tuning on {all_labels}: {scores} ({signed_text(tuned - scratch)})"
    if claims.labels_needed is None:
        yield "no number of labels gives by fine-tuning what they all give from scratch"
    else:
        fewest = ", the fewest measured" if claims.labels_needed == min(claims.fine_tuned) else ""
        share = f" ({_ratio(claims.labels / claims.labels_needed)}{fewest})"
        yield f"fine-tuning reaches the from-scratch score of {all_labels} with {claims.labels_needed:,}{share}"
    if claims.seconds_needed is None:
        yield "fine-tuning never reaches that score in training on them all"
    else:
        spent = f"{_seconds(claims.seconds_needed)} of training instead of {_seconds(claims.seconds_from_scratch)}"
        yield f"and on all of them in {spent} ({_ratio(claims.seconds_from_scratch / claims.seconds_needed)} of the time)"


def _ratio(times: float) -> str:
    """1/14, or a share where it is near 1."""
    return f"1/{times:.0f}" if times >= 2.5 else f"{1 / times:.0%}"


def _seconds(count: float) -> str:
    return f"{count:,.0f} s" if count >= 10 else f"{count:.1f} s"
