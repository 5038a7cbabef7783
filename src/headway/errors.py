"""The mistakes that a person can make, each with its exit code.

    HeadwayError              1
    ├── ConfigError           2   a setting or an option that does not exist or does not fit
    ├── DataError             3   a file whose content cannot be read or learned from
    ├── ModelError            4   a pretrained model or a model folder that cannot be loaded
    ├── OutputError           5   a place that cannot be written to, or already holds somebody's work
    ├── BackendError          6   a device or a precision that this machine does not have
    └── TrainingError         7   a training that went wrong and cannot go on

A message is one line: where, what was found, what was allowed, what to do. Everything else that can be raised is a fault of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 1000  # characters of a message: what it quotes from a file may be of any length


class HeadwayError(Exception):
    """Something a person can put right; `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, message: str = ""):
        line = message.replace("\r", "\\r").replace("\n", "\\n")
        super().__init__(line if len(line) <= _LONGEST else f"{line[: _LONGEST * 2 // 3]} … {line[-_LONGEST // 3 :]}")


class ConfigError(HeadwayError):
    exit_code = 2


class DataError(HeadwayError):
    exit_code = 3


class ModelError(HeadwayError):
    exit_code = 4


class OutputError(HeadwayError):
    exit_code = 5


class BackendError(HeadwayError):
    exit_code = 6


class TrainingError(HeadwayError):
    exit_code = 7


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """'; did you mean "name"?' for the allowed name nearest to `found`, or nothing where none is near."""
    by_folded = {name.casefold(): name for name in allowed}
    nearest = get_close_matches(found.casefold(), by_folded, n=1, cutoff=0.65)
    return f'; did you mean "{by_folded[nearest[0]]}"?' if nearest else ""
