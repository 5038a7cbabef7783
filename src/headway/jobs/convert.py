"""headway convert: the records of one file or folder -> another format, and the count of what that cannot hold."""

from collections.abc import Iterator
from pathlib import Path

from headway.config import Data, read_config
from headway.errors import ConfigError, OutputError
from headway.events import Event, Said, Worked, Working
from headway.jobs.writing import STRIDE, Counted, writing
from headway.readers import Reading, format_of, read, say_left_out, write_again, written_as
from headway.readers.tags import SCHEMES
from headway.readers.writing import Target


def convert(
    source: Path, out: Path, *, name: str | None = None, scheme: str | None = None, settings: list[str] | None = None
) -> Iterator[Event]:
    """Write `source` as `out`, in the format called `name`, or that its ending tells; tags follow `scheme`.

    Raises:
        HeadwayError: something a person can put right.
    """
    config = read_config(None, settings or [])
    if out.exists():
        raise OutputError(f"{out}: exists; choose another place")
    if scheme is not None and scheme not in SCHEMES:
        raise ConfigError(f"--scheme {scheme}: must be one of {', '.join(SCHEMES)}")
    yield Worked(f"reading {source.name}", 0)
    reading = read(source, config.data, labels="welcome")
    name = name or format_of(out, reading.data.task)
    labels = (yield from _classes(source, reading)) if name == "prodigy" and reading.data.task == "classification" else ()
    target = Target(reading.data.task, _layout(reading, name, scheme), labels=labels)
    records = Counted(reading.records)
    yield from writing(write_again(records, name, target, reading=reading), out, counted=records)
    yield Said(source.name, f"{records.count:,} records · {reading.guessed}")
    if said := say_left_out(reading.left_out):
        yield Said("", f"not in the records: {said}", warning=True)
    yield Said(out.name, f"written as {name}")
    for kind, lost in target.lost.items():
        if lost:
            yield Said("", f"{name} does not hold: {kind} ({lost:,})", warning=True)


def _classes(source: Path, reading: Reading) -> Working[tuple[str, ...]]:
    """All classes of a file, in the order in which they occur: every task of Prodigy offers all of them."""
    found: dict[str, None] = {}
    for number, record in enumerate(read(source, reading.data, labels="welcome").records, 1):
        if number % STRIDE == 0:
            yield Worked(f"reading {source.name}", number, unit="records")
        found |= dict.fromkeys([record.label] if isinstance(record.label, str) else record.label or ())
    return tuple(found)


def _layout(reading: Reading, name: str, scheme: str | None) -> Data:
    """The columns and the scheme of the file that was read, where its format stays the same."""
    layout = reading.data if written_as(reading) == name else Data()
    return layout if scheme is None else layout.model_copy(update={"scheme": scheme})
