"""Which settings decided how good a trial was, and what chance alone would have made of it.

PED-ANOVA compares where in the space the best quarter of the trials lies with where all of them lie: Watanabe et al. 2023,
arXiv:2304.10255. Few trials can look as if a setting mattered: the same is done with the scores shuffled, again and again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from headway.config import Range
from headway.jobs.tune.space import distribution

BEST = 0.25  # of the trials
FEWEST = 20  # trials: the best quarter has then the five that the evaluator asks for
SHUFFLES = 100
LEVEL = 0.95


class Importance(NamedTuple):
    name: str
    share: float  # of what all settings together decided
    chance: float  # that shuffled scores stay under 95 times in 100


def importances(trials: Sequence[dict], space: dict[str, Range]) -> list[Importance]:
    """Of every setting in the space, the most important first; nothing where there are too few trials.

    Trials are compared as successive halving does it: those that went on longer come first, then the better ones.

    Args:
        trials: as `tune.json` has them.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = by_settings(trials)
    if len(known) < FEWEST:
        return []
    order = sorted(range(len(known)), key=lambda place: (len(known[place]["curve"]), max(known[place]["curve"])))
    rank_N = np.argsort(order).astype(float)
    found = _shares(known, space, rank_N)
    generator = np.random.default_rng(1)
    shuffled = [_shares(known, space, generator.permutation(rank_N)) for _ in range(SHUFFLES)]
    rows = [Importance(name, share, float(np.quantile([of[name] for of in shuffled], LEVEL))) for name, share in found.items()]
    return sorted(rows, key=lambda row: -row.share)


def by_settings(trials: Sequence[dict]) -> list[dict]:
    """Those that have a score, each settings once."""
    return list({str(sorted(trial["settings"].items())): trial for trial in reversed(trials) if trial["curve"]}.values())[::-1]


def _shares(trials: Sequence[dict], space: dict[str, Range], rank_N: np.ndarray) -> dict[str, float]:
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        create_trial(value=float(rank), params=of["settings"], distributions={name: distribution(space[name]) for name in of["settings"]})
        for of, rank in zip(trials, rank_N, strict=True)
    )
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST))
