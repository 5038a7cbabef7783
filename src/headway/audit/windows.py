"""Checks of how an encoder would read the texts; where none was chosen, they say nothing. The first texts of each part are looked at."""

from collections.abc import Sequence

from headway.audit.findings import About, Row, Tally, Watch, share

LOOKED_AT = 5_000  # texts of a part
AT_ONCE = 256
UNKNOWN = 0.01  # the share of unknown tokens from which on a text is counted
OFTEN = 0.01


def unknown_tokens(about: About) -> Watch:
    found, tokens, unknown, rows = Tally(), 0, 0, 0
    for row, measured in (yield from _measured(about)):
        rows += 1
        tokens += measured.tokens
        unknown += measured.unknown
        if measured.unknown > UNKNOWN * measured.tokens:
            found.add(row, detail=f"{measured.unknown} of {measured.tokens} tokens")
    return found.finding(
        "unknown_tokens",
        "warning" if unknown > UNKNOWN * tokens else "note",
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
