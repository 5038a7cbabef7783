"""What a search has found: said, and kept in `tune.json`."""

import json
from collections.abc import Iterator, Sequence

from optuna.trial import FrozenTrial

from headway.events import Estimate, Said, Scored
from headway.folders import write_text
from headway.jobs.run_folder import TUNED
from headway.jobs.tune.finals import Ran, best_run, means
from headway.jobs.tune.space import setting
from headway.jobs.tune.study import FINISHED, SECONDS, WHY, WITHDRAWN
from headway.jobs.tune.trial import Search
from headway.jobs.tune.words import short
from headway.metrics import spread
from headway.wording import metric_text, score_text


def answer(search: Search, chosen: Sequence[FrozenTrial], ran: Sequence[Ran]) -> Iterator[Said | Scored]:
    """The finals as a table, who won and by what settings, and what it would have been without a search."""
    trials, kept = search.study.trials(), best_run(ran)
    metric, of_trial = kept.metric, means(ran)
    yield Scored("finals on dev", {f"trial {trial.number}": _row(metric, trial, ran) for trial in chosen})
    words = metric_text(metric)
    shown = trials[kept.trial].value
    lucky = f"; its trial had shown {score_text(shown)}" if abs(shown - of_trial[kept.trial]) >= 0.0005 else ""
    seeds = sum(run.trial == kept.trial for run in ran)
    yield Said("winner", f"trial {kept.trial}: {words} {score_text(of_trial[kept.trial])} in the mean of {seeds} new seeds{lucky}")
    changed = _changed(search, trials[kept.trial])
    yield Said("", f"its settings: {', '.join(changed)}" if changed else "its settings are those of the default recipe")
    if kept.trial != 0 and 0 in of_trial:
        yield Said("", f"the default recipe: {score_text(of_trial[0])} with the same seeds")
    elif kept.trial != 0 and (default := trials[0].value) is not None:
        both = f"{score_text(default)} as a trial, the winner {score_text(shown)}"
        yield Said("", f"the default recipe was no finalist: {words} {both}")
    write_text(search.folder / TUNED, json.dumps(_as_json(search, trials, ran, kept), indent=1))


def _row(metric: str, trial: FrozenTrial, ran: Sequence[Ran]) -> dict[str, float | Estimate]:
    """The mean has the interval that further seeds leave open."""
    values = [run.value for run in ran if run.trial == trial.number]
    of = spread(metric, values)
    return {"as trial": trial.value, "mean of seeds": Estimate(of.mean, of.low, of.high), "lowest": min(values), "highest": max(values)}


def _changed(search: Search, trial: FrozenTrial) -> list[str]:
    """What is not as in the default recipe."""
    before = {name: setting(search.base, name) for name in trial.params}
    return [f"{name} {short(before[name])} -> {short(value)}" for name, value in trial.params.items() if value != before[name]]


def _as_json(search: Search, trials: Sequence[FrozenTrial], ran: Sequence[Ran], kept: Ran) -> dict:
    """Every trial with its settings and its curve, every run of the finals, and what it took."""
    return {
        "metric": kept.metric,
        "winner": {"trial": kept.trial, "seed": kept.seed, "settings": trials[kept.trial].params},
        "records": {"trial": search.records, "final": len(search.corpus.train)},
        "seconds": {"trials": round(sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials), 3)},
        "means": means(ran),
        "finals": [{"trial": run.trial, "seed": run.seed, "value": run.value} for run in ran],
        "default": {name: setting(search.base, name) for name in search.space},
        "space": {name: tried.model_dump(exclude_none=True) for name, tried in search.space.items()},
        "evaluations": search.base.train.evaluations,
        "trials": [_trial(trial) for trial in trials if trial.state in FINISHED and WITHDRAWN not in trial.user_attrs],
    }


def _trial(trial: FrozenTrial) -> dict:
    """`curve` is the score at every evaluation that was made."""
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value,
        "settings": trial.params,
        "curve": [trial.intermediate_values[number] for number in sorted(trial.intermediate_values)],
        "why": trial.user_attrs.get(WHY),
        "seconds": trial.user_attrs.get(SECONDS),
    }
