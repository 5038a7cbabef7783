"""Golden predictions: what a model said of a few inputs when it was saved, to be said again whenever it is loaded."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain, takewhile
from typing import Any, NamedTuple

import numpy as np
import torch

from headway.records import Prediction, Record, Window

MOST_TOKENS = 24 * 64  # of all golden inputs together; to look at them takes about as long as to load the bundled encoder (LOG.md)
DIGITS = 4
SHOWN = 5  # tokens
LIBRARIES = ("headway", "transformers", "tokenizers", "torch")


class Tolerance(NamedTuple):
    number: float  # how far confidences may be off; of a larger number, the share of it
    share: float  # of the goldens that may differ all the same: rounding decides where two answers are equally good


TOLERANCES = {torch.float32: Tolerance(0.002, 0.0), torch.bfloat16: Tolerance(0.1, 0.125)}


class Change(NamedTuple):
    """One thing that is no longer what it was."""

    place: str  # "label", "entities.0.end"
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.place} was {_brief(self.before)} and is {_brief(self.now)}"


@dataclass(frozen=True)
class Golden:
    """One input, how it was read and what was said of it."""

    given: dict[str, str]  # text, text_pair, question
    input_ids: list[list[int]]  # of each of its windows
    said: dict[str, Any]  # a `Prediction` as JSON holds it

    def record(self) -> Record:
        return Record(**self.given)


@dataclass(frozen=True)
class Goldens:
    settings: dict[str, Any]  # of the task that said it
    versions: dict[str, str]  # of the libraries that computed it
    examples: list[Golden]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def from_json(text: str) -> Goldens:
    kept = json.loads(text)
    return Goldens(kept["settings"], kept["versions"], [Golden(**example) for example in kept["examples"]])


def choose(records: Sequence[Record], windows: Sequence[Window], *, count: int, seed: int) -> list[Record]:
    """At most `count` different records of at most `MOST_TOKENS` tokens together, one at least: a seeded sample of those that are short."""
    tokens = np.zeros(len(records), dtype=np.int64)
    np.add.at(tokens, [window.record for window in windows], [len(window) for window in windows])
    length = np.maximum(tokens, MOST_TOKENS // count)  # of those short enough one is as good as another; then the shortest
    mixed = np.random.default_rng(seed).permutation(len(records))
    order = mixed[np.argsort(length[mixed], kind="stable")]
    fitting = int((tokens[order].cumsum() <= MOST_TOKENS).sum())
    chosen = [records[position] for position in order[: min(count, max(fitting, 1))]]
    return list({(record.text, record.text_pair, record.question): record for record in chosen}.values())


def keep(records: Sequence[Record], windows: Sequence[Window], exact: Sequence[Prediction], rough: Sequence[Prediction]) -> list[Golden]:
    """What was said in fp32, `exact`, of those records of which bf16, `rough`, says the same: elsewhere rounding decides."""
    ids: dict[int, list[list[int]]] = {}
    for window in windows:
        ids.setdefault(window.record, []).append(window.input_ids_N.tolist())
    steady = TOLERANCES[torch.bfloat16].number / 2
    return [
        Golden(_given(record), ids[position], _rounded(_as_json(sure)))
        for position, (record, sure, unsure) in enumerate(zip(records, exact, rough, strict=True))
        if next(changes(_as_json(sure), _as_json(unsure), tolerance=steady), None) is None
    ]


def taken(examples: list[Golden], task: Any) -> Goldens:
    return Goldens(_plain(asdict(task)), {name: version(name) for name in LIBRARIES}, examples)


def changed_setting(goldens: Goldens, task: Any) -> Change | None:
    """What of the task is not as it was; settings that have come since do not count."""
    now = _plain(asdict(task))
    return next(changes(goldens.settings, {name: now.get(name) for name in goldens.settings}, tolerance=0.0), None)


def changed_tokens(golden: Golden, windows: Sequence[Window]) -> Change | None:
    """From the first token on that is another."""
    before, now = list(chain(*golden.input_ids)), [token for window in windows for token in window.input_ids_N.tolist()]
    if before == now:
        return None
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    return Change(f"token {same}", before[same : same + SHOWN], now[same : same + SHOWN])


def changed_versions(goldens: Goldens) -> list[Change]:
    """Libraries that are not those it was computed with, the likeliest to matter first."""
    now = {name: version(name) for name in goldens.versions}
    return [Change(name, goldens.versions[name], now[name]) for name in ("transformers", *now) if now[name] != goldens.versions[name]]


class Differing(NamedTuple):
    golden: Golden
    change: Change


def changed_answer(goldens: Goldens, predictions: Sequence[Prediction], *, dtype: torch.dtype) -> Differing | None:
    """The first golden that is answered otherwise, where there are more of them than rounding explains."""
    tolerance = TOLERANCES[dtype]
    found = []
    for golden, prediction in zip(goldens.examples, predictions, strict=True):
        change = next(changes(golden.said, _as_json(prediction), tolerance=tolerance.number), None)
        found += [Differing(golden, change)] if change else []
    return found[0] if len(found) > tolerance.share * len(predictions) else None


def changes(before: Any, now: Any, *, tolerance: float, place: str = "") -> Iterator[Change]:
    """Where two trees of what JSON holds differ; numbers with a fraction may by `tolerance`, as may each digit after rounding."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in before.keys() | now.keys() if before.keys() != now.keys() else before:
            yield from changes(before.get(name), now.get(name), tolerance=tolerance, place=f"{place}.{name}".strip("."))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from changes(*pair, tolerance=tolerance, place=f"{place}.{number}".strip("."))
    elif isinstance(before, float) and isinstance(now, float):
        if abs(before - now) > tolerance * max(1.0, abs(before)):
            yield Change(place, before, now)
    elif before != now:
        yield Change(place, before, now)


def _given(record: Record) -> dict[str, str]:
    given = {"text": record.text, "text_pair": record.text_pair, "question": record.question}
    return {name: text for name, text in given.items() if text is not None}


def _as_json(prediction: Prediction) -> dict[str, Any]:
    return {name: value for name, value in _plain(asdict(prediction)).items() if value is not None and value is not False}


def _plain(tree: Any) -> Any:
    """With lists for tuples, as it comes back from JSON."""
    return json.loads(json.dumps(tree))


def _rounded(tree: Any) -> Any:
    if isinstance(tree, float):
        return round(tree, DIGITS) if abs(tree) < 1 else float(f"{tree:.{DIGITS + 1}g}")
    if isinstance(tree, dict):
        return {name: _rounded(value) for name, value in tree.items()}
    return [_rounded(value) for value in tree] if isinstance(tree, list) else tree


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
