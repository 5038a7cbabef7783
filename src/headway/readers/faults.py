"""What is wrong with single records: those behind them can be read all the same."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from headway.errors import DataError
from headway.records import Record

Item = TypeVar("Item")
Found = TypeVar("Found")


class RecordError(DataError):
    """A record that cannot be read; `faults` are all the lines that say why, the first of them is the message."""

    def __init__(self, *faults: str):
        super().__init__(faults[0])
        self.faults = tuple(str(DataError(fault)) for fault in faults)


def each(make: Callable[[Item], Record], items: Iterable[Item]) -> Iterator[Record]:
    """The record of every item: the iterator that a reader gives.

    For an item that is at fault a RecordError is raised, and the record of the next can be asked for. What `items` raises ends it.
    """
    return map(partial(_made, make), items)


def tried(read: Callable[[Item], Found], items: Iterable[Item]) -> tuple[list[Found], list[str]]:
    """What `read` gives for the items of one record, and what is wrong with the others."""
    found: list[Found] = []
    faults: list[str] = []
    for item in items:
        try:
            found.append(read(item))
        except RecordError as error:
            faults += error.faults
        except DataError as error:
            faults.append(str(error))
    return found, faults


def faultless(read: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
    """What `read` gives for the items of one record.

    Raises:
        RecordError: for all that are at fault at once.
    """
    found, faults = tried(read, items)
    if faults:
        raise RecordError(*faults)
    return found


def readable(records: Iterator[Record], faults: list[str]) -> Iterator[Record]:
    """The records without those at fault; what is wrong with these is added to `faults` as it is met."""
    while True:
        try:
            record = next(records, None)
        except RecordError as error:
            faults += error.faults
            continue
        if record is None:
            return
        yield record


def _made(make: Callable[[Item], Record], item: Item) -> Record:
    try:
        return make(item)
    except RecordError:
        raise
    except DataError as error:
        raise RecordError(str(error)) from None
