"""What jobs write into files of data, and how far they have come with it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from headway.events import Worked, Working
from headway.readers.writing import Piece, saving

STRIDE = 1000  # records between two words of progress

Thing = TypeVar("Thing")


class Counted(Generic[Thing]):
    """Things one by one, and how many of them have been taken."""

    def __init__(self, things: Iterable[Thing]):
        self.things = iter(things)
        self.count = 0

    def __iter__(self) -> Iterator[Thing]:
        for thing in self.things:
            self.count += 1
            yield thing


def writing(pieces: Iterable[Piece], out: Path, *, counted: Counted) -> Working[None]:
    """Save the pieces as `out`, which are made of what is `counted`; tells how many of these are written.

    Raises:
        OutputError: `out` exists, or cannot be written.
    """
    what, told = f"writing {out.name}", 0
    yield Worked(what, 0, unit="records")
    for _ in saving(pieces, out):
        if counted.count >= told + STRIDE:
            told = counted.count
            yield Worked(what, told, unit="records")
