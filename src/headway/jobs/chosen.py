"""headway train --recipe auto: the way of training that was surely better than the default on data like this, where there is one."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from headway.config import Config, Section, with_settings
from headway.errors import ConfigError
from headway.events import Said, Working
from headway.evidence import Like, Worth, is_uneven, on_data_like, read_evidence, surely_better
from headway.jobs.contrast import check_contrastive
from headway.jobs.corpus import Corpus
from headway.jobs.learning import Started
from headway.jobs.pace import measuring
from headway.jobs.pristine import Pristine, keep_pristine
from headway.jobs.soup import check_soup
from headway.jobs.start import decided
from headway.records import Record
from headway.wording import signed_text

PAGE = "benchmarks/recipes.md"


def choosing(started: Started, corpus: Corpus, config: Config, *, seconds: float | None) -> Working[tuple[Started, Config, Said]]:
    """The same training by the recipe that evidence speaks for, the settings it was asked for with, and why.

    One recipe alone, as no two were measured together. What a person has set is left as it is, and so is a recipe that needs it otherwise.

    Args:
        config: as it was asked for.
        seconds: there are for the training; None: as long as it takes.
    """
    plain = with_settings(config, {"train.recipe": "default"})
    tried = on_data_like(read_evidence(), _like(started, corpus.train))
    pristine = keep_pristine(started)
    spare = float("inf") if seconds is None else (yield from _spare(pristine, corpus, seconds=seconds))
    better = ((found, _with_recipe(plain, found, pristine, corpus)) for found in surely_better(tried) if found.cost <= spare)
    chosen, asked = next(((found, asked) for found, asked in better if asked is not None), (None, plain))
    ready = pristine.restored(decided(asked, started.model, corpus.train, started.train), corpus.train, started.train)
    return ready, asked, Said("recipe", f"auto: {_why(chosen, len(tried))}")


def _like(started: Started, records: Sequence[Record]) -> Like:
    task = started.model.task
    kind = getattr(task, "kind", "")
    counts = Counter(record.label for record in records) if kind == "single" else Counter()
    return Like(task.name, kind, is_uneven(list(counts.values())), len(records))


def _spare(pristine: Pristine, corpus: Corpus, *, seconds: float) -> Working[float]:
    """How many times the usual training fits into the time, by the pace of this machine."""
    begun, how = time.monotonic(), pristine.started.config.train
    pace = yield from measuring(pristine, corpus.train, seconds=seconds)
    return (seconds - (time.monotonic() - begun)) / max(pace.training(how.epochs, evaluations=how.evaluations), 1e-9)


def _with_recipe(config: Config, found: Worth, pristine: Pristine, corpus: Corpus) -> Config | None:
    """The settings with those of the recipe; None where a person has set one of these, or the rest of the settings forbids it."""
    if any(_is_set(config, name) for name in found.settings):
        return None
    with suppress(ConfigError):
        asked = with_settings(config, found.settings)
        check_contrastive(asked, corpus)
        check_soup(asked, dev=bool(corpus.dev))
        pristine.for_settings(asked, corpus.train)
        return asked
    return None


def _is_set(config: Config, name: str) -> bool:
    section, _, key = name.partition(".")
    of_section: Section = getattr(config, section)
    return getattr(of_section, key) != type(of_section).model_fields[key].default


def _why(found: Worth | None, recipes: int) -> str:
    if found is not None:
        settings = ", ".join(f"{name}={value}" for name, value in found.settings.items())
        gained = f"{signed_text(found.gain)} over the default on data like this ({', '.join(found.data)}; {PAGE})"
        return f"{found.recipe}, {settings}: {gained}, for {found.cost:.1f} times its time"
    if not recipes:
        return f"as by default: no recipe has been measured on data like this ({PAGE})"
    return f"as by default: of {recipes} recipes measured on data like this none that fits here is surely better ({PAGE})"
