"""Seeded cuts of the records into a part to learn from and a part to measure on, with nothing on both sides.

A bundle is what stays together: records of the same text, or of the same group, or joined by a chain of these.
"""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from headway.errors import DataError
from headway.records import Record

FEW_BUNDLES = 10  # with fewer, whole groups may be too coarse for the fraction
QUANTILES = 10  # most bins of a number


class Cut(NamedTuple):
    """Positions in the records, rising, and in words how they were chosen."""

    train: list[int]
    held: list[int]
    how: str


class Bundle(NamedTuple):
    members: list[int]
    classes: set[str]  # of all its members, never empty
    rank: float  # random, 0 to 1


class Strata(NamedTuple):
    """What every part should have its share of."""

    name: str
    classes: Callable[[Record], Iterable[str]]  # one or more


def hold_out(records: Sequence[Record], *, fraction: float, seed: int) -> Cut:
    """Hold `fraction` (over 0, under 1) of the records out: stratified, bundles never split, the same for the same records and seed.

    Of several classes, a record counts as its rarest. No class leaves the training side, unless nothing else could be held out, and
    neither side is empty. Where groups are few and whole ones would miss the fraction by over half of it, they are split; equal texts
    never are.

    Raises:
        DataError: there are not two records of different text.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction} is not between 0 and 1")
    strata = _strata(records, fraction)
    texts = _texts(records)
    how = f"{strata.name}, equal texts kept together"
    bundles = _bundles(records, _with_groups(texts, records), strata, seed)
    held = _choose(bundles, fraction)
    if any(record.group for record in records):
        coarse = len(bundles) < FEW_BUNDLES and abs(len(held) / len(records) - fraction) > fraction / 2
        how += f", groups split as they are too few ({len(bundles)})" if coarse else ", groups kept whole"
        held = _choose(_bundles(records, texts, strata, seed), fraction) if coarse else held
    if not held:
        raise DataError(
            f"nothing can be held out: at least 2 different texts are needed, found {len(set(texts))}; add records or give a dev file"
        )
    kept = set(range(len(records))).difference(held)
    return Cut(sorted(kept), sorted(held), how)


def _texts(records: Sequence[Record]) -> list[int]:
    """For every record, the position of the first record with the same text."""
    first: dict[tuple[str, str], int] = {}
    return [first.setdefault(_same_text(record), position) for position, record in enumerate(records)]


def _same_text(record: Record) -> tuple[str, str]:
    """Equal for texts that differ in case and white space only; of a question the context alone, so that none is on both sides."""
    return " ".join(record.text.casefold().split()), " ".join((record.text_pair or "").casefold().split())


def _with_groups(texts: list[int], records: Sequence[Record]) -> list[int]:
    """For every record a number that it shares with those of its text and of its group, along any chain of these (union-find)."""
    parent = list(range(len(texts)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = position = parent[parent[position]]
        return position

    first: dict[str, int] = {}
    for text, record in zip(texts, records, strict=True):
        if record.group:
            parent[root(text)] = root(first.setdefault(record.group, text))
    return [root(text) for text in texts]


def _bundles(records: Sequence[Record], numbers: list[int], strata: Strata, seed: int) -> list[Bundle]:
    """The records of each number, with their classes."""
    members = defaultdict(list)
    for position, number in enumerate(numbers):
        members[number].append(position)
    generator = Random(seed)  # `random()` is the one method whose sequence Python promises to keep
    return [
        Bundle(positions, {name for position in positions for name in strata.classes(records[position])}, generator.random())
        for positions in members.values()
    ]


def _strata(records: Sequence[Record], fraction: float) -> Strata:
    """The strata of the task that the records are labelled for."""
    numbers = [record.label for record in records if isinstance(record.label, int | float)]
    if numbers:
        edges = _edges(numbers, fraction)
        return Strata("stratified by quantile", lambda record: (str(bisect(edges, record.label)) if record.label is not None else "",))
    if any(isinstance(record.label, str) for record in records):
        return Strata("stratified by label", lambda record: (record.label or "",))
    if any(record.label is not None for record in records):
        return Strata("stratified by rarest label", lambda record: record.label or ("",))
    if any(record.entities is not None for record in records):
        return Strata("stratified by rarest entity type", lambda record: {entity.label for entity in record.entities or ()} or ("",))
    if any(record.answers is not None for record in records):
        return Strata("stratified by answerable or not", lambda record: ("answerable" if record.answers else "",))
    return Strata("at random", lambda record: ("",))


def _edges(numbers: list[float], fraction: float) -> list[float]:
    """Where the bins meet; so few bins that each can spare one record."""
    bins = min(QUANTILES, max(1, int(len(numbers) * fraction)))
    return np.quantile(numbers, np.arange(1, bins) / bins).tolist()


def _choose(bundles: list[Bundle], fraction: float) -> list[int]:
    """The members of the bundles to hold out, at least one bundle; none where there is but one."""
    if len(bundles) < 2:
        return []
    spread = Counter(name for bundle in bundles for name in bundle.classes)  # class -> bundles that have it
    lone = {name for name, count in spread.items() if count == 1}
    spare = [bundle for bundle in bundles if lone.isdisjoint(bundle.classes)]
    wanted = fraction * sum(len(bundle.members) for bundle in bundles)
    share = min(wanted / max(sum(len(bundle.members) for bundle in spare), 1), max(fraction, 0.5))
    smallest = min(bundles, key=lambda bundle: (not lone.isdisjoint(bundle.classes), len(bundle.members), bundle.rank))
    held = _sample(_in_strata(spare, spread), share, spread) or [smallest]
    return [position for bundle in held for position in bundle.members]


def _in_strata(bundles: list[Bundle], spread: Counter[str]) -> list[Bundle]:
    """Stratum after stratum, each from large bundles to small; strata of large ones first, since small ones make up for what they miss."""
    strata = defaultdict(list)
    for bundle in bundles:
        strata[min(bundle.classes, key=lambda name: (spread[name], name))].append(bundle)
    for stratum in strata.values():
        stratum.sort(key=lambda bundle: (-len(bundle.members), bundle.rank))
    ordered = sorted(strata, key=lambda name: (-len(strata[name][0].members), name))
    return [bundle for name in ordered for bundle in strata[name]]


def _sample(bundles: list[Bundle], share: float, spread: Counter[str]) -> list[Bundle]:
    """Walk along and take a bundle whenever that brings the held share nearer, unless it is the last of a class.

    Systematic sampling: every stretch of the order gives its share, so every stratum and every size of bundle does.
    """
    left = spread.copy()
    held, owed_records = [], 0.0
    for bundle in bundles:
        owed_records += share * len(bundle.members)
        if owed_records >= len(bundle.members) / 2 and all(left[name] > 1 for name in bundle.classes):
            held.append(bundle)
            owed_records -= len(bundle.members)
            left.subtract(bundle.classes)
    return held
