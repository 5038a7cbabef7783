"""`headway.train`, `headway.tune`, `headway.rank_models` and the others: the jobs for those who write Python."""

from collections.abc import Sequence
from pathlib import Path

from headway.catalogue import KnownEncoder
from headway.config import Config, make_config, read_config, with_settings
from headway.curves import Curve
from headway.events import Finished
from headway.jobs import claims as claims_job
from headway.jobs import forecast as forecast_job
from headway.jobs import models as models_job
from headway.jobs import rank as rank_job
from headway.jobs import train as job
from headway.jobs.claims import Claims
from headway.jobs.rank import Ranked


def train(
    data: str | Path,
    *,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    unlabeled: str | Path | None = None,
    teachers: Sequence[str | Path] = (),
    out: str | Path | None = None,
    settings: dict[str, dict] | str | Path | None = None,
    recipe: str | None = None,
    seeds: int | None = None,
    time: str | None = None,
    resume: bool = False,
) -> Path:
    """Fine-tune on a labelled file, as `headway train` does; gives the run folder, for `headway.load`.

    Args:
        unlabeled: a file of text without labels, whose masked words the encoder learns to fill in first.
        teachers: run folders, whose models' answers are learned from beside the labels; that of several seeds for all of them.
        settings: by section, `{"train": {"epochs": 5}}`, or the path of a TOML file of them.
        recipe: "auto": the way of training that was surely better than the default on data like this, where one was.
        seeds: how many trainings that differ by their seed alone; the best on dev is kept, and `seeds.json` tells of all.
        time: "30m", "1h30m": as many epochs as fit into it on this machine.

    Raises:
        HeadwayError: something a person can put right.
    """
    given = {
        "data.unlabeled": unlabeled and str(unlabeled),
        "distill.teachers": [str(run) for run in teachers] or None,
        "train.recipe": recipe,
        "train.seeds": seeds,
        "train.time": time,
    }
    config = _config(settings, given)
    paths = {name: path and Path(path) for name, path in (("dev", dev), ("test", test), ("out", out))}
    events = list(job.train(Path(data), config=config, resume=resume, **paths))
    return next(event.folder for event in events if isinstance(event, Finished))


def tune(
    data: str | Path,
    *,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    trials: int | None = None,
    time: str | None = None,
    out: str | Path | None = None,
    settings: dict[str, dict] | str | Path | None = None,
    resume: bool = False,
) -> Path:
    """Search for settings that learn a file better, as `headway tune` does; gives the folder, for `headway.load`.

    `run.toml` in there holds what was found, `tune.json` all that was tried. Of machines that share a study (`tune.storage`) the one that
    has made it gets the model; the folders of the others hold the logs of their trials.

    Args:
        settings: as for `train`; `{"tune": {"space": {"train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}}}` says what to try.
        trials: how many; 20 where there is no time.
        time: "30m", "1h30m": for all of it.

    Raises:
        HeadwayError: something a person can put right.
    """
    from headway.jobs.tune import tune as search  # Optuna and its database take a second to import

    config = _config(settings, {"tune.trials": trials, "tune.time": time})
    paths = {name: path and Path(path) for name, path in (("dev", dev), ("test", test), ("out", out))}
    events = list(search(Path(data), config=config, resume=resume, **paths))
    return next(event.folder for event in events if isinstance(event, Finished))


def forecast(
    data: str | Path,
    *,
    dev: str | Path | None = None,
    out: str | Path | None = None,
    settings: dict[str, dict] | str | Path | None = None,
    quick: bool = False,
) -> Curve:
    """What more labels would bring, as `headway forecast` measures it.

    Of the curve, `at(5000)` is the score with 5,000 records, `gain(500)` what 500 more bring, `needed(0.95)` how many a score takes in
    all, each with a 90% band.

    Raises:
        HeadwayError: something a person can put right.
    """
    paths = {name: path and Path(path) for name, path in (("dev", dev), ("out", out))}
    events = list(forecast_job.forecast(Path(data), config=_config(settings), quick=quick, **paths))
    return forecast_job.fitted(next(event.folder for event in events if isinstance(event, Finished)))


def claims(
    data: str | Path,
    *,
    dev: str | Path | None = None,
    out: str | Path | None = None,
    settings: dict[str, dict] | str | Path | None = None,
) -> Claims:
    """What fine-tuning gives on this data that the same network from scratch does not, as `headway compare --claims` measures it.

    Of the claims, `fine_tuned` and `from_scratch` are scores by labels, `labels_needed` and `seconds_needed` what fine-tuning takes for the
    score that all labels give from scratch.

    Raises:
        HeadwayError: something a person can put right.
    """
    paths = {name: path and Path(path) for name, path in (("dev", dev), ("out", out))}
    events = list(claims_job.compare_claims(Path(data), config=_config(settings), **paths))
    return claims_job.found(next(event.folder for event in events if isinstance(event, Finished)))


def models(
    *, language: str | None = None, find: str | None = None, here: bool = False, table: str | Path | None = None
) -> list[KnownEncoder]:
    """The pretrained encoders that `headway models` lists.

    Args:
        language: that they read, as ISO 639-1 has it: "de".
        find: what stands in their name, or in what they are good for.
        here: only those that need no download.
        table: a TOML file of more of them.

    Raises:
        HeadwayError: none is like that, or the file cannot be read.
    """
    return [offer.known for offer in models_job.offers(models_job.Wanted(language, find, here, table=table and Path(table)))]


def rank_models(
    data: str | Path,
    candidates: Sequence[str | Path] = (),
    *,
    dev: str | Path | None = None,
    out: str | Path | None = None,
    settings: dict[str, dict] | str | Path | None = None,
    time: str | None = None,
    quick: bool = False,
    table: str | Path | None = None,
) -> Ranked:
    """Which pretrained encoder learns a file best, as `headway models rank` finds it.

    Of what it gives, `winner` goes into `train(..., settings={"model": {"base_model": winner}})`; `scores` has the others too, the best
    first.

    Args:
        candidates: hub names or folders; none are all of `models()` that need no download.
        time: "10m": for all of it.
        quick: frozen features alone, no training.
        table: a TOML file of more encoders.

    Raises:
        HeadwayError: something a person can put right.
    """
    asked = rank_job.Asked(tuple(map(str, candidates)), time, quick, table and Path(table))
    paths = {name: path and Path(path) for name, path in (("dev", dev), ("out", out))}
    events = list(rank_job.rank(Path(data), config=_config(settings), asked=asked, **paths))
    return rank_job.read_ranking(next(event.folder for event in events if isinstance(event, Finished)))


def _config(settings: dict[str, dict] | str | Path | None, given: dict[str, object] | None = None) -> Config:
    config = make_config(settings) if isinstance(settings, dict) else read_config(settings and Path(settings))
    named = {name: value for name, value in (given or {}).items() if value is not None}
    return with_settings(config, named) if named else config
