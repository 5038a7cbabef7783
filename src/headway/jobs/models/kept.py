"""How fast encoders read on this machine, as it was measured before: a file in the person's cache folder."""

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_cache_path

from headway.catalogue import KnownEncoder
from headway.folders import write_text

SPEEDS = "speeds.json"
WITHOUT = ("vocab_size", "type_vocab_size")  # of a shape: tables that are looked up, and take no time


@dataclass(frozen=True)
class Speed:
    """What was measured, where and when."""

    tokens_per_second: float
    measured: str  # the day, 2026-11-23
    device: str  # its name
    threads: int
    precision: str

    def told(self) -> str:
        threads = f", {self.threads} {'thread' if self.threads == 1 else 'threads'}" if self.device == "cpu" else ""
        return f"{self.measured} on {self.device}{threads}, {self.precision}"


def read_speeds() -> dict[str, Speed]:
    """All that are kept of this machine; a file that cannot be read is measured again."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        kept = json.loads(_path().read_text(encoding="utf-8"))
        return {key: Speed(**speed) for key, speed in kept.items()}
    return {}


def keep_speeds(speeds: Mapping[str, Speed]) -> None:
    _path().parent.mkdir(parents=True, exist_ok=True)
    write_text(_path(), json.dumps({key: asdict(speed) for key, speed in speeds.items()}, indent=1))


def speed_of(known: KnownEncoder, speeds: Mapping[str, Speed]) -> Speed | None:
    return speeds.get(shape_key(known)) if known.shape else None


def shape_key(known: KnownEncoder) -> str:
    """Networks of the same shape are as fast as each other, on one machine."""
    shape = {key: value for key, value in sorted(known.shape.items()) if key not in WITHOUT}
    return f"{platform.node()} {json.dumps(shape)}"


def _path() -> Path:
    return user_cache_path("headway") / SPEEDS
