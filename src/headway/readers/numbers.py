"""Numbers as people write them in tables: with a decimal point or, where Excel speaks German, a comma."""

import re

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


def is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def to_number(cell: str) -> float:
    """The value of a cell for which `is_number` holds."""
    return float(cell.replace(",", "."))
