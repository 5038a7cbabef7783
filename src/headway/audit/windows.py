"""Checks of how an encoder would read the texts; where none was chosen, they say nothing. The first texts of each part are looked at."""

from collections.abc import Iterable, Sequence

from headway.audit.findings import About, Finding, Row, Tally, Watch, share
from headway.records import Record

LOOKED_AT = 5_000  # texts of a part
AT_ONCE = 256
UNKNOWN = 0.01  # the share of unknown tokens from which on a text is counted
MOST_UNKNOWN = 0.5  # the share of unknown tokens above which there is nothing to learn from
OFTEN = 0.01


def unknown_tokens(about: About) -> Watch:
    read = yield from _measured(about)
    return unknown_among((row.record, measured.tokens, measured.unknown) for row, measured in read)


def unknown_among(read: Iterable[tuple[Record, int, int]]) -> list[Finding]:
    """What there is to say of records, each with its number of tokens and of those among them that the encoder does not know."""
    found, tokens, unknown, rows = Tally(), 0, 0, 0
    for record, of_record, unknown_of_record in read:
        rows += 1
        tokens += of_record
        unknown += unknown_of_record
        if unknown_of_record > UNKNOWN * of_record:
            found.add(Row("", record, 0, {}), detail=f"{unknown_of_record} of {of_record} tokens")
    return found.finding(
        "unknown_tokens",
        "error" if unknown > MOST_UNKNOWN * tokens else "warning" if unknown > UNKNOWN * tokens else "note",
        f"{share(unknown, tokens)} tokens are unknown to the encoder, in {share(found.count, rows)} texts",
        why="it sees that something stands there, and not what",
        remedy="choose an encoder for this language or script: --base-model",
    )


def window_cuts(about: About) -> Watch:
    found, lost, references, rows = Tally(), Tally(), 0, 0
    for row, measured in (yield from _measured(about)):
        rows += 1
        references += len(row.record.entities or row.record.answers or ())
        if measured.windows > 1:
            found.add(row, detail=f"{measured.tokens:,} tokens in {measured.windows} windows")
        if measured.lost:
            lost.add(row, detail=f"{measured.lost}")
            lost.count += measured.lost - 1
    noun = "answers" if about.task == "qa" else "entities"
    return [
        *found.finding(
            "window_cuts",
            "note",
            f"{share(found.count, rows)} texts are read in several windows",
            why="windows overlap and nothing is cut off, but no window sees the whole text",
            remedy="nothing has to be done; an encoder for longer texts reads them whole",
        ),
        *lost.finding(
            "window_cuts",
            "warning" if lost.count > OFTEN * references else "note",
            f"{share(lost.count, references)} {noun} cannot be predicted: they begin or end inside a token, or are too long",
            why="they count as missed in every score",
            remedy="see whether their borders are right; else choose another encoder",
        ),
    ]


def _measured(about: About):
    """The rows that are looked at, as the encoder reads them."""
    rows: list[Row] = []
    seen = dict.fromkeys(about.parts, 0)
    while (row := (yield)) is not None:
        seen[row.part] += 1
        if about.measure is not None and seen[row.part] <= LOOKED_AT:
            rows.append(row)
    return [pair for start in range(0, len(rows), AT_ONCE) for pair in _read(about, rows[start : start + AT_ONCE])]


def _read(about: About, rows: Sequence[Row]):
    return zip(rows, about.measure([row.record for row in rows]), strict=True)
