"""What readers say of records that they cannot read, as a finding."""

from collections.abc import Sequence

from headway.audit.findings import Example, Finding

UNREADABLE = "unreadable"  # no key of CHECKS: what cannot be read cannot be allowed either


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
