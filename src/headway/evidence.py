"""What ways of training were worth where they were measured: `recipes.toml`, which `benchmarks/recipes.py` writes beside its page.

A line is one recipe on one data set, held against the default recipe with the same records and the same seeds.
"""

import math
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, FiniteFloat, field_validator
from scipy.stats import t

from headway.config import Config, Positive, Quantity, Section, Weight, with_settings
from headway.errors import ConfigError

TABLE = Path(__file__).with_name("recipes.toml")
ALIKE = 4.0  # times as many records, or as few, are still data like this
RARE = 0.5  # of its even share: classes are uneven where the rarest has less
LEVEL = 0.05  # how often one of several recipes that change nothing may be taken for better

Value = bool | int | float | str


class Tried(Section):
    """One recipe on one data set."""

    recipe: str
    settings: dict[str, Value]
    task: str
    kind: str  # of classification: single, multi or number; else ""
    uneven: bool  # whether a class is rare
    data: str
    records: Positive  # to learn from
    gain: FiniteFloat  # of the main score, in the mean of the seeds
    error: Weight  # standard error of that mean
    seeds: Annotated[int, Field(ge=2)]
    cost: Quantity  # of learning, as a multiple of the default's

    @field_validator("settings")
    @classmethod
    def _there_are_such_settings(cls, settings: dict[str, Value]) -> dict[str, Value]:
        """A recipe that cannot be trained with would be passed over in silence."""
        try:
            with_settings(Config(), settings)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return settings


class Like(NamedTuple):
    """What decides whether data is like that of a line."""

    task: str
    kind: str
    uneven: bool
    records: int


class Worth(NamedTuple):
    """What the lines of a recipe say together."""

    recipe: str
    settings: dict[str, Value]
    gain: float
    reach: float  # of its interval, which allows for how many recipes were tried
    cost: float
    data: tuple[str, ...]


def read_evidence(path: Path = TABLE) -> list[Tried]:
    """All that has been measured; nothing where there is no table.

    Raises:
        ValueError: a line says what cannot be.
    """
    lines = tomllib.loads(path.read_text(encoding="utf-8")).get("tried", []) if path.is_file() else []
    return [Tried.model_validate(line) for line in lines]


def is_uneven(counts: Sequence[int]) -> bool:
    """Whether the rarest of several classes has less than half of its even share."""
    return len(counts) > 1 and min(counts) < RARE * sum(counts) / len(counts)


def on_data_like(lines: Sequence[Tried], like: Like) -> dict[str, list[Tried]]:
    """The lines of each recipe that were measured on such data."""
    found: dict[str, list[Tried]] = defaultdict(list)
    for line in lines:
        same = (line.task, line.kind, line.uneven) == like[:3]
        if same and 1 / ALIKE <= line.records / max(like.records, 1) <= ALIKE:
            found[line.recipe].append(line)
    return dict(found)


def worth(lines: Sequence[Tried], *, recipes: int) -> Worth:
    """The mean over the data sets, with a one-sided interval by Student that holds for so many recipes at once (Bonferroni)."""
    gain = sum(line.gain for line in lines) / len(lines)
    error = math.sqrt(sum(line.error**2 for line in lines)) / len(lines)
    freedom = sum(line.seeds - 1 for line in lines)
    cost = sum(line.cost for line in lines) / len(lines)
    reach = float(t.ppf(1 - LEVEL / recipes, freedom)) * error
    return Worth(lines[0].recipe, lines[0].settings, gain, reach, cost, tuple(line.data for line in lines))


def surely_better(by_recipe: dict[str, list[Tried]]) -> list[Worth]:
    """The recipes that are surely better than the default in the mean and surely worse nowhere, what gains most first."""
    found = [worth(lines, recipes=len(by_recipe)) for lines in by_recipe.values() if not any(map(_surely_worse, lines))]
    return sorted((one for one in found if one.gain > one.reach), key=lambda one: one.gain, reverse=True)


def _surely_worse(line: Tried) -> bool:
    return line.gain + float(t.ppf(1 - LEVEL, line.seeds - 1)) * line.error < 0
