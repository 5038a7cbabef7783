"""tune.html: what a search found, from the folder of the search and nothing else. `templates/tune.html` says where it stands."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from headway.config import Range
from headway.events import Estimate
from headway.folders import write_text
from headway.jobs.report.evidence import estimate
from headway.jobs.report.view import Cell, Row, place_bar, scale_of
from headway.jobs.run_folder import PROVENANCE, REPORT, SCORES, SETTINGS, TUNED
from headway.jobs.tune import figures
from headway.jobs.tune.importance import FEWEST, by_settings, importances
from headway.jobs.tune.words import short
from headway.metrics import spread
from headway.pages import page
from headway.wording import clock_text, metric_text, score_text, sentence, signed_text

PAGE = "tune.html"
STATES = {"complete": "done", "pruned": "pruned", "fail": "failed"}


def write_page(folder: Path) -> None:
    found = json.loads((folder / TUNED).read_text(encoding="utf-8"))
    write_text(folder / PAGE, page("tune.html", view(found, folder), like="report.html"))


def view(found: dict, folder: Path) -> dict:
    """The values of `templates/tune.html`; `found` is what `tune.json` holds."""
    space = {name: Range(**tried) for name, tried in found["space"].items()}
    scores = json.loads((folder / SCORES).read_text(encoding="utf-8")) if (folder / SCORES).is_file() else {}
    rows = importances(found["trials"], space)
    count = len(by_settings(found["trials"]))
    return {
        "name": folder.resolve().name,
        "answer": _answer(found),
        "tested": _tested(scores),
        "about": _about(found, folder),
        "tiles": _tiles(found),
        "finals": _finals(found),
        "settings": _settings(found, space),
        "command": f"headway train --config {shlex.quote(str(folder / SETTINGS))}",
        "figures": [figures.history(found), figures.curves(found)],
        "parallel": figures.parallel(found, space),
        "importance": figures.importance(rows, trials=count) if rows else None,
        "too_few": None if rows else f"{count} different settings got a score; {FEWEST} or more are needed to tell them from chance",
        "trials": [_trial_row(trial, found) for trial in found["trials"]],
        "names": [name.partition(".")[2].replace("_", " ") for name in space],
        "metric": metric_text(found["metric"]),
        "report": REPORT if (folder / REPORT).is_file() else None,
        "version": version("headway"),
    }


# --- the answer


class Against(NamedTuple):
    """The default recipe, with the seeds of the finals where it was a finalist."""

    value: float
    in_finals: bool


def _default(found: dict) -> Against | None:
    """None where it has not got to its end."""
    if "0" in found["means"]:
        return Against(found["means"]["0"], True)
    first = next((trial for trial in found["trials"] if trial["number"] == 0), None)
    return Against(first["value"], False) if first is not None and first["value"] is not None else None


def _answer(found: dict) -> str:
    winner, metric = found["winner"]["trial"], metric_text(found["metric"])
    of = _of_seeds(found, winner)
    count = sum(run["trial"] == winner for run in found["finals"])
    said = f"{metric} on dev is {score_text(of.value)} in the mean of {count} new seeds (95% interval {_interval(of, ' to ')})"
    if winner == 0:
        return f"Nothing that was tried is better than the default recipe: its {said}."
    return f"Trial {winner} is the best that was found: its {said}{_gain(found, of)}."


def _gain(found: dict, of: Estimate) -> str:
    """Over the default recipe."""
    default = _default(found)
    if default is None:
        return "; the default recipe did not get to its end"
    if not default.in_finals:
        return f"; the default recipe was no finalist, with {score_text(default.value)} as a trial"
    chance = ", which may be chance" if _of_seeds(found, 0).high >= of.low else ""
    return f", {signed_text(of.value - default.value)} against the default recipe with the same seeds{chance}"


def _of_seeds(found: dict, trial: int) -> Estimate:
    of = spread(found["metric"], [run["value"] for run in found["finals"] if run["trial"] == trial])
    return Estimate(of.mean, of.low, of.high)


def _interval(of: Estimate, between: str) -> str:
    return f"{score_text(of.low)}{between}{score_text(of.high)}"


def _tested(scores: Mapping) -> str | None:
    """Where there was a test set."""
    if "test" not in scores.get("main", {}):
        return None
    metric = scores["main"]["test"]
    of = estimate(scores["test"][metric])
    value = f"{score_text(of.value)} (95% interval {_interval(of, ' to ')})" if isinstance(of, Estimate) else score_text(of)
    return f"On test, which was opened once, by this model, and which nothing was chosen by, {metric_text(metric)} is {value}."


def _about(found: dict, folder: Path) -> str:
    path = folder / PROVENANCE
    made = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    learned = found["records"]
    some = f"trials learn from {learned['trial']:,} of {learned['final']:,} records, the finals from all"
    share = some if learned["trial"] < learned["final"] else f"all learn from {learned['final']:,} records"
    base = made.get("base_model", {}).get("name")
    return " · ".join(part for part in (base, share, made.get("started", "")[:10]) if part)


def _tiles(found: dict) -> list[tuple[str, str]]:
    states = Counter(trial["state"] for trial in found["trials"])
    counted = [(f"{states[state]:,}", f"trials {word}") for state, word in STATES.items() if states[state]]
    return [*counted, (f"{len(found['finals']):,}", "trainings in the finals"), (clock_text(found["seconds"]["trials"]), "for the trials")]


# --- finals and settings


def _finals(found: dict) -> dict:
    trials = {trial["number"]: trial for trial in found["trials"]}
    means = {int(number): _of_seeds(found, int(number)) for number in found["means"]}
    scale = scale_of(list(means.values()))
    rows = []
    for number, of in sorted(means.items(), key=lambda row: -row[1].value):
        values = [run["value"] for run in found["finals"] if run["trial"] == number]
        cells = [Cell(score_text(of.value), _interval(of, "–")), *(Cell(score_text(value)) for value in (min(values), max(values)))]
        as_trial = trials[number]["value"]
        cells += [Cell(f"{len(values)}"), Cell("" if as_trial is None else score_text(as_trial))]
        name = f"trial {number}{', the default recipe' * (number == 0)}"
        rows.append(Row(name, cells, place_bar(of, scale), "this" if number == found["winner"]["trial"] else ""))
    return {"rows": rows, "scale": f"from {score_text(scale[0])} to {score_text(scale[1])}"}


def _settings(found: dict, space: Mapping[str, Range]) -> list[dict]:
    """Of the winner against those of the default recipe."""
    won, default = found["winner"]["settings"], found["default"]
    return [
        {
            "name": name,
            "default": short(default[name]) if default.get(name) is not None else "–",
            "won": short(won[name]) if name in won else "–",
            "differs": name in won and won[name] != default.get(name),
            "tried": _tried(tried),
        }
        for name, tried in space.items()
    ]


def _tried(tried: Range) -> str:
    if tried.choices is not None:
        return ", ".join(map(short, tried.choices))
    return f"{short(tried.low)} to {short(tried.high)}{', log' * tried.log}"


def _trial_row(trial: dict, found: dict) -> dict:
    best, epochs = max(trial["curve"], default=None), len(trial["curve"]) / found["evaluations"]
    return {
        "number": trial["number"],
        "state": STATES[trial["state"]],
        "is_winner": trial["number"] == found["winner"]["trial"],
        "score": "–" if best is None else score_text(best),
        "epochs": f"{epochs:g}",
        "seconds": clock_text(trial["seconds"] or 0.0),
        "settings": [short(trial["settings"][name]) if name in trial["settings"] else "" for name in found["space"]],
        "why": sentence(trial["why"] or ""),
    }
