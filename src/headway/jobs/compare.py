"""headway compare: runs that were scored on the same examples -> which is better, by how much, and whether that is chance."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headway.errors import ConfigError, DataError, OutputError
from headway.events import Estimate, Event, Finished, Said, Scored
from headway.folders import write_text
from headway.jobs.scored import Example, Run, kind_of, read_run, score
from headway.metrics import Difference, Scores, holm, overall_differences, with_intervals
from headway.records import Prediction, Record
from headway.wording import metric_text, p_text

COMPARED = "compare.json"
CHANCE = 0.05  # p from which on a difference is not shown
EXAMPLES = 3  # that were won, and that were lost
LONGEST = 60  # characters of a text
PARTS = ("test", "dev", "")  # which is compared, where runs have several
SHOWN = {
    "class": ("accuracy", "macro_f1", "mcc"),
    "labels": ("macro_f1", "micro_f1", "average_precision"),
    "number": ("spearman", "pearson", "mae"),
    "entities": ("f1", "macro_f1", "partial_f1"),
    "answers": ("em", "f1"),
}


class Against(NamedTuple):
    """What the second model does better than the first."""

    differences: dict[str, Difference]  # of the scores that both have
    won: list[int]  # positions of the examples that it answers better
    lost: list[int]


class Compared(NamedTuple):
    """A run against the first."""

    run: Run
    scores: Scores
    against: Against

    def p(self, metric: str) -> float | None:
        """None where one of the two has no such score: without a single entity, say, there is no F1."""
        found = self.against.differences.get(metric)
        return found and found.p


def compare(folders: Sequence[Path], *, out: Path | None = None) -> Iterator[Event]:
    """Hold each of the other runs against the first; with `out`, write what was found there.

    Raises:
        HeadwayError: something a person can put right.
    """
    if len(folders) < 2:
        raise ConfigError("nothing to compare: name two runs or more, as in headway compare runs/a runs/b")
    if out is not None and (out / COMPARED).exists():
        raise OutputError(f"{out / COMPARED}: exists; choose another --out")
    runs = _named(list(map(read_run, folders)))
    part, sides = same_examples(runs)
    first = _scored(sides[0])
    others = [Compared(run, _scored(side), held_against(sides[0], side)) for run, side in zip(runs[1:], sides[1:], strict=True)]
    p_values = _adjusted([other.p(first.main) for other in others])
    yield from _say(runs[0], first, others, p_values, part=part, examples=sides)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / COMPARED, json.dumps(_as_json(runs[0], first, others, p_values, sides=sides), indent=1, ensure_ascii=False))
        yield Finished(out)


def _named(runs: list[Run]) -> list[Run]:
    """Each by the name of its folder, or by its whole path where two are called the same."""
    names = [run.name for run in runs]
    return [Run(str(run.folder) if names.count(run.name) > 1 else run.name, run.folder, run.parts, run.settings, run.data) for run in runs]


# --- the same examples


def same_examples(runs: Sequence[Run]) -> tuple[str, list[list[Example]]]:
    """A part that all runs were scored on, and the examples of each run in the order of the first.

    Raises:
        DataError: there is none.
    """
    for part in (part for part in PARTS if part in runs[0].parts):
        sides = [_aligned(runs[0].parts[part], run) for run in runs]
        if all(side is not None for side in sides):
            return part, sides
    part = next(part for part in PARTS if part in runs[0].parts)
    other = next(run for run in runs if _aligned(runs[0].parts[part], run) is None)
    theirs = other.parts.get(part) or next(iter(other.parts.values()))
    mine = {key(example.record) for example in runs[0].parts[part]}
    common = sum(key(example.record) in mine for example in theirs)
    raise DataError(
        f"{other.folder}: was not scored on the {_count(runs[0].parts[part], part)} of {runs[0].folder}, but on {_count(theirs, '')}, "
        f"{common:,} of them the same; score both on one file: headway evaluate RUN FILE --out DIR"
    )


def _count(examples: Sequence[Example], part: str) -> str:
    return f"{len(examples):,} {part} examples".replace("  ", " ")


def _aligned(examples: Sequence[Example], run: Run) -> list[Example] | None:
    """The examples of a run in this order, of whichever part has them; None where no part is the same."""
    wanted = _numbered(examples)
    for part in run.parts.values():
        found = dict(zip(_numbered(part), part, strict=True))
        if found.keys() == set(wanted):
            return [found[name] for name in wanted]
    return None


def _numbered(examples: Sequence[Example]) -> list[tuple]:
    """A name for each example; those that are equal are told apart by their order."""
    seen: dict[tuple, count] = {}
    return [(name, next(seen.setdefault(name, count()))) for name in (key(example.record) for example in examples)]


def key(record: Record) -> tuple:
    """What makes a record the same in two runs: its texts, its id, and what people say of it."""
    spans = record.entities if record.entities is not None else record.answers
    gold = record.label if spans is None else tuple((span.start, span.end, span.label) for span in spans)
    return record.id, record.text, record.text_pair, record.question, gold


# --- one against another


def held_against(first: Sequence[Example], second: Sequence[Example]) -> Against:
    """What two models say of the same examples, in the same order."""
    both = score([*first, *second])
    found = overall_differences(both, [example.record.unit for example in first])
    found.pop("ece", None)  # its bins are those of one model
    mine_N, theirs_N = np.split(both.each_N, 2)
    won, lost = (np.flatnonzero(better_N).tolist() for better_N in (theirs_N > mine_N + 1e-9, theirs_N < mine_N - 1e-9))
    return Against(found, won, lost)


def _scored(examples: Sequence[Example]) -> Scores:
    return with_intervals(score(examples), [example.record.unit for example in examples])


def _adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Held to more, as there are several; what cannot be compared stays out of it."""
    held = iter(holm([p for p in p_values if p is not None]))
    return [p if p is None else next(held) for p in p_values]


# --- what is said


def _say(
    first_run: Run, first: Scores, others: Sequence[Compared], p_values: Sequence[float | None], *, part: str, examples: list[list[Example]]
) -> Iterator[Event]:
    shown = [metric for metric in SHOWN[kind_of(examples[0][0])] if metric in first.values]
    rows = {first_run.name: _row(first, shown)}
    for other in others:
        rows[other.run.name] = _row(other.scores, shown)
        known = other.against.differences
        rows[_difference_name(other, others)] = {metric: Estimate(*known[metric][:3]) for metric in shown if metric in known}
    yield Scored(part or "scores", rows, tuple(_difference_name(other, others) for other in others))
    for other, p, side in zip(others, p_values, examples[1:], strict=True):
        topic = other.run.name if len(others) > 1 else ""
        won, lost = other.against.won, other.against.lost
        yield Said(topic or "result", _verdict(first_run, first, other, p, examples=len(side)))
        yield Said("", f"won {len(won):,}, lost {len(lost):,} · the other {len(side) - len(won) - len(lost):,} alike")
        for word, places in (("won", won), ("lost", lost)):
            for place in places[:EXAMPLES]:
                yield Said(word, _example(examples[0][place], side[place]))
        for topic, changes in (("settings", setting_changes(first_run, other.run)), ("data", data_changes(first_run, other.run))):
            if changes:
                yield Said(topic, " · ".join(changes))


def _difference_name(compared: Compared, others: Sequence[Compared]) -> str:
    return "difference" if len(others) == 1 else f"{compared.run.name}: difference"


def _row(scores: Scores, shown: Sequence[str]) -> dict[str, Estimate | float]:
    return {m: Estimate(scores.values[m], *bounds) if (bounds := scores.interval(m)) else scores.values[m] for m in shown}


def _verdict(first_run: Run, first: Scores, compared: Compared, p: float | None, *, examples: int) -> str:
    metric = metric_text(first.main)
    if p is None:
        lacking = [run.name for run, scores in ((first_run, first), (compared.run, compared.scores)) if not scores.interval(first.main)]
        said = f"{lacking[0]} has none" if len(lacking) == 1 else "neither run has one"
        return f"nothing to compare in {metric}: {said} on these {examples:,} examples"
    chance = p_text(p)
    if p >= CHANCE:
        return f"{chance}: no difference in {metric} is shown on {examples:,} examples"
    return f"{chance}: {'better' if compared.against.differences[first.main].value > 0 else 'worse'} in {metric} on {examples:,} examples"


def _example(before: Example, now: Example) -> str:
    """Where it was asked, and what was said before and now."""
    record = now.record
    asked = " ".join((record.question or record.text).split())
    asked = asked if len(asked) <= LONGEST else asked[: LONGEST - 1] + "…"
    return f'"{asked}" · {_told(record, before.said)} -> {_told(record, now.said)} · right is {_gold(record)}'


def _told(record: Record, said: Prediction) -> str:
    if said.entities is not None:
        return ", ".join(f"{record.text[span.start : span.end]} {span.label}" for span in said.entities) or "none"
    if said.answer is not None:
        return f'"{said.answer}"' if said.answer else "no answer"
    return _label(said.label)


def _gold(record: Record) -> str:
    if record.answers is not None:
        return " or ".join(dict.fromkeys(f'"{record.text[a.start : a.end]}"' for a in record.answers)) or "no answer"
    return _told(record, Prediction(label=record.label, entities=record.entities))


def _label(label) -> str:
    return (", ".join(label) or "none") if isinstance(label, tuple) else f"{label:g}" if isinstance(label, float) else str(label)


def setting_changes(before: Run, now: Run) -> list[str]:
    """Settings that differ, but for the names of files, which `data_changes` looks into."""
    found = []
    for section in dict.fromkeys([*before.settings, *now.settings]):
        old, new = before.settings.get(section, {}), now.settings.get(section, {})
        names = [name for name in dict.fromkeys([*old, *new]) if (section, name) not in FILES and old.get(name) != new.get(name)]
        found += [f"{section}.{name} {_setting(old.get(name))} -> {_setting(new.get(name))}" for name in names]
    return found if before.settings and now.settings else []


def _setting(value) -> str:
    """Of a float the digits that somebody may have meant: 0.00015 of 0.00015000000000000001."""
    return "none" if value is None else str(float(f"{value:.12g}")) if isinstance(value, float) else str(value)


FILES = {("data", "train"), ("data", "dev"), ("data", "test")}


def data_changes(before: Run, now: Run) -> list[str]:
    """Files whose content differs, and how many records there were."""
    found = []
    old_files, new_files = before.data.get("files", {}), now.data.get("files", {})
    for name in dict.fromkeys([*old_files, *new_files]) if before.data and now.data else ():
        old, new = (side.data.get("records", {}).get(name, 0) for side in (before, now))
        if old_files.get(name, {}).get("sha256") != new_files.get(name, {}).get("sha256"):
            found.append(f"{name} has {old:,} -> {new:,} records" if old != new else f"{name} has other content, {new:,} records as before")
    return found


# --- what is written


def _as_json(
    first_run: Run, first: Scores, others: Sequence[Compared], p_values: Sequence[float | None], *, sides: list[list[Example]]
) -> dict:
    def values(scores: Scores) -> dict:
        return _row(scores, list(scores.values))

    def name(place: int) -> dict:
        record = sides[0][place].record
        return {"id": record.id} if record.id else {"text": record.text} | ({"question": record.question} if record.question else {})

    return {
        "first": str(first_run.folder),
        "main": first.main,
        "examples": len(sides[0]),
        "scores": {metric: _plain(value) for metric, value in values(first).items()},
        "others": [
            {
                "run": str(other.run.folder),
                "scores": {metric: _plain(value) for metric, value in values(other.scores).items()},
                "differences": {metric: difference._asdict() for metric, difference in other.against.differences.items()},
                "p_adjusted": p,
                "won": [name(place) for place in other.against.won],
                "lost": [name(place) for place in other.against.lost],
                "settings": setting_changes(first_run, other.run),
                "data": data_changes(first_run, other.run),
            }
            for other, p in zip(others, p_values, strict=True)
        ],
    }


def _plain(value: Estimate | float) -> dict[str, float]:
    return value._asdict() if isinstance(value, Estimate) else {"value": value}
