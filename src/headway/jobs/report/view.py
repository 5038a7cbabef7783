"""What the page shows, ready to be put in: every number as text, every table as rows. `templates/report.html` says where it stands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

from headway.config import Config
from headway.events import Estimate
from headway.jobs.compare import CHANCE
from headway.jobs.report import figures
from headway.jobs.report.advice import Advice, again, audit_command
from headway.jobs.report.evidence import Evidence, estimate, number
from headway.jobs.report.examples import SHOWN_AT_ONCE, Browser, browse, short
from headway.jobs.report.last import Last
from headway.jobs.report.spread import say_kept, say_spread
from headway.jobs.report.verdicts import BORDERS, NOTHING, Verdict
from headway.jobs.scored import kind_of
from headway.jobs.scores import OF_EACH, shown_metrics
from headway.metrics.scores import COUNTS
from headway.wording import clock_text, metric_text, score_text, sentence, signed_text

MOST_CLASSES = 12  # of a confusion matrix; with more, the commonest confusions are listed
MOST_PAIRS = 15
MOST_SHOWN = 20  # rows of a table before it is folded
MOST_FOLDED = 300  # rows in there; scores.json and data.json have all
MOST_METRICS = 5  # columns of the first table; the others are folded below it
HEATS = 5  # shades of a cell
TASKS = {"single": "classes", "multi": "sets of labels", "number": "a number", "ner": "entities", "qa": "answers"}
LOWER_IS_BETTER = {"mae", "rmse"}


class Bar(NamedTuple):
    """A value and its interval as places on a scale from 0 to 100."""

    value: float
    low: float
    high: float


class Cell(NamedTuple):
    """A number, and the interval in smaller letters behind it."""

    text: str
    interval: str = ""


class Row(NamedTuple):
    name: str
    cells: list[Cell]
    bar: Bar | None
    mark: str = ""  # "this" for the row that a table is about, "weak" for what is surely worse


def view(evidence: Evidence, verdicts: Sequence[Verdict], advice: Sequence[Advice], last: Last | None) -> dict:
    """The values of `templates/report.html`."""
    scored = evidence.part is not None and bool(verdicts)
    kind = kind_of(evidence.examples[0]) if scored else None
    browser = browse(evidence.examples, verdicts) if scored else None
    return {
        "name": evidence.name,
        "part": evidence.part,
        "answer": _answer(evidence, last),
        "about": _about(evidence),
        "scores": _scores(evidence, last) if scored else None,
        "seeds": _seeds(evidence) if scored and evidence.seeds else None,
        "last": last and _last(last, evidence.main),
        "advice": advice,
        "data": _data(evidence),
        "training": figures.training(evidence),
        "training_says": _training_says(evidence),
        "confusion": _confusion(verdicts, browser) if scored and kind != "number" else None,
        "labels": _labels(evidence) if scored else None,
        "slices": _slices(evidence) if scored else None,
        "figures": _failing(evidence, kind) if scored else [],
        "browser": browser,
        "filters": [[short(name) for name in names] for names in (browser.gold_names, browser.said_names)] if browser else [],
        "kind": kind,
        "at_once": SHOWN_AT_ONCE,
        "used": _used(evidence),
        "missing": evidence.missing,
        "version": version("headway"),
    }


# --- the answer


def _answer(evidence: Evidence, last: Last | None) -> str:
    """One sentence."""
    if evidence.part is None:
        return "Nothing was held out to measure on: nobody knows how good this model is."
    value, metric = evidence.score(evidence.main), metric_text(evidence.main)
    count = len(evidence.examples)
    said = f"{sentence(metric)} is {_written(value)} on {count:,} examples of {evidence.part}"
    beside = {name: number(values[evidence.main]) for name, values in evidence.baselines().items() if evidence.main in values}
    if beside:
        best = max(beside, key=beside.get)
        more = number(value) - beside[best]
        than = f"{abs(more) * 100:.1f} points {'more' if more > 0 else 'less'} than" if abs(more) >= 0.0005 else "no more than"
        chance = ", which may be chance" if more > 0 and _may_be_chance(evidence) else ""
        said += f", {than} “{best}”, the best of the baselines{chance}"
    if last is not None:
        chance = last.difference.p >= CHANCE
        now = "no different from" if chance else "better than" if last.difference.value > 0 else "worse than"
        said += f"; {now} the last run, {last.name}" + (", as far as these examples can tell" if chance else "")
    if evidence.part == "dev" and evidence.seeds and evidence.seeds["choice"]:  # chosen by the very score that is told
        expected = score_text(evidence.seeds["choice"]["expected"])
        said += f"; of {len(evidence.seeds['seeds'])} seeds it is the best on dev, and about {expected} is to be expected on other texts"
    return said + "."


def _written(value: Estimate | float) -> str:
    if not isinstance(value, Estimate):
        return score_text(value)
    return f"{score_text(value.value)} (95% interval {score_text(value.low)} to {score_text(value.high)})"


def _may_be_chance(evidence: Evidence) -> bool:
    """Whether that the model has more than the best of the baselines may be: on the same examples, where the run has kept that."""
    more = evidence.of_part("worth").get("differences", {}).get(evidence.main)
    return more is not None and more["p"] >= CHANCE


def _about(evidence: Evidence) -> str:
    """Task, network, when."""
    made = evidence.provenance
    base = made.get("base_model", {})
    size = f" ({base['parameters'] / 1e6:.1f} M parameters)" if base.get("parameters") else ""
    name = base.get("name") or evidence.settings.get("model", {}).get("base_model", "")
    day = [made["started"][:10]] if made.get("started") else []
    task = TASKS.get(evidence.model.get("settings", {}).get("kind") or evidence.data.get("task", ""), "")
    return " · ".join(part for part in (task, f"{name}{size}", *day) if part)


def _scores(evidence: Evidence, last: Last | None) -> dict:
    """The table: baselines, the last run, this model, and this model on the other part."""
    values, shown = evidence.scores[evidence.part], _shown(evidence)
    found = evidence.baselines()
    if last is not None:
        found[f"last run: {last.name}"] = last.scores
    rows = [(name, row, "") for name, row in found.items()] + [("this model", _estimates(values), "this")]
    rows += [(f"this model on {part}", _estimates(evidence.scores[part]), "") for part in evidence.scores["main"] if part != evidence.part]
    scale = scale_of([row.get(evidence.main) for _, row, _ in rows])
    return {
        "metrics": [metric_text(metric) for metric in shown],
        "rows": [
            Row(name, [_cell(row.get(metric)) for metric in shown], place_bar(row.get(evidence.main), scale), mark)
            for name, row, mark in rows
        ],
        "scale": f"{metric_text(evidence.main)}, from {score_text(scale[0])} to {score_text(scale[1])}",
        "detail": [(metric_text(metric), _cell(estimate(value))) for metric, value in values.items() if metric not in shown],
        "main": metric_text(evidence.main),
    }


def _shown(evidence: Evidence) -> list[str]:
    """The metrics that are columns, the one that decides first."""
    shown = [metric for metric in shown_metrics(evidence.scores[evidence.part]) if metric not in COUNTS]
    return sorted(shown, key=lambda metric: metric != evidence.main)[:MOST_METRICS]


def _seeds(evidence: Evidence) -> dict:
    """Each of several trainings that differ by their seed alone, and all together."""
    seeds, of_part = evidence.seeds, evidence.seeds["parts"].get(evidence.part, {})
    shown = [metric for metric in _shown(evidence) if metric in of_part]
    each = [
        Row(f"seed {seed}", [_cell(of_part[metric]["each"][place]) for metric in shown], None, "this" if seed == evidence.seed else "")
        for place, seed in enumerate(seeds["seeds"])
    ]
    means = [_cell(Estimate(of_part[metric]["mean"], of_part[metric]["low"], of_part[metric]["high"])) for metric in shown]
    deviations = [_cell(of_part[metric]["deviation"]) for metric in shown]
    main = evidence.scores["main"].get("dev")
    return {
        "count": len(seeds["seeds"]),
        "kept": say_kept(seeds, main),
        "differ": sentence(say_spread(seeds, main)) if seeds["choice"] else "",
        "metrics": [metric_text(metric) for metric in shown],
        "rows": [*each, Row("mean of seeds", means, None), Row("deviation", deviations, None)],
    }


def _estimates(values: Mapping[str, dict]) -> dict[str, Estimate | float]:
    return {metric: estimate(value) for metric, value in values.items()}


def _cell(value: Estimate | float | None) -> Cell:
    if value is None:
        return Cell("")
    if isinstance(value, Estimate):
        return Cell(score_text(value.value), f"{score_text(value.low)}–{score_text(value.high)}")
    return Cell(score_text(value))


def scale_of(values: Sequence[Estimate | float | None]) -> tuple[float, float]:
    """Both ends of the bars, so that no interval leaves them; from 0 to 1 where they would be nearly that wide."""
    ends = [end for v in values if v is not None for end in ((v.low, v.high) if isinstance(v, Estimate) else (v, v))]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    return (min(low, 0.0), max(high, 1.0)) if low < 0.3 or high > 1 else (max(low - 0.05, 0.0), min(max(high + 0.05, low + 0.1), 1.0))


def place_bar(value: Estimate | float | None, scale: tuple[float, float]) -> Bar | None:
    if value is None:
        return None
    low, high = (value.low, value.high) if isinstance(value, Estimate) else (value, value)
    places = [round(100 * (v - scale[0]) / max(scale[1] - scale[0], 1e-9), 2) for v in (number(value), low, high)]
    return Bar(*(min(max(place, 0.0), 100.0) for place in places))


def _last(last: Last, main: str) -> dict:
    found = last.difference
    p = "p < .001" if found.p < 0.001 else f"p = {score_text(found.p)}"
    return {
        "name": last.name,
        "says": f"{signed_text(found.value)} {metric_text(main)} ({signed_text(found.low)} to {signed_text(found.high)}), {p}; "
        f"won {last.won:,}, lost {last.lost:,} examples",
        "changes": last.changes,
    }


# --- the data and the training


def _data(evidence: Evidence) -> dict:
    data = evidence.data
    balance = data.get("balance", {})
    names = list(dict.fromkeys(name for of_part in balance.values() for name in of_part))
    most = max((of_part.get(name, 0) for of_part in list(balance.values())[:1] for name in names), default=0)
    totals = {part: max(sum(of_part.values()), 1) for part, of_part in balance.items()}
    rows = [_balance_row(name, balance, totals, most) for name in names]
    findings = data.get("audit")
    return {
        "records": {part: f"{count:,}" for part, count in data.get("records", {}).items() if count},
        "how": " · ".join(part for part in (data.get("guessed"), f"dev: {data['dev']}" if data.get("dev") else None) if part),
        "left_out": [f"{name}: {count:,} records without a label" for name, count in data.get("unlabelled", {}).items()]
        + [f"{name}: {what}" for name, what in data.get("left_out", {}).items()]
        + ([f"{data['unreachable']:,} references begin or end inside a token, and cannot be found"] if data.get("unreachable") else []),
        "findings": findings,
        "audit_command": audit_command(evidence),
        "parts": list(balance),
        "balance": rows[:MOST_SHOWN],
        "more_balance": rows[MOST_SHOWN : MOST_SHOWN + MOST_FOLDED],
        "lengths": figures.lengths(evidence),
    }


def _balance_row(name: str, balance: Mapping[str, Mapping[str, int]], totals: Mapping[str, int], most: int) -> Row:
    counts = {part: of_part.get(name, 0) for part, of_part in balance.items()}
    cells = [Cell(f"{count:,}", f"{count / totals[part]:.1%}") for part, count in counts.items()]
    of_train = next(iter(balance.values())).get(name, 0)
    return Row(short(name), cells, Bar(100 * of_train / max(most, 1), 0, 100 * of_train / max(most, 1)))


def _training_says(evidence: Evidence) -> str:
    if not evidence.steps:
        return ""
    seconds, train = sum(row["seconds"] for row in evidence.steps), evidence.settings.get("train", {})
    epochs = f"{train['epochs']:g} epoch{'s' * (train['epochs'] != 1)}" if isinstance(train.get("epochs"), float | int) else ""
    made = f"{len(evidence.steps):,} updates in {clock_text(seconds)}"
    tokens = sum(row["tokens"] for row in evidence.steps)
    speed = f"{tokens / max(seconds, 1e-9):,.0f} tokens a second"
    scored = [f"dev {metric_text(row['metric'])} {score_text(row['value'])} at the end" for row in evidence.evaluations]
    return " · ".join(filter(None, [epochs, made, speed, *(scored if len(scored) == 1 else [])]))


# --- where it fails


def _confusion(verdicts: Sequence[Verdict], browser: Browser) -> dict:
    """A matrix where there are few classes, else the commonest confusions."""
    pairs = Counter(pair for verdict in verdicts for pair in verdict.confused)
    gold, said = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    of_gold = Counter()
    for (name, _), count in pairs.items():
        of_gold[name] += count
    listed = [_listed(pair, count, of_gold, browser) for pair, count in wrong[:MOST_PAIRS]]
    few = max(len(gold), len(said)) <= MOST_CLASSES
    names = [sorted(side, key=lambda name: (name in (BORDERS, NOTHING), *_order(name))) for side in (gold, said)]
    matrix = [_matrix_row(name, names[1], pairs, of_gold[name], browser) for name in names[0]] if few else []
    return {
        "said": [short(name) for name in names[1]] if few else [],
        "matrix": matrix,
        "pairs": listed,
        "errors": f"{sum(count for _, count in wrong):,}",
    }


def _listed(pair: tuple[str, str], count: int, of_gold: Counter, browser: Browser) -> dict:
    gold, said = pair
    share = f"{count / of_gold[gold]:.0%}" if gold != NOTHING else ""
    return {"gold": short(gold), "said": short(said), "count": f"{count:,}", "share": share, "link": _link(gold, said, browser)}


def _order(name: str) -> tuple:
    return (0, float(name), name) if name.isdecimal() else (1, 0.0, name)


def _matrix_row(gold: str, said: Sequence[str], pairs: Counter, total: int, browser: Browser) -> dict:
    cells = []
    for name in said:
        count = pairs[gold, name]
        heat = 0 if not count else min(1 + int(HEATS * count / total), HEATS)
        kind = "hit" if gold == name else "miss"
        link = _link(gold, name, browser) if count else None
        cells.append({"count": f"{count:,}", "style": f"{kind}-{heat}", "link": link})
    return {"name": short(gold), "cells": cells, "total": f"{total:,}"}


def _link(gold: str, said: str, browser: Browser) -> dict:
    """To the examples in which the one is taken for the other."""
    return {"pair": browser.pairs[gold, said], "says": f"“{short(gold)}” called “{short(said)}”"}


def _labels(evidence: Evidence) -> dict | None:
    """Each class or type by itself, the weakest first."""
    found = evidence.of_part("by_label")
    if len(found) < 2:
        return None
    seen = evidence.data.get("balance", {}).get("train", {})
    metrics = [name for name in dict.fromkeys(["f1", *OF_EACH]) if name not in COUNTS and any(name in row for row in found.values())]
    rows = []
    for name, values in sorted(found.items(), key=lambda row: row[1].get("f1", {}).get("value", 0.0)):
        support = values.get("support", {}).get("value", 0)
        counts = [Cell(f"{seen[name]:,}" if name in seen else ""), Cell(f"{support:,.0f}")]
        f1 = estimate(values.get("f1"))
        rows.append(Row(short(name), [*(_cell(estimate(values.get(metric))) for metric in metrics), *counts], place_bar(f1, (0.0, 1.0))))
    return {
        "metrics": [*map(metric_text, metrics), "in train", f"in {evidence.part}"],
        "rows": rows[:MOST_SHOWN],
        "more": rows[MOST_SHOWN : MOST_SHOWN + MOST_FOLDED],
    }


def _slices(evidence: Evidence) -> list[dict]:
    found = []
    for name, values in evidence.of_part("slices").items():
        if name == "class" and evidence.of_part("by_label"):
            continue  # told by the table of classes
        rows = [_slice_row(value, of, evidence) for value, of in values.items()]
        metric = next((of["metric"] for of in values.values()), "")
        told = "label" if name == "class" else name  # of a number, or of a whole set
        found.append({"name": told, "metric": metric_text(metric), "rows": rows[:MOST_SHOWN]})
    return found


def _slice_row(name: str, of: Mapping, evidence: Evidence) -> Row:
    value = Estimate(of["value"], of["low"], of["high"])
    overall = evidence.score(of["metric"])
    worse = overall is not None and (number(overall) > value.high if of["metric"] not in LOWER_IS_BETTER else number(overall) < value.low)
    scale = (0.0, 1.0) if of["metric"] not in LOWER_IS_BETTER else (0.0, max(2 * number(overall), value.high))
    return Row(short(name), [_cell(value), Cell(f"{of['records']:,}")], place_bar(value, scale), "weak" if worse else "")


def _failing(evidence: Evidence, kind: str) -> list[figures.Figure]:
    drawn = [figures.calibration(evidence), figures.coverage(evidence)]
    if kind == "number":
        pairs = [(example.record.label, example.said.label) for example in evidence.examples]
        drawn.append(figures.numbers(*zip(*pairs, strict=True)))
    return [figure for figure in drawn if figure is not None]


# --- everything that was used


def _used(evidence: Evidence) -> dict:
    made = evidence.provenance
    base, machine = made.get("base_model", {}), made.get("machine", {})
    defaults, left_open = Config().model_dump(), made.get("left_open", [])

    def own(section: str, name: str, value: object) -> str | None:
        return _changed(value, defaults.get(section, {}).get(name), decided=f"{section}.{name}" in left_open)

    settings = [
        (section, [(name, _setting(value), own(section, name, value)) for name, value in values.items()])
        for section, values in evidence.settings.items()
        if values
    ]
    facts = {
        "base model": base.get("name"),
        "its revision": base.get("revision"),
        "its weights": base.get("sha256") and f"sha256 {base['sha256']}",
        "its licence": base.get("licence") or ("not said" if base else None),
        "seed": _seed(evidence),
        "started": made.get("started"),
        "finished": made.get("finished"),
    }
    return {
        "command": again(evidence),
        "files": [(name, file["path"], file["sha256"]) for name, file in evidence.data.get("files", {}).items()],
        "split": (evidence.data.get("split") or {}).get("sha256"),
        "facts": [(name, str(value)) for name, value in facts.items() if value is not None],
        "machine": [(name, str(value)) for name, value in machine.items()],
        "versions": list(made.get("versions", {}).items()),
        "settings": settings,
    }


def _seed(evidence: Evidence) -> str | None:
    others = ", ".join(map(str, evidence.seeds.get("seeds", [])))
    return f"{evidence.seed} (kept of {others})" if others else evidence.seed


def _setting(value) -> str:
    if value in ("", [], {}):
        return "–"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _changed(value, default, *, decided: bool) -> str | None:
    """What the default is, where the setting is another; "" where it has none."""
    if value == default:
        return None
    return "decided" if decided else "" if default in (None, "") else f"else {_setting(default)}"
