"""What readers say of records that they cannot read, and of those that they could read in one way only by a liberty, as findings."""

from collections import Counter
from collections.abc import Mapping, Sequence

from headway.audit.findings import Example, Finding

UNREADABLE = "unreadable"  # no key of CHECKS: what cannot be read cannot be allowed either
LIBERTIES = "liberties"


def unreadable(faults: Sequence[str]) -> list[Finding]:
    """All of them in one finding, each with its place; `faults` are lines that begin with it: "tags.jsonl:7: ..."."""
    if not faults:
        return []
    said = [fault.partition(": ") for fault in faults]
    return [
        Finding(
            UNREADABLE,
            "error",
            len(faults),
            f"{len(faults):,} {'fault' if len(faults) == 1 else 'faults'} in records that cannot be read",
            why="training stops at the first of them; the other checks have not seen these records",
            remedy="mend them in the file, or take these records out",
            examples=tuple(Example(where, text) for where, _, text in said),
        )
    ]


def liberties(counts: Counter[str], places: Mapping[str, Sequence[str]]) -> list[Finding]:
    """What was read though it is not quite right, by kind, and where the first of each kind are."""
    if not counts:
        return []
    kinds = ", ".join(f"{kind} ({count:,}, first at {places[kind][0]})" for kind, count in counts.most_common())
    return [
        Finding(
            LIBERTIES,
            "note",
            counts.total(),
            f"not quite as the format has it: {kinds}",
            why="what was made of it need not be what was meant, and other programs may make something else of it",
            remedy="nothing has to be done where the guess is right",
            examples=tuple(Example(where, kind) for kind, of_kind in places.items() for where in of_kind),
        )
    ]
