"""headway report: a run folder -> report.html and the model card, both made from what the folder holds and nothing else."""

from collections.abc import Iterator
from pathlib import Path

from headway.cards import is_ours, sealed
from headway.events import Event, Finished, Said
from headway.folders import CARD, write_text
from headway.jobs.report.advice import advise
from headway.jobs.report.card import card
from headway.jobs.report.evidence import gather
from headway.jobs.report.last import find_last
from headway.jobs.report.verdicts import judge
from headway.jobs.report.view import view
from headway.jobs.run_folder import MODEL, REPORT, TUNED
from headway.pages import page


def report(folder: Path) -> Iterator[Event]:
    """Make both anew, and of a search its page too; a card that somebody has written in is left as it is.

    Raises:
        HeadwayError: something a person can put right.
    """
    yield from write_report(folder)
    if (folder / TUNED).is_file():
        from headway.jobs.tune.page import write_page  # brings Optuna along, and few runs come from a search

        write_page(folder)
    yield Finished(folder)


def write_report(folder: Path) -> Iterator[Said]:
    """The same, as training does it at its end; says something only where something is missing."""
    evidence = gather(folder)
    verdicts = judge(evidence.examples)
    advice = advise(evidence, verdicts)
    write_text(folder / REPORT, page("report.html", view(evidence, verdicts, advice, find_last(evidence))))
    if evidence.missing:
        yield Said("report", f"left out what stands in {', '.join(evidence.missing)}: an older run has none", warning=True)
    if not (folder / MODEL).is_dir():
        yield Said("model card", f"not written: there is no {folder / MODEL}", warning=True)
    elif is_ours(folder / MODEL / CARD):
        write_text(folder / MODEL / CARD, sealed(card(evidence, advice)))
    else:
        yield Said(
            "model card", f"{folder / MODEL / CARD} is not as it was written: left alone; remove it to have it made anew", warning=True
        )
