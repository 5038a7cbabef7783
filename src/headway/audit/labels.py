"""Checks of labels: classes, sets of classes and entity types, counted."""

import re
from collections import Counter, defaultdict

from headway.audit.findings import About, Example, Finding, Row, Tally, Watch, names, share, some
from headway.errors import did_you_mean

UNEVEN = 5.0  # times as many of the largest class as of the smallest
FEW = 8  # examples of a class: fewer are neither learned nor measured
LIKE_IDS = 0.5  # different labels for each row, above which they name rows and not classes
FEW_ROWS = 20  # in fewer, any column looks like that
SHOWN = 40  # classes in a table


def unlabelled(about: About) -> Watch:
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        record = row.record
        if record.label is None and record.entities is None and record.answers is None:
            found.add(row)
    return found.finding(
        "unlabelled",
        "warning",
        f"{share(found.count, rows)} rows have no label",
        why="they are left out: nothing can be learned from them, and nothing measured",
        remedy="label them, or leave them to headway predict",
    )


def class_counts(about: About) -> Watch:
    """How many of each class, and which weights would make them even."""
    counts = yield from _count(about)
    if not counts:
        return []
    train = counts.get("train") or next(iter(counts.values()))
    total, shown = train.total(), [name for name, _ in train.most_common(SHOWN)]
    weights = {name: total / (len(train) * number) for name, number in train.items()}
    table = tuple((name, *(f"{counts[part][name]:,}" for part in counts), f"{weights[name]:.2f}") for name in shown)
    return [
        Finding(
            "class_counts",
            "note",
            0,
            f"{len(train):,} {_noun(about)} · {', '.join(f'{name} {number / total:.0%}' for name, number in train.most_common(4))}",
            why="a class is learned as well as it is shown",
            remedy="nothing has to be done",
            table=((_noun(about), *counts, "weight"), *table),
        )
    ]


def imbalance(about: About) -> Watch:
    counts = (yield from _count(about)).get("train", Counter())
    if len(counts) < 2 or about.task == "ner":
        return []
    (most, largest), *_, (least, smallest) = counts.most_common()
    if largest < UNEVEN * smallest:
        return []
    weight = counts.total() / (len(counts) * smallest)
    return [
        Finding(
            "imbalance",
            "warning",
            smallest,
            f'"{least}" is {smallest / counts.total():.1%} of the labels, "{most}" {largest / counts.total():.1%}',
            why="what is rare is seldom predicted, and accuracy hardly notices; look at macro F1",
            remedy=f'label more "{least}", or try --set regularize.class_weights=balanced (it would weigh {weight:.1f})',
        )
    ]


def rare_classes(about: About) -> Watch:
    counts = (yield from _count(about)).get("train", Counter())
    rare = [(name, number) for name, number in reversed(counts.most_common()) if number < FEW]
    if not rare or len(counts) > LIKE_IDS * counts.total():
        return []
    return [
        Finding(
            "rare_classes",
            "warning",
            len(rare),
            f"{len(rare):,} {_noun(about)} have fewer than {FEW} examples: {some([name for name, _ in rare])}",
            why="so few can neither be learned nor measured, and macro F1 counts them like all others",
            remedy="label more of them, or join them to a wider class",
            table=((_noun(about), "examples"), *((name, f"{number:,}") for name, number in rare[:SHOWN])),
        )
    ]


def label_spellings(about: About) -> Watch:
    """Labels that differ in case, white space, hyphens or underscores only."""
    first: dict[str, Row] = {}
    counts: Counter[str] = Counter()
    while (row := (yield)) is not None:
        for name in _labels(row):
            counts[name] += 1
            first.setdefault(name, row)
    alike = defaultdict(list)
    for name in counts:
        alike[re.sub(r"[\s_\-]+", " ", name).strip().casefold()].append(name)
    groups = [sorted(group, key=lambda name: -counts[name]) for group in alike.values() if len(group) > 1]
    others = [(group[0], name) for group in groups for name in group[1:]]
    if not others:
        return []
    examples = tuple(Example(first[name].record.where, f'"{name}"', f'{counts[usual]:,} times "{usual}"') for usual, name in others[:5])
    return [
        Finding(
            "label_spellings",
            "warning",
            sum(counts[name] for _, name in others),
            f"{len(others):,} {_noun(about)} differ from another in case or spacing only: {some([name for _, name in others])}",
            why="each spelling is a class of its own: the examples are parted, and the model must tell apart what is the same",
            remedy="write each label in one way",
            examples=examples,
        )
    ]


def absent_labels(about: About) -> Watch:
    """Classes of the training part that another part does not have."""
    counts = yield from _count(about)
    train = counts.pop("train", Counter())
    found = []
    for part, of_part in counts.items():
        absent = sorted(train.keys() - of_part.keys(), key=lambda name: -train[name])
        if absent and of_part:
            found.append(
                Finding(
                    "absent_labels",
                    "warning",
                    len(absent),
                    f"{len(absent):,} of {len(train):,} {_noun(about)} are not in {part}: {some(absent)}",
                    why="whether they are recognised is not measured there",
                    remedy=f"draw {part} anew, so that it has its share of each",
                )
            )
    return found


def unseen_labels(about: About) -> Watch:
    """Classes that only other parts than the training part have."""
    known: set[str] = set()
    found: dict[str, Tally] = {}
    while (row := (yield)) is not None:
        for name in _labels(row):
            if row.part == "train":
                known.add(name)
            elif known and name not in known:
                found.setdefault(name, Tally()).add(row, detail=f'"{name}"{did_you_mean(name, known)}')
    if not found:
        return []
    examples = tuple(example for tally in found.values() for example in tally.examples[:1])[:5]
    return [
        Finding(
            "unseen_labels",
            "error",
            sum(tally.count for tally in found.values()),
            f"{len(found):,} {_noun(about)} of dev or test are not in train: {some(list(found))}",
            why="what was never shown cannot be predicted: training refuses such files",
            remedy="correct the spelling, or put examples into the training file",
            examples=examples,
        )
    ]


def label_kind(about: About) -> Watch:
    """Labels that name rows, and a label that all rows have."""
    counts = (yield from _count(about)).get("train", Counter())
    total = counts.total()
    if total < FEW_ROWS or about.task == "ner" or (1 < len(counts) <= LIKE_IDS * total):
        return []
    only = next(iter(counts))
    says = f'every label is "{only}"' if len(counts) == 1 else f"{len(counts):,} different labels in {total:,} rows"
    return [
        Finding(
            "label_kind",
            "error",
            total,
            says,
            why="there is no class to learn: the column of the label is most likely another one",
            remedy="name it: --set data.label=COLUMN; for numbers add --set data.kind=number",
        )
    ]


def _count(about: About):
    """The labels of every part, counted; nothing where labels are numbers or answers."""
    counts: dict[str, Counter[str]] = {part: Counter() for part in about.parts}
    while (row := (yield)) is not None:
        counts[row.part].update(_labels(row))
    return {part: of_part for part, of_part in counts.items() if of_part}


def _labels(row: Row) -> tuple[str, ...]:
    if row.record.entities is not None:
        return tuple(span.label for span in row.record.entities)
    return names(row.record.label)


def _noun(about: About) -> str:
    return "entity types" if about.task == "ner" else "labels"
