"""What is tried: a search space as data, the usual one for a network and a data set, and how a trial gets its settings from it.

Sources of the usual ranges: Devlin et al. 2019, arXiv:1810.04805 (appendix A.3: 2e-5 to 5e-5, 16 or 32 windows an update); Liu et al. 2019,
arXiv:1907.11692 (1e-5 to 3e-5, weight decay 0.1, 6% warm-up); He et al. 2021, arXiv:2111.09543 (large networks: 5e-6 and up); Warner et al.
2024, arXiv:2412.13663 (up to 8e-5); Zhang et al. 2021, arXiv:2006.05987 (layer-wise decay of 0.9 to 1).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from headway.config import Config, Range
from headway.errors import ConfigError

Value = bool | int | float | str
Space = dict[str, Range]  # setting -> what it is tried at; a setting comes after those that its `when` names

RATE = "train.learning_rate"
RATES = ((60e6, 3e-5, 5e-4), (200e6, 8e-6, 1e-4), (math.inf, 3e-6, 4e-5))  # (fewer parameters than, lowest, highest)
REACH = 4  # times the default rate, at least
SMALL, LARGE = 2_000, 50_000  # windows to learn from: small data is learned in small updates, large data in large ones
FACTORS = (0.5, 2, 0.25, 4, 0.7, 1.4)  # of the default rate: what a search of few trials tries after it


class Asked(Protocol):
    """What a trial can be asked for, as Optuna's can."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_categorical(self, name: str, choices: list[Value]) -> Value: ...


def usual_space(config: Config, *, parameters: int, windows: int, numbers: bool) -> Space:
    """What is worth trying, by the size of the network and of the data; nothing that a setting of the person's own rules out.

    Args:
        config: with nothing left to decide: the default recipe.
        numbers: whether numbers are learned, and not classes.
    """
    _, low, high = next(row for row in RATES if parameters < row[0])
    rate, batch = config.train.learning_rate, config.train.batch_size
    factors = (0.25, 0.5, 1) if windows < SMALL else (0.5, 1) if windows < LARGE else (0.5, 1, 2)
    space = {
        RATE: Range(low=min(low, rate / REACH), high=max(high, rate * REACH), log=True),
        "train.batch_size": Range(choices=sorted({max(int(batch * factor), 1) for factor in factors})),
        "train.warmup": Range(choices=_with([0.06, 0.1, 0.2], config.train.warmup)),
        "regularize.weight_decay": Range(choices=_with([0.0, 0.01, 0.1], config.regularize.weight_decay)),
        "regularize.layer_decay": Range(choices=_with([0.9, 0.95, 1.0], config.regularize.layer_decay)),
    }
    if not numbers:
        space["regularize.label_smoothing"] = Range(choices=_with([0.0, 0.1], config.regularize.label_smoothing))
    return {name: tried for name, tried in space.items() if not config.regularize.rules_out(name.partition(".")[2])}


def _with(choices: list[float], default: float) -> list[float]:
    return sorted({*choices, default})


def in_order(space: Mapping[str, Range]) -> Space:
    """The same with every setting after those that its `when` names.

    Raises:
        ConfigError: some wait for each other.
    """
    left, ordered = dict(space), {}
    while left:
        ready = [name for name, tried in left.items() if not tried.when.keys() & left.keys()]
        if not ready:
            raise ConfigError(f"tune.space: {' and '.join(left)} wait for each other by `when`; leave one of them away")
        ordered |= {name: left.pop(name) for name in ready}
    return ordered


def examples(space: Space) -> Iterator[dict[str, Value]]:
    """Every choice, and both ends of every range, each with settings under which it is tried."""
    for name, tried in space.items():
        for value in tried.choices or [tried.low, tried.high]:
            yield {**_condition(space, name), name: value}


def _condition(space: Space, name: str) -> dict[str, Value]:
    """The first settings that `when` allows, and those that they wait for themselves."""
    wanted = {other: _listed(value)[0] for other, value in space[name].when.items()}
    return {key: value for other in wanted if other in space for key, value in _condition(space, other).items()} | wanted


def ask(trial: Asked, space: Space, config: Config) -> dict[str, Value]:
    """What the trial tries: a setting whose `when` does not hold stays as it is, and the trial is not asked about it."""
    values: dict[str, Value] = {}
    for name in _open(space, config, values):
        values[name] = _suggested(trial, name, space[name])
    return values


def default_values(space: Space, config: Config) -> dict[str, Value]:
    """The default recipe: for every setting what it is now, or what is tried that comes nearest to it."""
    values: dict[str, Value] = {}
    for name in _open(space, config, values):
        values[name] = nearest(space[name], setting(config, name))
    return values


def grid(space: Space, config: Config, *, count: int) -> list[dict[str, Value]]:
    """`count` trials or fewer: the default recipe, then the same at other learning rates, from the nearest to the farthest."""
    first = default_values(space, config)
    tried = space.get(RATE)
    if tried is None or tried.choices is not None:
        return [first][:count]
    rates = [first[RATE] * factor for factor in FACTORS]
    return [first, *({**first, RATE: rate} for rate in rates if tried.low <= rate <= tried.high)][:count]


def nearest(tried: Range, value: Value | None) -> Value:
    """Of what is tried, what comes nearest to `value`; where nothing is near, the middle or the first choice."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if tried.choices is not None:
        alike = [choice for choice in tried.choices if choice == value and isinstance(choice, bool) == isinstance(value, bool)]
        numbers = [choice for choice in tried.choices if isinstance(choice, int | float) and not isinstance(choice, bool)] if number else []
        return alike[0] if alike else min(numbers, key=lambda choice: abs(choice - value)) if numbers else tried.choices[0]
    middle = math.sqrt(tried.low * tried.high) if tried.log else (tried.low + tried.high) / 2
    inside = min(max(value if number else middle, tried.low), tried.high)
    return round(inside) if _whole(tried) else float(inside)


def setting(config: Config, name: str) -> Value | None:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _open(space: Space, config: Config, values: dict[str, Value]) -> Iterator[str]:
    """The settings whose `when` holds, given the `values` that those before them have got by now."""
    for name, tried in space.items():
        there = {
            other: values[other] if other in values else setting(config, other) for other in tried.when if _known(other, space, values)
        }
        if all(other in there and there[other] in _listed(wanted) for other, wanted in tried.when.items()):
            yield name


def _known(other: str, space: Space, values: dict[str, Value]) -> bool:
    """What is in the space, and was not asked about, holds for nobody."""
    return other in values or other not in space


def _listed(wanted: Value | list[Value]) -> list[Value]:
    return wanted if isinstance(wanted, list) else [wanted]


def _whole(tried: Range) -> bool:
    return isinstance(tried.low, int) and isinstance(tried.high, int)


def _suggested(trial: Asked, name: str, tried: Range) -> Value:
    if tried.choices is not None:
        return trial.suggest_categorical(name, tried.choices)
    if _whole(tried):
        return trial.suggest_int(name, tried.low, tried.high, log=tried.log)
    return trial.suggest_float(name, float(tried.low), float(tried.high), log=tried.log)


def distribution(tried: Range) -> BaseDistribution:
    """What `ask` draws from, as Optuna calls it."""
    if tried.choices is not None:
        return CategoricalDistribution(tried.choices)
    if _whole(tried):
        return IntDistribution(tried.low, tried.high, log=tried.log)
    return FloatDistribution(float(tried.low), float(tried.high), log=tried.log)
