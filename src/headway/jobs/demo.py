"""headway demo: the main job, once for each task, on the examples that ship with Headway."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from headway import model
from headway.config import read_config
from headway.errors import DataError
from headway.events import Event, Finished, Said
from headway.jobs.run_folder import new_folder
from headway.jobs.train import train
from headway.model import Input
from headway.records import Prediction


class Example(NamedTuple):
    file: str
    asks: tuple[Input, ...]  # what the trained model is shown
    settings: tuple[str, ...] = ()


TIDES = (
    "Low water at the harbour was at ten past four this morning, and the ferry to Skerry Island could not leave until the tide had "
    "risen two metres. The skipper, Ida Moen, gave the waiting passengers hot soup in the boathouse."
)

EXAMPLES = (
    Example(
        "messages.csv",
        ("my internet has been dead since last night, no lights on the box", "how much is it to use my phone in Portugal next week?"),
    ),
    Example(
        "entities.conll",
        ("Marta Lindqvist of Northgate Foods will open a second shop in Leeds on 4 May .", "The rain stopped before lunch ."),
    ),
    Example(
        "questions.json",
        (
            {"question": "Who handed out soup?", "context": TIDES},
            {"question": "When was low water?", "context": TIDES},
        ),
        ("train.epochs=6",),  # the default of ten gains little here, and somebody is waiting
    ),
)


def demo(out: Path | None = None) -> Iterator[Event]:
    """Train a model of each task under `out` (a new folder under runs/ by default), and show what it answers.

    Raises:
        HeadwayError: the examples are not there, or `out` exists.
    """
    folder = new_folder(out, "demo")
    for example in EXAMPLES:
        run = folder / Path(example.file).stem
        for event in train(_examples() / example.file, out=run, config=read_config(None, example.settings)):
            if not isinstance(event, Finished):
                yield event
        for given, said in zip(example.asks, model.load(run).predict(example.asks), strict=True):
            yield Said("", f"{_brief(given)}  ->  {_answer(given, said)}")
    yield Finished(folder)


def _examples() -> Path:
    """In an installed package they lie beside the code, in the repository at its root."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if folder.is_dir():
            return folder
    raise DataError("the examples are not installed; they are in the repository, under examples/")


def _brief(given: Input) -> str:
    return given["question"] if isinstance(given, dict) else given


def _answer(given: Input, said: Prediction) -> str:
    if said.entities is not None:
        return ", ".join(f"{given[span.start : span.end]} ({span.label})" for span in said.entities) or "no entity"
    return (said.answer or "no answer") if said.answer is not None else f"{said.label} ({said.confidence:.2f})"
