"""The command line: words become calls, errors become one line and an exit code.

What is slow to import (pydantic, rich, torch, transformers) is imported by the command that needs it, so that --help answers at once.
"""

import json
import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from typer.core import TyperGroup

from headway.errors import ConfigError, HeadwayError, OutputError
from headway.events import Event, Finished, Scored, Stepped, Tried

QUIET = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
PIPE_CLOSED = 141  # what a shell gives for a command that SIGPIPE has ended


def main() -> None:
    """The console script. Other libraries keep their bars and warnings to themselves, unless the environment or -W asks for them."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    sys.stdout.reconfigure(errors="replace")  # a terminal whose encoding has no "·" shows "?"
    app()


class Door(TyperGroup):
    """All commands, behind one place where errors and signals become exit codes."""

    def invoke(self, ctx: typer.Context) -> None:
        with _signals_to(_stop):
            try:
                super().invoke(ctx)
                sys.stdout.flush()  # here a full disk is still an error that can be told; after the last line of Python it is not
            except (HeadwayError, OSError, KeyboardInterrupt) as error:
                raise typer.Exit(_answer(error)) from None


app = typer.Typer(
    cls=Door,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder, or its model/.")]
OutFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the results go.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any setting; may be repeated.")]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"headway {version('headway')}")
        raise typer.Exit


@app.callback()
def headway(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Fine-tune pretrained encoders on your own labelled text: classes, entities, answers."""


@app.command()
def train(
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="Labelled text; with --resume, a run folder.")] = None,
    dev: Annotated[Path | None, typer.Option(metavar="FILE", help="Labelled text that picks the best model; else a part of DATA.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="Labelled text that is scored once, at the end.")] = None,
    unlabeled: Annotated[str | None, typer.Option(metavar="FILE", help="Text without labels that the encoder learns from first.")] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="A trained model to learn from as well; may be repeated.")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="classification|ner|qa", help="What to learn; else guessed, and said.")] = None,
    base_model: Annotated[str | None, typer.Option(metavar="NAME_OR_PATH", help="The encoder: a name on the hub or a folder.")] = None,
    out: OutFolder = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings, such as the run.toml of another run.")] = None,
    settings: Settings = None,
    recipe: Annotated[str | None, typer.Option(metavar="auto", help="What was surely better on data like this.")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="COUNT", min=1, help="Train so often; the spread is told, the best kept.")] = None,
    duration: Annotated[str | None, typer.Option("--time", metavar="30m", help="As many epochs as fit into it here.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
) -> None:
    """Fine-tune an encoder on labelled text."""
    from headway.config import read_config

    named = {
        "data.task": task,
        "data.unlabeled": unlabeled,
        "distill.teachers": json.dumps([str(run) for run in teacher]) if teacher else None,
        "model.base_model": base_model,
        "train.recipe": recipe,
        "train.seeds": seeds,
        "train.time": duration,
    }
    chosen = read_config(config, [*(settings or ()), *(f"{name}={value}" for name, value in named.items() if value is not None)])
    if data is None and chosen.data.train is None:
        raise ConfigError("nothing to train on: name a file, as in headway train reviews.csv, or set data.train")

    from headway.jobs.train import train as job

    _show(job(data, dev=dev, test=test, out=out, config=chosen, resume=resume))


@app.command()
def tune(
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="Labelled text; with --resume, the folder of a search.")] = None,
    dev: Annotated[Path | None, typer.Option(metavar="FILE", help="Labelled text to choose by; else a part of DATA.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="Labelled text that the winner is scored on, once.")] = None,
    trials: Annotated[int | None, typer.Option(metavar="COUNT", min=1, help="How many settings to try; 20 if --time is not given.")] = None,
    duration: Annotated[str | None, typer.Option("--time", metavar="30m", help="How long all of it may take; else COUNT decides.")] = None,
    base_model: Annotated[str | None, typer.Option(metavar="NAME_OR_PATH", help="The encoder: a name on the hub or a folder.")] = None,
    out: OutFolder = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings, and in [tune.space] what to try.")] = None,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a search stopped.")] = False,
) -> None:
    """Search for settings that learn DATA better, and train with the best."""
    from headway.config import read_config

    named = {"tune.trials": trials, "tune.time": duration, "model.base_model": base_model}
    chosen = read_config(config, [*(settings or ()), *(f"{name}={value}" for name, value in named.items() if value is not None)])
    if data is None and chosen.data.train is None:
        raise ConfigError("nothing to search on: name a file, as in headway tune reviews.csv, or set data.train")

    from headway.jobs.tune import tune as job

    _show(job(data, dev=dev, test=test, out=out, config=chosen, resume=resume))


@app.command()
def audit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled text.")],
    dev: Annotated[Path | None, typer.Option(metavar="FILE", help="Its dev set.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="Its test set.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME_OR_PATH", help="Also say how this encoder would read the texts.")] = None,
    label_errors: Annotated[bool, typer.Option("--label-errors", help="Also rank the labels that are probably wrong.")] = False,
    fix: Annotated[Path | None, typer.Option(metavar="FILE", help="A copy of DATA with a column to review; finds label errors.")] = None,
    out: OutFolder = None,
    settings: Settings = None,
) -> None:
    """Tell what is wrong with labelled text."""
    from headway.config import read_config
    from headway.jobs.audit import Wanted, run_audit
    from headway.jobs.corpus import find_files

    config = read_config(None, settings or ())
    wanted = Wanted(model, label_errors, fix, out)
    _show(run_audit(find_files(config, data=data, dev=dev, test=test), config=config, wanted=wanted))


@app.command()
def evaluate(
    model: ModelFolder,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled text.")],
    out: OutFolder = None,
    settings: Settings = None,
) -> None:
    """Score a model on labelled text."""
    from headway.jobs.evaluate import evaluate as job

    _show(job(model, data, out=out, settings=settings or []))


@app.command()
def predict(
    model: ModelFolder,
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A file, - for standard input, or the text itself.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the answers go instead of standard output.")] = None,
    name: Annotated[
        str | None, typer.Option("--format", metavar="NAME|same", help="Answers as labelled data: same is as INPUT is.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Answer each input with one line of JSON, in input order."""
    if name is not None:
        _answer_as(name, model, source, out, settings or [])
        return
    from headway.jobs.predict import predict as job
    from headway.jobs.predict import write

    rows = job(model, source, settings=settings or [])
    if out is not None:
        _show(write(rows, out))
    else:
        _print_jsonl(rows)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A file or folder of data.")],
    out: Annotated[Path, typer.Argument(metavar="TO", help="The file or folder to write; it may not exist yet.")],
    name: Annotated[str | None, typer.Option("--format", metavar="NAME", help="The format of TO; else its ending tells.")] = None,
    scheme: Annotated[str | None, typer.Option(metavar="IOB2|BILOU|...", help="How tags mark entities.")] = None,
    settings: Settings = None,
) -> None:
    """Write labelled text in another format, and count what that cannot hold."""
    from headway.jobs.convert import convert as job

    _show(job(source, out, name=name, scheme=scheme, settings=settings or []))


@app.command()
def forecast(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled text.")],
    dev: Annotated[Path | None, typer.Option(metavar="FILE", help="Labelled text to measure on; else a part of DATA.")] = None,
    target: Annotated[float | None, typer.Option(metavar="SCORE", help="A score to reach, such as 0.95.")] = None,
    more: Annotated[int | None, typer.Option(metavar="COUNT", min=1, help="How many more labels to ask about.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Frozen features, no fine-tuning: seconds, and a lower bound.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the points are kept; named again, goes on with them.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings, such as the run.toml of a run.")] = None,
    settings: Settings = None,
) -> None:
    """Tell what more labels would bring."""
    from headway.config import read_config

    chosen = read_config(config, settings or ())
    if target is not None and not 0 < target <= 1:
        raise ConfigError(f"--target {target:g}: expected a score over 0 and up to 1, such as 0.95")

    from headway.jobs.forecast import forecast as job
    from headway.jobs.forecast.words import Asked

    _show(job(data, dev=dev, out=out, config=chosen, asked=Asked(more, target), quick=quick))


@app.command()
def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN RUN [RUN ...]", help="Run folders, or those of evaluate --out; the first is held against."),
    ] = None,
    claims: Annotated[Path | None, typer.Option(metavar="DATA", help="Instead: fine-tuning against the same network from scratch.")] = None,
    dev: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --claims: labelled text to measure on; else a part of DATA.")
    ] = None,
    out: OutFolder = None,
    settings: Settings = None,
) -> None:
    """Tell which run is better on the same examples, and whether that is chance; or what fine-tuning is worth."""
    if claims is not None:
        if runs:
            raise ConfigError(f"--claims {claims} learns by itself; leave {runs[0]} away")

        from headway.config import read_config
        from headway.jobs.claims import compare_claims

        _show(compare_claims(claims, dev=dev, out=out, config=read_config(None, settings or ())))
        return
    if dev is not None or settings:
        raise ConfigError(f"{'--dev' if dev is not None else '--set'} goes with --claims; finished runs are compared as they are")

    from headway.jobs.compare import compare as job

    _show(job(runs or [], out=out))


models = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
app.add_typer(models, name="models")


@models.callback(invoke_without_command=True)
def list_models(
    context: typer.Context,
    language: Annotated[str | None, typer.Option(metavar="CODE", help="That read this language, such as de.")] = None,
    find: Annotated[str | None, typer.Option(metavar="WORD", help="With this in their name or in what they are good for.")] = None,
    here: Annotated[bool, typer.Option("--here", help="That need no download.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Also how fast they read on this machine.")] = False,
    table: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="More of them, of your own.")] = None,
) -> None:
    """List pretrained encoders; models rank tries some on your data."""
    if context.invoked_subcommand is None:
        from headway.jobs.models import Wanted
        from headway.jobs.models import models as job

        _show(job(Wanted(language, find, here, measure, table)))


@models.command()
def rank(
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="Labelled text.")] = None,
    candidates: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Hub names or folders; else all of the list that need no download.")
    ] = None,
    dev: Annotated[Path | None, typer.Option(metavar="FILE", help="Labelled text to measure on; else a part of DATA.")] = None,
    duration: Annotated[str | None, typer.Option("--time", metavar="10m", help="How long all of it may take.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Frozen features alone, no training.")] = False,
    table: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="More encoders to choose from, of your own.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where all is kept; named again, goes on with it.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings, such as the run.toml of a run.")] = None,
    settings: Settings = None,
) -> None:
    """Try pretrained encoders on DATA: which learns it best, and how fast."""
    from headway.config import read_config

    chosen = read_config(config, settings or ())
    if data is None and chosen.data.train is None:
        raise ConfigError("nothing to rank on: name a file, as in headway models rank reviews.csv, or set data.train")

    from headway.jobs.rank import Asked
    from headway.jobs.rank import rank as job

    asked = Asked(tuple(candidates.split(",")) if candidates is not None else (), duration, quick, table)
    _show(job(data, dev=dev, out=out, config=chosen, asked=asked))


@app.command()
def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]) -> None:
    """Make report.html and the model card of a run anew."""
    from headway.jobs.report import report as job

    _show(job(run))


@app.command()
def demo(out: OutFolder = None) -> None:
    """Train and ask a model of each task, on examples of ours."""
    from headway.jobs.demo import demo as job

    _show(job(out))


def _show(job: Generator[Event]) -> None:
    from headway.display import show

    with closing(job):  # whatever goes wrong in the showing, the job tidies up
        show(_between_updates(job))


def _answer_as(name: str, model: Path, source: str, out: Path | None, settings: list[str]) -> None:
    """The answers as labelled data, to `out` or standard output, and what the format cannot hold on standard error."""
    from headway.display import screen, show
    from headway.events import Said
    from headway.jobs.predict import predict_as, write_as
    from headway.readers.writing import Page, to_bytes

    lost: Counter[str] = Counter()

    def written(out: Path) -> Iterator[Event]:
        lost.update((yield from write_as(model, source, out, name=name, settings=settings)))

    if out is not None:
        _show(written(out))
    else:
        answers = predict_as(model, source, name=name, settings=settings)
        for piece in answers.pieces:
            if isinstance(piece, Page):
                raise ConfigError(f"{name} is a folder of files; name it with --out")
            sys.stdout.buffer.write(to_bytes(piece))
            sys.stdout.flush()
        lost = answers.lost
    where = "the file" if name == "same" else name
    said = [Said("", f"{where} does not hold: {kind} ({count:,})", warning=True) for kind, count in lost.items() if count]
    show(said, console=screen(sys.stderr))


def _print_jsonl(rows: Iterator[dict]) -> None:
    # JSON is UTF-8 whatever the terminal is, and half a surrogate pair, which UTF-8 lacks, is spelt by JSON as by Python: \ud83d
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


# --- what ends a command early


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; a job that catches KeyboardInterrupt to save its work sees both."""

    def __init__(self, number: int):
        super().__init__()
        self.exit_code = 128 + number


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def _signals_to(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `handler` in here; a signal that the caller's shell ignores (nohup, &) stays ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = [number for number, previous in before.items() if previous is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _between_updates(job: Generator[Event]) -> Iterator[Event]:
    """The events of `job`. In training a first signal waits until the update is whole and shown, and can be saved; a second does not."""
    training, asked = False, None

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not training or asked is not None:
            raise Stopped(number)
        asked = number

    with _signals_to(ask):
        for event in job:
            if isinstance(event, Stepped | Scored | Tried | Finished):
                training = isinstance(event, Stepped) and event.step < event.steps
            yield event
            if asked is not None:
                break
        else:
            return
        with suppress(StopIteration):  # a job that has nothing to say of its end
            yield job.throw(Stopped(asked))
            yield from job


def _answer(error: HeadwayError | OSError | KeyboardInterrupt) -> int:
    """Says what a person needs to know of `error`, and gives the exit code."""
    _let_go_of_stdout()
    match error:
        case KeyboardInterrupt():
            return error.exit_code if isinstance(error, Stopped) else 128 + signal.SIGINT
        case BrokenPipeError():
            return PIPE_CLOSED
        case OSError(errno=None):  # not the system's: some library's own use of the name
            raise error
        case OSError():
            error = OutputError(": ".join(str(part) for part in (error.filename, error.strerror) if part))

    from headway.display import complain

    complain(error)
    return error.exit_code


def _let_go_of_stdout() -> None:
    """Python flushes standard output once more at its end, and would complain there of a closed pipe or a full disk."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
