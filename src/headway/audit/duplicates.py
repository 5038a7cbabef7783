"""Checks for the same text met again: in its part, across parts, and with something else said of it."""

from array import array
from collections import Counter

from headway.audit.findings import EXAMPLES, About, Example, Finding, Row, Tally, Watch, excerpt, names, share
from headway.audit.minhash import SIMILAR, Sketches
from headway.records import Record

OFTEN = 0.01  # the share of texts from which on repetition is a warning
NEARLY_ALL = 0.75  # of dev or test in train: somebody has given the same file twice, and a part of it was held out of train
LONG_SENTENCE = 5  # words; shorter sentences of a corpus of entities recur as they should: "( Reuters )"


def exact_duplicates(about: About) -> Watch:
    """Texts that stand in the same part before."""
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if row.part in row.twins and _is_long(row.record):
            found.add(row, detail=f"as {row.twins[row.part].where}")
    return found.finding(
        "exact_duplicates",
        "warning" if found.count > OFTEN * rows else "note",
        f"{share(found.count, rows)} texts repeat an earlier one",
        why="they count twice in what is learned and in what is measured; a split by rows would put the same text on both sides",
        remedy="nothing has to be done for training: equal texts are kept on one side; take repetitions out where they are an accident",
    )


def leakage(about: About) -> Watch:
    """Texts of dev or test that an earlier part holds, train before dev; of questions, paragraphs."""
    counts = Counter()
    found = {(part, source): Tally() for number, part in enumerate(about.parts) for source in about.parts[:number]}
    contexts: dict[str, dict[int, str]] = {part: {} for part in about.parts}
    while (row := (yield)) is not None:
        counts[row.part] += 1
        twins = {part: twin.where for part, twin in row.twins.items()} if row.record.question is None else _contexts(row, contexts)
        source = next((part for part in about.parts if part in twins), row.part)
        if source != row.part and _is_long(row.record):
            found[row.part, source].add(row, detail=f"as {twins[source]}")
    findings = []
    for (part, source), tally in found.items():
        findings += tally.finding(
            "leakage",
            "error" if source == "train" and tally.count > NEARLY_ALL * counts[part] else "warning",
            f"{share(tally.count, counts[part])} {_what(about)} of {part} are in {source}",
            why="what was learned by heart is scored as if it had been understood"
            if source == "train"
            else f"the model is chosen by {source}, and so is the better on these texts of {part}",
            remedy=f"take them out of {source} or out of {part}; where they are nearly all, the same file was most likely given twice",
        )
    return findings


def _contexts(row: Row, known: dict[str, dict[int, str]]) -> dict[str, str]:
    """By part, where it has the paragraph of a question before."""
    context = _context(row.record)
    twins = {part: contexts[context] for part, contexts in known.items() if context in contexts}
    known[row.part].setdefault(context, row.record.where)
    return twins


def _context(record: Record) -> int:
    return hash(" ".join(record.text.casefold().split()))


def conflicting_labels(about: About) -> Watch:
    """Texts of which two rows say different things."""
    found, texts, rows = Tally(), set(), 0
    while (row := (yield)) is not None:
        rows += 1
        others = [twin for twin in row.twins.values() if twin.said != said(row.record)]
        if others and _is_long(row.record):
            detail = f"{_shown(row.record.label)}, but {_shown(others[0].said)} in {others[0].where}"
            found.add(row, detail=detail if row.record.label is not None else f"marked otherwise in {others[0].where}")
            texts.add(row.key)
    found.count = len(texts)
    return found.finding(
        "conflicting_labels",
        "warning",
        f"{share(found.count, rows)} texts are labelled differently where they occur again",
        why="one of the labels is wrong, or the text alone does not decide: no model can be right about both",
        remedy="settle on one label for each, or take these texts out",
    )


def near_duplicates(about: About) -> Watch:
    """Texts that are nearly those of another row, which is not the same as being equal to it."""
    sketches, parts, paragraphs, rows = Sketches(), array("b"), set(), 0
    partner: dict[int, tuple[int, float]] = {}  # of a text, the most similar earlier one, in train where there is one
    while (row := (yield)) is not None:
        parts.append(about.parts.index(row.part))
        first = sketches.add(whole(row.record))
        repeats = _repeats(row, about.parts[parts[first]], paragraphs)
        if first != rows and not repeats and _is_long(row.record):
            partner[rows] = (first, 1.0)
        rows += 1
    for first, second, similarity in sketches.pairs(SIMILAR):
        known = partner.get(second)
        if known is None or (parts[first] == 0, similarity) > (parts[known[0]] == 0, known[1]):
            partner[second] = (first, similarity)
    within = {second: pair for second, pair in partner.items() if parts[second] == parts[pair[0]]}
    across = {second: pair for second, pair in partner.items() if parts[second] != parts[pair[0]]}
    return [*_near(about, within, rows), *_near(about, across, sum(part > 0 for part in parts), across=True)]


def _repeats(row: Row, source: str, paragraphs: set[tuple[str, int]]) -> bool:
    """Whether `source` has the text itself, which other checks tell; of questions, whether it or the row's part has the paragraph."""
    if row.record.question is None:
        return source in row.twins
    known = {(source, _context(row.record)), (row.part, _context(row.record))} & paragraphs
    paragraphs.add((row.part, _context(row.record)))
    return bool(known)


def _near(about: About, pairs: dict[int, tuple[int, float]], of: int, *, across: bool = False) -> list[Finding]:
    if not pairs:
        return []
    how = "texts of dev or test nearly repeat one of another part" if across else "texts nearly repeat an earlier one"
    return [
        Finding(
            "near_duplicates",
            "warning" if across or len(pairs) > OFTEN * of else "note",
            len(pairs),
            f"{share(len(pairs), of)} {how}",
            why="a part that is measured on is easier than the texts to come" if across else "they count twice in what is learned",
            remedy="look at the examples: where a word decides the label they are fine, where they are copies take one of each out",
            examples=_pairs(about, pairs),
        )
    ]


def _pairs(about: About, pairs: dict[int, tuple[int, float]]) -> tuple[Example, ...]:
    shown = sorted(pairs.items(), key=lambda item: (-item[1][1], item[0]))[:EXAMPLES]
    wanted = {number for second, (first, _) in shown for number in (first, second)}
    last = max(wanted)
    records: dict[int, Record] = {}
    for number, (_, record) in enumerate(about.again()):
        if number in wanted:
            records[number] = record
        if number >= last:
            break
    return tuple(
        Example(
            records[second].where,
            excerpt(records[second].text),
            f"{similarity:.0%} as {records[first].where}: {excerpt(records[first].text)}",
        )
        for second, (first, similarity) in shown
    )


def said(record: Record):
    """What people say of a record, comparable: the label itself, in any order where there are several; of a question whether it has an
    answer, since people give different ones and mean the same."""
    if record.label is not None:
        return tuple(sorted(record.label)) if isinstance(record.label, tuple) else record.label
    return hash(record.entities) if record.answers is None else bool(record.answers)


def text_key(record: Record) -> int:
    """Equal for records whose texts and question differ in case and white space only."""
    parts = (record.text, record.text_pair or "", record.question or "")
    return hash(tuple(" ".join(part.casefold().split()) for part in parts))


def whole(record: Record) -> str:
    """Both texts of a pair; of a question the paragraph, which is compared once."""
    return f"{record.text} {record.text_pair}" if record.text_pair else record.text


def _is_long(record: Record) -> bool:
    return record.entities is None or len(record.text.split()) > LONG_SENTENCE


def _shown(label) -> str:
    return f'"{", ".join(names(label))}"' if names(label) else str(label)


def _what(about: About) -> str:
    return "questions stand on paragraphs that" if about.task == "qa" else "texts"
