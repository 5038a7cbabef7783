"""`headway.train`: the training job for those who write Python."""

from pathlib import Path

from headway.config import make_config, read_config
from headway.events import Finished
from headway.jobs import train as job


def train(
    data: str | Path,
    *,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    out: str | Path | None = None,
    settings: dict[str, dict] | str | Path | None = None,
    resume: bool = False,
) -> Path:
    """Fine-tune on a labelled file, as `headway train` does; gives the run folder, for `headway.load`.

    Args:
        settings: by section, `{"train": {"epochs": 5}}`, or the path of a TOML file of them.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = make_config(settings) if isinstance(settings, dict) else read_config(settings and Path(settings))
    paths = {name: path and Path(path) for name, path in (("dev", dev), ("test", test), ("out", out))}
    events = list(job.train(Path(data), config=config, resume=resume, **paths))
    return next(event.folder for event in events if isinstance(event, Finished))
