"""The run folder: what lies in it, how it is opened, and how a stopped run is found again."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from itertools import count
from pathlib import Path
from types import MappingProxyType

from headway.config import Config, read_config
from headway.errors import ConfigError, DataError, OutputError
from headway.folders import put_back, write_text
from headway.jobs.corpus import Corpus, Files, find_files
from headway.settings_text import to_toml

SETTINGS = "run.toml"
DATA = "data.json"
SPLIT = "split.json"  # which records of the training file were held out, where some were
STEPS = "steps.jsonl"
EVALUATIONS = "evaluations.jsonl"
PROVENANCE = "provenance.json"
SCORES = "scores.json"
PREDICTIONS = "predictions.jsonl"
REPORT = "report.html"
SEEDS = "seeds.json"  # of several trainings that differ by their seed alone: what they score together
TUNED = "tune.json"  # of a search: all that was tried
CHECKPOINTS = "checkpoints"
FITTED_HEAD = "fitted-head.safetensors"  # in there, as it was before the first update
MODEL = "model"
ENCODER = "encoder"  # what fine-tuning starts from, where the pretrained network has learned from text without labels first
NOTHING: Mapping[str, object] = MappingProxyType({})


def new_folder(out: Path | None, name: str) -> Path:
    """`out`, or the first free name of today under runs/.

    Raises:
        OutputError: `out` holds something already.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            resumes = f"; to go on with it: headway train --resume {out}" if (out / SETTINGS).is_file() else ""
            raise OutputError(f"{out}: exists; choose another --out{resumes}")
        return out
    today = f"runs/{date.today().isoformat()}-{name}"
    names = (today if number == 1 else f"{today}-{number}" for number in count(1))
    return next(path for path in map(Path, names) if not path.exists())


def open_folder(
    folder: Path, config: Config, corpus: Corpus, files: Files, *, about: Mapping[str, object] = NOTHING, settings: str = SETTINGS
) -> None:
    """Make the folder, with the settings and the data of the run in it; paths are kept whole, so that it can be resumed from anywhere.

    `about` is what else there is to say of the data.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from None
    write_text(folder / DATA, json.dumps(corpus.summary(files) | dict(about), indent=1, ensure_ascii=False))
    if (held_out := corpus.held_out()) is not None:
        write_text(folder / SPLIT, json.dumps(held_out, ensure_ascii=False))
    write_text(folder / settings, to_toml(_with_whole_paths(config, files)))


def _with_whole_paths(config: Config, files: Files) -> Config:
    data = config.data.model_copy(update={name: str(path.resolve()) for name, path in files.all().items()})
    base = Path(config.model.base_model).expanduser()
    network = config.model.model_copy(update={"base_model": str(base.resolve())}) if base.is_dir() else config.model
    distill = config.distill.model_copy(update={"teachers": [str(Path(run).resolve()) for run in config.distill.teachers]})
    return config.model_copy(update={"data": data, "model": network, "distill": distill})


def find_run(data: Path | None, out: Path | None, config: Config | None) -> tuple[Path, Config, Files]:
    """The run folder to go on with, and the settings and files it was started with.

    Raises:
        ConfigError: no run was started there.
    """
    folder = out or data
    if folder is None or not (folder / SETTINGS).is_file():
        raise ConfigError(f"{folder or '--resume'}: no run to go on with; expected headway train --resume RUN_FOLDER")
    if config is not None and config != Config():
        raise ConfigError(
            f"{folder}: a run goes on with its own settings; leave --set and --config away, or start anew with --config {folder / SETTINGS}"
        )
    put_back(folder / MODEL)
    kept = read_config(folder / SETTINGS)
    return folder, kept, find_files(kept, data=None, dev=None, test=None)


def refuse_files(folder: Path, *, dev: Path | None, test: Path | None) -> None:
    """Raise ConfigError where a file was named for what is gone on with: it would be passed over in silence."""
    for name, path in (("dev", dev), ("test", test)):
        if path is not None:
            raise ConfigError(f"--{name} {path}: {folder} goes on with the files that it was started with; leave --{name} away")


def check_same_data(folder: Path, corpus: Corpus, files: Files) -> None:
    """Raise DataError where a file, or how it is cut, is not what it was when the run was started."""
    before, now = json.loads((folder / DATA).read_text(encoding="utf-8")), corpus.summary(files)
    for name, file in now["files"].items():
        if file["sha256"] != before["files"][name]["sha256"]:
            raise DataError(f"{file['path']}: has changed since the run was started; put the old file back, or start a new run")
    if now["split"] != before["split"]:
        raise DataError(f"{folder / DATA}: the records are cut in another way than when the run was started; start a new run")


def check_same_settings(folder: Path, config: Config, files: Files) -> None:
    """Raise ConfigError where a setting is not what it was when a forecast was started; there may be more trainings."""
    before = read_config(folder / SETTINGS).model_dump()
    for section, values in _with_whole_paths(config, files).model_dump().items():
        for name, value in values.items() if section != "forecast" else ():
            if value != before[section][name]:
                raise ConfigError(
                    f"{folder}: was started with {section}.{name} = {before[section][name]}, now {value}; choose another --out"
                )


def cut_log(path: Path, step: int) -> None:
    """Leave the lines up to `step`: those after it are of updates that will be made again. A line that was cut short by a crash is one.

    Where there is no log, it begins: an empty one says that nothing was done, a missing one that nothing is known.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    write_text(path, "".join(line for line in lines if _step(line) <= step))


def cut_logs(folder: Path, step: int) -> None:
    """The same of all logs of a run."""
    for name in (STEPS, EVALUATIONS):
        cut_log(folder / name, step)


def _step(line: str) -> float:
    with suppress(json.JSONDecodeError):
        return json.loads(line)["step"]
    return math.inf
