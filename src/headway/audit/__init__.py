"""Records -> findings: what is wrong with labelled text, or worth knowing, before a model is trained on it.

One function a check, in the table CHECKS. All share one pass over the records (`findings` says how), and none prints.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from headway.audit.answers import answer_places, answers_apart, answers_in_words, unanswerable
from headway.audit.duplicates import conflicting_labels, exact_duplicates, leakage, near_duplicates, said, text_key
from headway.audit.faults import UNREADABLE, liberties, unreadable
from headway.audit.findings import About, Check, Example, Finding, Measured, Row, Severity, Twin
from headway.audit.labels import (
    absent_labels,
    class_counts,
    imbalance,
    label_kind,
    label_spellings,
    rare_classes,
    unlabelled,
    unseen_labels,
)
from headway.audit.spans import span_borders, span_overlaps, span_places, spans_in_words, uneven_marks
from headway.audit.texts import (
    control_characters,
    empty_texts,
    invisible_characters,
    languages,
    lengths,
    markup_remains,
    mojibake,
    outlying_lengths,
    scripts,
    stray_backslashes,
    stray_tabs,
)
from headway.audit.windows import LOOKED_AT, unknown_among, unknown_tokens, window_cuts
from headway.errors import ConfigError, did_you_mean
from headway.records import Record

__all__ = [
    "ALL",
    "CHECKS",
    "LOOKED_AT",
    "QUICK",
    "SEVERITIES",
    "UNREADABLE",
    "Checking",
    "Example",
    "Finding",
    "Measured",
    "Severity",
    "allowed_checks",
    "audit",
    "liberties",
    "unknown_among",
    "unreadable",
]

CHECKS: dict[str, Check] = {
    "leakage": leakage,
    "conflicting_labels": conflicting_labels,
    "exact_duplicates": exact_duplicates,
    "near_duplicates": near_duplicates,
    "empty_texts": empty_texts,
    "mojibake": mojibake,
    "control_characters": control_characters,
    "invisible_characters": invisible_characters,
    "stray_tabs": stray_tabs,
    "stray_backslashes": stray_backslashes,
    "markup_remains": markup_remains,
    "outlying_lengths": outlying_lengths,
    "scripts": scripts,
    "languages": languages,
    "unlabelled": unlabelled,
    "label_kind": label_kind,
    "label_spellings": label_spellings,
    "unseen_labels": unseen_labels,
    "absent_labels": absent_labels,
    "imbalance": imbalance,
    "rare_classes": rare_classes,
    "span_places": span_places,
    "span_borders": span_borders,
    "spans_in_words": spans_in_words,
    "span_overlaps": span_overlaps,
    "uneven_marks": uneven_marks,
    "answer_places": answer_places,
    "answers_in_words": answers_in_words,
    "answers_apart": answers_apart,
    "unanswerable": unanswerable,
    "unknown_tokens": unknown_tokens,
    "window_cuts": window_cuts,
    "class_counts": class_counts,
    "lengths": lengths,
}
ALL = "all"
SLOW = {"near_duplicates", "uneven_marks"}
SAID_ELSEWHERE = {"unseen_labels", "unlabelled", "unknown_tokens", "window_cuts", "lengths", "class_counts"}  # by training itself
QUICK = tuple(name for name in CHECKS if name not in SLOW | SAID_ELSEWHERE)  # what runs at the start of every training
SEVERITIES = ("error", "warning", "note")
STRIDE = 10_000  # rows between two words of progress


class Checking(NamedTuple):
    """How far an audit has come."""

    rows: int
    check: str = ""  # the one that concludes; "" while rows are read


def audit(
    parts: Mapping[str, Iterable[Record]],
    *,
    task: str,
    checks: Collection[str] = tuple(CHECKS),
    measure=None,
) -> Iterator[Checking | Finding]:
    """Run `checks` over the records of each part ("train" first, then "dev" and "test"); findings come last, the gravest first.

    Every part is read once, or, where a check shows examples of what it could tell only at the end, a few times: an iterable gives
    the same records each time. Memory grows by about 300 bytes a record; 5 bytes a word more with near_duplicates.

    `measure` reads records as an encoder would (`Measured`); without it nothing is said of tokens and windows.
    """
    about = About(task, tuple(parts), lambda: ((part, record) for part, records in parts.items() for record in records), measure)
    running = {name: CHECKS[name](about) for name in CHECKS if name in checks}
    for check in running.values():
        next(check)
    count = 0
    for count, row in enumerate(_rows(about), 1):
        for check in running.values():
            check.send(row)
        if count % STRIDE == 0:
            yield Checking(count)
    found: list[Finding] = []
    for name, check in running.items():
        yield Checking(count, name)
        found += _concluded(check)
    yield from sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def allowed_checks(setting: str) -> frozenset[str]:
    """The checks that `audit.allow` names, parted by commas; all of them for "all".

    Raises:
        ConfigError: there is no such check.
    """
    chosen = [name.strip() for name in setting.split(",") if name.strip()]
    for name in chosen:
        if name not in (*CHECKS, ALL):
            hint = did_you_mean(name, CHECKS) or f"; the checks are {', '.join(CHECKS)}"
            raise ConfigError(f"audit.allow: there is no check {name}{hint}")
    return frozenset(CHECKS if ALL in chosen else chosen)


def _rows(about: About) -> Iterator[Row]:
    first: dict[str, dict[int, Twin]] = {part: {} for part in about.parts}
    for part, record in about.again():
        key = text_key(record)
        twins = {name: texts[key] for name, texts in first.items() if key in texts}
        yield Row(part, record, key, twins)
        if part not in twins:
            first[part][key] = Twin(record.where, said(record))


def _concluded(check) -> Sequence[Finding]:
    try:
        check.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a check goes on after the last row")
