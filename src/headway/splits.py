"""Seeded cuts of the records into a part to learn from and a part to measure on, with nothing on both sides.

A bundle is what stays together: a group, and other groups of the very same texts; of records without a group those of the same text or
of the same cluster of near duplicates. Groups are not joined by a few texts that they share: a greeting or a dateline would chain half
of all records into one bundle, which is always on the same side. Such a text stays where it is learned from, and is left out elsewhere.
"""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import Literal, NamedTuple

import numpy as np

from headway.errors import DataError
from headway.records import Record

FEW_BUNDLES = 10  # with fewer, whole groups may be too coarse for the fraction
QUANTILES = 10  # most bins of a number

Clusters = Sequence[Hashable | None]  # for every record, what it shares with its near duplicates; None where it has none


class Cut(NamedTuple):
    """Positions in the records, rising, and in words how they were chosen."""

    train: list[int]
    held: list[int]
    how: str
    left_out: list[int] = []  # noqa: RUF012 - on neither side, never changed: what would be measured on, and is learned from elsewhere


class Bundle(NamedTuple):
    members: list[int]
    classes: Counter[str]  # how many of its members are of each, never empty
    rank: float  # random, 0 to 1


class Strata(NamedTuple):
    """What every part should have its share of."""

    name: str
    classes: Callable[[Record], Collection[str]]  # one or more, each once


def hold_out(
    records: Sequence[Record],
    *,
    fraction: float,
    seed: int,
    clusters: Clusters | None = None,
    groups: Literal["whole", "whole if many"] = "whole if many",
) -> Cut:
    """Hold `fraction` (over 0, under 1) of the records out: stratified, bundles never split, the same for the same records and seed.

    No class leaves the training side, unless nothing else could be held out, and neither side is empty. Where groups are few and
    whole ones would miss the fraction by over half of it, they are split, unless they are to be whole: then the fraction gives way.
    Equal texts and clusters are never on both sides: where groups that are whole share some, these records are held out of neither.

    Raises:
        DataError: there are not two records of different text, or not two groups with texts of their own.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction} is not between 0 and 1")
    strata = _strata(records, fraction)
    alike, how = _alike(records, clusters)
    bundles = _bundles(records, _whole(records, alike), strata, seed)
    held, seen = _unseen(_choose(bundles, fraction), alike)
    how = f"{strata.name}, {how}"
    if _has_groups(records):
        coarse = len(bundles) < FEW_BUNDLES and abs(len(held) / len(records) - fraction) > fraction / 2
        if groups == "whole if many" and (coarse or not held):
            held, seen = _choose(_bundles(records, alike, strata, seed), fraction), []
            how += f", groups split as they are too few ({len(bundles)})" if coarse else ", groups split as they share their texts"
        else:
            how += ", groups kept whole" + (f": {len(held) / len(records):.0%}, as they are few ({len(bundles)})" if coarse else "")
    if not held and groups == "whole" and len(set(alike)) > 1:
        raise DataError(
            "nothing can be held out: data.group names one group, or groups without texts of their own; give a dev file, or no data.group"
        )
    if not held:
        raise DataError(
            f"nothing can be held out: at least 2 different texts are needed, found {len(set(alike))}; add records or give a dev file"
        )
    kept = set(range(len(records))).difference(held, seen)
    return Cut(sorted(kept), sorted(held), how + _without(seen), sorted(seen))


def folds(records: Sequence[Record], *, count: int, seed: int, clusters: Clusters | None = None) -> list[Cut]:
    """`count` (2 or more) cuts that hold every record out once: stratified, bundles never split, the same for the same records and seed.

    A class of two bundles or more is never held out whole. Where groups share texts, these records are left out instead of held out.

    Raises:
        DataError: there are fewer bundles than folds, or one holds no text of its own.
    """
    if count < 2:
        raise ValueError(f"{count} folds: at least 2 are needed")
    strata = _strata(records, 1 / count)
    alike, how = _alike(records, clusters)
    bundles = _bundles(records, _whole(records, alike), strata, seed)
    if len(bundles) < count:
        apart = "groups" if _has_groups(records) else "different texts"
        raise DataError(f"{count} folds need at least {count} {apart}, found {len(bundles)}; lower split.folds")
    how = f"fold %d of {count}, {strata.name}, {how}" + (", groups kept whole" if _has_groups(records) else "")
    everything, cuts = set(range(len(records))), []
    for number, part in enumerate(_deal(bundles, [1 / count] * count, guarded=range(count)), 1):
        held, seen = _unseen(part, alike)
        if not held:
            raise DataError(f"fold {number} of {count} holds no text that other groups do not have; lower split.folds")
        cuts.append(Cut(sorted(everything.difference(part)), sorted(held), how % number + _without(seen), sorted(seen)))
    return cuts


def hold_out_latest(records: Sequence[Record], times: Sequence[float], *, fraction: float, clusters: Clusters | None = None) -> Cut:
    """Hold the latest `fraction` of the records out, so that all that is learned from is older than all that is measured on.

    Records of one moment stay together. A late record of the text or of the group of an older one is left out: it has been seen.

    Raises:
        DataError: all records are of one moment, or every late one has been seen before.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction} is not between 0 and 1")
    moments = sorted(Counter(times).items(), reverse=True)
    if len(moments) < 2:
        raise DataError("nothing can be held out by time: all records are of the same moment")
    wanted = fraction * len(records)
    sizes = list(accumulate(count for _, count in moments))[:-1]  # of what would be held out; the oldest moment always stays
    border = moments[min(range(len(sizes)), key=lambda place: abs(sizes[place] - wanted))][0]
    late = [position for position, time in enumerate(times) if time >= border]
    kept = set(range(len(records))).difference(late)
    seen = _seen(late, _alike(records, clusters)[0]) | _seen(late, [record.group or position for position, record in enumerate(records)])
    held = [position for position in late if position not in seen]
    if not held:
        raise DataError("nothing can be held out by time: every late record has the text or the group of an older one")
    return Cut(sorted(kept), held, "the latest, without texts and groups that came before", sorted(seen))


def nested(records: Sequence[Record], *, shares: Sequence[float], seed: int) -> list[list[int]]:
    """Positions of subsets, each within the next, of `shares` of the records, rising to 1; stratified as `hold_out` does.

    A class is in every subset that has room for all of them.
    """
    subsets = [list(range(len(records)))]
    for share, larger in reversed(list(pairwise(shares))):
        whole = subsets[0]
        kept = hold_out([records[position] for position in whole], fraction=1 - share / larger, seed=seed).train
        subsets.insert(0, [whole[position] for position in kept])
    return subsets


def _alike(records: Sequence[Record], clusters: Clusters | None) -> tuple[list[int], str]:
    """For every record a number that it shares with those of its text and cluster, and what that keeps together."""
    texts = _texts(records)
    if clusters is None:
        return texts, "equal texts kept together"
    return _joined(texts, clusters), "near duplicates kept together"


def _has_groups(records: Sequence[Record]) -> bool:
    return any(record.group for record in records)


def _whole(records: Sequence[Record], alike: Sequence[int]) -> list[Hashable]:
    """For every record what it stays together with: the numbers of all texts of its group, or that of its own text."""
    of_group = defaultdict(set)
    for record, number in zip(records, alike, strict=True):
        if record.group:
            of_group[record.group].add(number)
    together = {group: frozenset(numbers) for group, numbers in of_group.items()}
    return [together[record.group] if record.group else frozenset([number]) for record, number in zip(records, alike, strict=True)]


def _seen(held: Collection[int], numbers: Sequence[Hashable]) -> set[int]:
    """Of the positions held out, those that share their number with one that is not."""
    inside = set(held)
    elsewhere = {number for position, number in enumerate(numbers) if position not in inside}
    return {position for position in held if numbers[position] in elsewhere}


def _unseen(part: Sequence[int], alike: Sequence[int]) -> tuple[list[int], list[int]]:
    """What a part has alone, and what others have, too: it has been seen."""
    seen = _seen(part, alike)
    return [position for position in part if position not in seen], list(seen)


def _without(seen: Collection[int]) -> str:
    return f", without {len(seen):,} whose text others have" if seen else ""


def _texts(records: Sequence[Record]) -> list[int]:
    """For every record, the position of the first record with the same text."""
    first: dict[tuple[str, str], int] = {}
    return [first.setdefault(_same_text(record), position) for position, record in enumerate(records)]


def _same_text(record: Record) -> tuple[str, str]:
    """Equal for texts that differ in case and white space only; of a question the context alone, so that none is on both sides."""
    return " ".join(record.text.casefold().split()), " ".join((record.text_pair or "").casefold().split())


def _joined(numbers: Sequence[int], keys: Sequence[Hashable | None]) -> list[int]:
    """For every record a number that it shares with those of its number and of its key, along any chain of these (union-find)."""
    parent = list(range(len(numbers)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = position = parent[parent[position]]
        return position

    first: dict[Hashable, int] = {}
    for number, key in zip(numbers, keys, strict=True):
        if key is not None:
            parent[root(number)] = root(first.setdefault(key, number))
    return [root(number) for number in numbers]


def _bundles(records: Sequence[Record], numbers: Sequence[int], strata: Strata, seed: int) -> list[Bundle]:
    """The records of each number, with their classes."""
    members = defaultdict(list)
    for position, number in enumerate(numbers):
        members[number].append(position)
    generator = Random(seed)  # `random()` is the one method whose sequence Python promises to keep
    return [
        Bundle(positions, Counter(name for position in positions for name in strata.classes(records[position])), generator.random())
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
        return Strata("stratified by all labels", lambda record: dict.fromkeys(record.label or ("",)))
    if any(record.entities is not None for record in records):
        return Strata("stratified by entity types", lambda record: {entity.label for entity in record.entities or ()} or ("",))
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
    spread = _spread(bundles)
    lone = {name for name, count in spread.items() if count == 1}
    spare = [bundle for bundle in bundles if lone.isdisjoint(bundle.classes)]
    wanted = fraction * sum(len(bundle.members) for bundle in bundles)
    share = min(wanted / max(sum(len(bundle.members) for bundle in spare), 1), max(fraction, 0.5))
    smallest = min(bundles, key=lambda bundle: (not lone.isdisjoint(bundle.classes), len(bundle.members), bundle.rank))
    return _deal(spare, [share, 1 - share], guarded=[0])[0] or smallest.members


def _spread(bundles: Iterable[Bundle]) -> Counter[str]:
    """How many bundles have each class."""
    return Counter(name for bundle in bundles for name in bundle.classes)


def _deal(bundles: list[Bundle], shares: Sequence[float], *, guarded: Sequence[int]) -> list[list[int]]:
    """The members of every part: each bundle goes to the part that is owed most of what it holds, its records and its classes alike.

    So every part gets its share of every class, and of all records. A `guarded` part never gets all bundles of a class of several.

    Source: after Sechidis, Tsoumakas and Vlahavas 2011, On the Stratification of Multi-label Data (iterative stratification), with all
    labels of a record weighed at once.
    """
    spread = _spread(bundles)
    parts: list[list[int]] = [[] for _ in shares]
    owed: list[Counter[str | None]] = [Counter() for _ in shares]  # None: of all records
    taken: list[Counter[str]] = [Counter() for _ in shares]  # class -> bundles

    def gain(part: int, held: dict[str | None, int], classes: Iterable[str]) -> tuple[bool, float]:
        takes_all = part in guarded and any(taken[part][name] + 1 == spread[name] > 1 for name in classes)
        return not takes_all, round(sum(count * owed[part][name] for name, count in held.items()), 6)  # what is equal but for rounding ties

    for bundle in _in_strata(bundles, spread):
        held = {None: len(bundle.members), **bundle.classes}
        for of_part, share in zip(owed, shares, strict=True):
            for name, count in held.items():
                of_part[name] += share * count
        part = max(range(len(shares)), key=lambda part: gain(part, held, bundle.classes))
        parts[part] += bundle.members
        owed[part].subtract(held)
        taken[part].update(bundle.classes.keys())
    return parts


def _in_strata(bundles: list[Bundle], spread: Counter[str]) -> list[Bundle]:
    """Those of each rarest class together, from large bundles to small; classes of large ones first, as small ones make up for them.

    Less than twice as large counts as alike, and those that are alike come in random order: another seed gives another cut of groups, too.
    """
    strata = defaultdict(list)
    for bundle in bundles:
        strata[min(bundle.classes, key=lambda name: (spread[name], name))].append(bundle)
    for stratum in strata.values():
        stratum.sort(key=lambda bundle: (-len(bundle.members).bit_length(), bundle.rank))
    ordered = sorted(strata, key=lambda name: (-max(len(bundle.members) for bundle in strata[name]), name))
    return [bundle for name in ordered for bundle in strata[name]]
