"""A soup: the mean of the best models that one training went through, where it is no worse on dev than the best of them.

Source: Wortsman et al. 2022, arXiv:2203.05482; of one training, as in Izmailov et al. 2018, arXiv:1803.05407.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor

from headway import model
from headway.averages import blend
from headway.config import Config
from headway.errors import ConfigError
from headway.events import Event, Said, Worked
from headway.folders import UNFINISHED, write_text
from headway.jobs.run_folder import CHECKPOINTS, MODEL
from headway.model import Model
from headway.records import Record, Window
from headway.wording import score_text

SOUP = "soup.json"  # what went into it; its ingredients lie in CHECKPOINTS


class Ingredient(NamedTuple):
    """A model that dev has scored, and whose weights are kept."""

    value: float
    step: int


def check_soup(config: Config, *, dev: bool) -> None:
    """Raise ConfigError where there is no dev set to choose by."""
    if config.regularize.soup != "none" and not dev:
        raise ConfigError("regularize.soup is chosen on dev, and there is none; give --dev FILE, or raise split.dev")


def kept_best(folder: Path, kept: Sequence[Ingredient], new: Ingredient, weights: Mapping[str, Tensor], *, size: int) -> list[Ingredient]:
    """The best `size` of them, best first, of those that are level the later; their weights are on disk, and those of no other."""
    best = sorted([*kept, new], reverse=True)[:size]
    if new in best:
        path = _path(folder, new)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}{UNFINISHED}")
        save_file({name: weight.contiguous() for name, weight in weights.items()}, beside)
        beside.replace(path)
    for other in set(_path(folder, new).parent.glob("*")) - {_path(folder, ingredient) for ingredient in best}:
        other.unlink()
    return best


def _path(folder: Path, ingredient: Ingredient) -> Path:
    return folder / CHECKPOINTS / "soup" / f"{ingredient.step:08d}.safetensors"


class Dev(NamedTuple):
    """What soups are tasted by."""

    records: Sequence[Record]
    windows: Sequence[Window]


def souping(folder: Path, kept: Sequence[Ingredient], dev: Dev, config: Config) -> Iterator[Event]:
    """Put the mean of the best models into the place of the best, where dev is answered no worse by it; says what became of it.

    "uniform" takes all, "greedy" one after the other, from the best down, where the score does not fall with it. As dev has chosen, it
    flatters what it has chosen; test has not.
    """
    if len(kept) < 2:
        yield Said("soup", "only one evaluation has given a model to average; raise train.evaluations or train.epochs")
        return
    how = config.train
    tasted = model.load(folder / MODEL, precision=how.precision, device=how.device, token_budget=how.token_budget)
    best, greedy = kept[0], config.regularize.soup == "greedy"
    soup, taken, value, tastings = load_file(_path(folder, best)), [best], best.value, 0
    for number, ingredient in enumerate(kept[1:], 1):
        yield Worked("averaging", number, len(kept), "models")
        mean = blend(soup, load_file(_path(folder, ingredient)), count=len(taken))
        last = ingredient == kept[-1]
        tasting = _taste(tasted, mean, dev, how.precision) if greedy or last else math.nan
        tastings += greedy or last
        if not greedy or tasting >= value:
            soup, taken, value = mean, [*taken, ingredient], tasting
    better = len(taken) > 1 and value >= best.value
    if better:
        tasted.save(folder / MODEL, soup)
    steps = sorted(ingredient.step for ingredient in taken)
    told = {"kept": better, "steps": steps, "dev": value, "best_alone": best._asdict(), "scored_on_dev": tastings}
    write_text(folder / SOUP, json.dumps(told, indent=1))
    yield Said("soup", _words(steps, value, best, better=better, tastings=tastings))


def _taste(tasted: Model, weights: Mapping[str, Tensor], dev: Dev, precision: str) -> float:
    """The dev score of these weights, below all others where it is not a number."""
    tasted.encoder.network.float().load_state_dict(weights)
    tasted.cast(precision)
    decisions = tasted.decisions(dev.windows)
    if not all(np.isfinite(decision).all() for decision in decisions):
        return -math.inf
    task = tasted.task.fitted(dev.records, dev.windows, decisions)
    scores = task.score(dev.records, task.predictions(dev.records, dev.windows, decisions))
    value = scores.values[scores.main]
    return value if math.isfinite(value) else -math.inf


def _words(steps: Sequence[int], value: float, best: Ingredient, *, better: bool, tastings: int) -> str:
    alone = f"the best alone, of step {best.step}, {score_text(best.value)}"
    if len(steps) == 1:
        return f"no average of the best models is as good on dev as {alone}: that is kept ({tastings} averages were scored)"
    named = f"{', '.join(map(str, steps[:-1]))} and {steps[-1]}"
    if not better:
        return f"the mean of the models of steps {named} scores {score_text(value)} on dev, {alone}: that is kept"
    return f"the mean of the models of steps {named}: {score_text(value)} on dev, {alone}; chosen on dev, which flatters it"
