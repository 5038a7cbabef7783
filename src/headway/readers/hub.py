"""Data sets by name: from the Hugging Face hub, or where `datasets` has kept them from an earlier time. Needs the extra [hub].

`hf://owner/name`, with `:configuration` and `@split` behind it where it has several: `hf://nyu-mll/glue:mrpc@validation`.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from headway.errors import DataError, did_you_mean

_SCHEME = "hf:"
_NAME = re.compile(r"(?P<name>[\w-][\w.-]*(/[\w-][\w.-]*)?)(:(?P<configuration>[\w.-]+))?(@(?P<split>[\w.-]+))?")
_TRAIN = "train"


class Named(NamedTuple):
    """What to load; None is the only configuration, and the split to learn from."""

    name: str
    configuration: str | None
    split: str | None


def parse_name(path: Path) -> Named | None:
    """The data set that `path` names; None where it is a file, or can only be meant as one.

    Without hf:// nothing of that name or nearly that name is here, the name has no ending, and `datasets` is installed.
    """
    explicit = path.parts[:1] == (_SCHEME,)
    text = "/".join(path.parts[1:]) if explicit else path.as_posix()
    found = _NAME.fullmatch(text)
    if found is None:
        if explicit:
            raise DataError(f"hf://{text}: no name of a data set; expected hf://owner/name, hf://owner/name:configuration@split")
        return None
    if not explicit and (_means_a_file(path) or find_spec("datasets") is None):
        return None
    return Named(found["name"], found["configuration"], found["split"])


def _means_a_file(path: Path) -> bool:
    """Something of that name is here, or of nearly that name, or has to be, as the name has an ending or is in a folder that is here."""
    if path.exists() or path.suffix or (path.parent != Path() and path.parent.is_dir()):
        return True
    return path.parent == Path() and bool(did_you_mean(path.name, [other.name for other in Path().iterdir()]))


@cache
def arrow_files(named: Named) -> tuple[Path, ...]:
    """Load a data set, and give the files that `datasets` keeps of it.

    Raises:
        DataError: `datasets` is not installed, the hub cannot be reached, or has no such data set.
    """
    if find_spec("datasets") is None:
        raise DataError(f'hf://{named.name}: data sets of the hub need the extra [hub]: pip install "headway[hub]"')
    from datasets import load_dataset

    split = named.split or _TRAIN
    try:
        loaded = load_dataset(named.name, named.configuration, split=split)
    except Exception as error:  # of the network, the hub, the data set's files: each by a library of its own
        raise DataError(f"hf://{named.name}: {_said(error)}; {_remedy(named, split)}") from None
    files = tuple(Path(file["filename"]) for file in loaded.cache_files)
    if not files:
        raise DataError(f"hf://{named.name}: datasets keeps it in memory alone; save it with save_to_disk, and name the folder")
    return files


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _remedy(named: Named, split: str) -> str:
    """What to do where there is no network."""
    given = ", ".join(repr(part) for part in (named.name, named.configuration) if part)
    saved = f"datasets.load_dataset({given}, split={split!r}).save_to_disk('folder')"
    return f"where the hub can be reached: {saved}, and name that folder here"
