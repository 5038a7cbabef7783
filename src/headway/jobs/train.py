"""headway train: labelled files -> a run folder with a fine-tuned model and honest scores."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from headway import checkpoint, engine, model, pretrained, recipe
from headway.config import Config, read_config, to_toml
from headway.engine import Step
from headway.errors import ConfigError, DataError, OutputError, TrainingError
from headway.events import Evaluated, Event, Finished, Said, Scored, Stepped
from headway.folders import put_back, write_text
from headway.jobs.answers import answer
from headway.jobs.corpus import Corpus, Files, find_files, read_corpus
from headway.jobs.scores import scores_json
from headway.metrics import Scores
from headway.model import Model
from headway.optimize import Optimizer
from headway.packing import Order
from headway.probe import fit_head
from headway.records import Prediction, Record, Window
from headway.tasks import TASKS, Task

SETTINGS, DATA, STEPS, SCORES, PREDICTIONS, CHECKPOINTS, MODEL = (
    "run.toml",
    "data.json",
    "steps.jsonl",
    "scores.json",
    "predictions.jsonl",
    "checkpoints",
    "model",
)


def train(
    data: Path | None = None,
    *,
    dev: Path | None = None,
    test: Path | None = None,
    out: Path | None = None,
    config: Config | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Fine-tune, and tell how it goes. The run folder ends up with everything that the last event, `Finished`, points to.

    A KeyboardInterrupt that is thrown in at a `yield` saves a checkpoint first.

    Raises:
        HeadwayError: something a person can put right.
    """
    if resume:
        folder, config, files = _find_run(data, out, config)
        put_back(folder / MODEL)
    else:
        config = config or Config()
        files = find_files(config, data=data, dev=dev, test=test)
        folder = new_folder(out, files.train.stem)
    if resume and (folder / SCORES).is_file():
        yield Said("resume", f"{folder} has already finished")
        yield Finished(folder)
        return
    corpus = read_corpus(files, config)
    yield from _say_corpus(corpus, files)
    started = _start(corpus, config)
    yield from _say_start(started, corpus)
    if resume:
        _check_same_data(folder, corpus, files)
    else:
        _open_folder(folder, started.config, corpus, files)
    yield from _learn(started, folder)
    yield from _finish(started, corpus, folder)
    yield Said("try it", f"headway predict {folder} {_an_input(corpus.dev or corpus.train)}")
    yield Finished(folder)


@dataclass(frozen=True)
class Started:
    """All that training needs, before its first update."""

    model: Model
    config: Config  # with nothing left to decide
    source: pretrained.Source
    train: list[Window]
    dev_records: list[Record]
    dev: list[Window]
    unreachable: int  # references of dev and train that no prediction can match


def _start(corpus: Corpus, config: Config) -> Started:
    """Choose the pretrained network, learn what the task is, and put the new layer on."""
    source = pretrained.find(config.model.base_model, revision=config.model.revision)
    tokenizer, network_config = pretrained.load_tokenizer(source), pretrained.load_config(source)
    task = TASKS[corpus.task].learn(corpus.train, config, limit=pretrained.longest_window(tokenizer, network_config))
    task.check(corpus.dev)
    task.check(corpus.test)
    fresh = model.start(task, source, config, corpus.data)
    windows, dev = task.windows(corpus.train, fresh.tokenizer), task.windows(corpus.dev, fresh.tokenizer)
    parameters = sum(weight.numel() for weight in fresh.encoder.network.parameters())
    config = recipe.decided(config, parameters=parameters, windows=len(windows), task=task.name)
    unreachable = task.unreachable(corpus.train, windows) + task.unreachable(corpus.dev, dev)
    return Started(fresh, config, source, windows, corpus.dev, dev, unreachable)


def _learn(started: Started, folder: Path) -> Iterator[Event]:
    """Drive `engine.fit`: log, evaluate, keep the best model, save where to go on, stop when it is enough."""
    config, trained = started.config, started.model
    order = Order(len(started.train), config.train.batch_size, config.train.seed)
    steps = max(round(order.updates_per_epoch * config.train.epochs), 1)
    kept = checkpoint.load_newest(folder / CHECKPOINTS)
    if kept is None and wants_fitted_head(config, trained):
        yield Said("new layer", "started from a fit on the frozen encoder's features")
        fit_head(trained, started.train, seed=config.train.seed)
    optimizer = Optimizer(trained.encoder.network, train=config.train, regularize=config.regularize, steps=steps)
    progress = Progress()
    if kept is not None:
        optimizer.restore(kept.tensors)
        progress = Progress(**kept.progress)
        yield from (Said("resume", f"left out {damaged}", warning=True) for damaged in kept.damaged)
        yield Said("resume", f"going on from step {progress.step} of {steps}")
    _cut_log(folder / STEPS, progress.step)
    run = Run(started, folder, optimizer, order, steps)
    for event in run.learn(progress):
        try:
            yield event
        except KeyboardInterrupt:  # here, where the update is whole; one that comes in the midst of an update has nothing to save
            run.save_checkpoint(progress)
            yield Said("stopped", f"at step {progress.step}, saved. Go on with: headway train --resume {folder}")
            raise


@dataclass
class Progress:
    """Where a run stands; what a checkpoint keeps beside the weights."""

    step: int = 0
    evaluated: int = 0  # the step of the last evaluation
    best: float | None = None
    best_step: int = 0
    without_gain: int = 0  # evaluations since the best


@dataclass(frozen=True)
class Run:
    """A training in progress and the folder it writes to."""

    started: Started
    folder: Path
    optimizer: Optimizer
    order: Order
    steps: int

    def learn(self, progress: Progress) -> Iterator[Event]:
        task, config = self.started.model.task, self.started.config.train
        updates = engine.fit(
            self.started.model.encoder,
            self.started.train,
            optimizer=self.optimizer,
            order=self.order,
            loss=lambda network, batch: task.loss(network(batch), batch),
            start=progress.step,
        )
        pace, saved = Pace(), time.monotonic()
        if self._evaluation_is_due(progress):  # the run was stopped between an update and its evaluation
            yield self._evaluate(progress)
        if self._is_over(progress):
            return
        with (self.folder / STEPS).open("a", encoding="utf-8", buffering=1) as log:  # line by line: a killed run has its whole log
            for step in updates:
                self._check_finite(step, progress)
                progress.step = step.number
                log.write(json.dumps(_log_line(step, pace.add(step))) + "\n")
                yield self._stepped(step, pace)
                if self._evaluation_is_due(progress):
                    yield self._evaluate(progress)
                    pace.pause()
                over = self._is_over(progress)
                if over or step.number == self.steps or time.monotonic() - saved > config.checkpoint_minutes * 60:
                    self.save_checkpoint(progress)
                    saved = time.monotonic()
                    pace.pause()
                if over and step.number < self.steps:
                    yield Said("stopped early", f"no better in {config.patience} evaluations; the best was at step {progress.best_step}")
                    break

    def _check_finite(self, step: Step, progress: Progress) -> None:
        """Raise TrainingError where the weights are lost; the best model so far is not touched."""
        if not math.isfinite(step.loss) or not math.isfinite(step.gradient_norm):
            rate = self.started.config.train.learning_rate
            kept = f"; the best model so far, of step {progress.best_step}, is in {self.folder / MODEL}" if progress.best_step else ""
            raise TrainingError(f"step {step.number}: the loss is not a number any more; lower train.learning_rate (it is {rate:g}){kept}")

    def save_checkpoint(self, progress: Progress) -> None:
        keep = self.started.config.train.checkpoints
        checkpoint.save(self.folder / CHECKPOINTS, progress.step, tensors=self.optimizer.state(), progress=asdict(progress), keep=keep)

    def _is_over(self, progress: Progress) -> bool:
        """Whether there have been `patience` evaluations without a better score."""
        patience = self.started.config.train.patience
        return 0 < patience <= progress.without_gain

    def _evaluation_is_due(self, progress: Progress) -> bool:
        """At the end, and `evaluations` times an epoch, evenly."""
        step, per_epoch, times = progress.step, self.order.updates_per_epoch, self.started.config.train.evaluations
        return progress.evaluated < step and (step == self.steps or step * times // per_epoch > (step - 1) * times // per_epoch)

    def _evaluate(self, progress: Progress) -> Evaluated | Said:
        """Score dev, and keep the model where it is the best so far; without dev the newest is the best."""
        trained, records = self.started.model, self.started.dev_records
        progress.evaluated = progress.step
        if not records:
            self._keep_best(progress, 0.0)
            return Said("", f"step {progress.step}: saved; no dev set to score")
        scores = _score(trained, records, self.started.dev)
        value = scores.values[scores.main]
        better = progress.best is None or value > progress.best
        if better:
            self._keep_best(progress, value)
        else:
            progress.without_gain += 1
        return Evaluated(progress.step, scores.main, value, better)

    def _keep_best(self, progress: Progress, value: float) -> None:
        self.started.model.save(self.folder / MODEL, self.optimizer.masters())
        progress.best, progress.best_step, progress.without_gain = value, progress.step, 0

    def _stepped(self, step: Step, pace: "Pace") -> Stepped:
        per_epoch = self.order.updates_per_epoch
        return Stepped(
            step=step.number,
            steps=self.steps,
            epoch=step.number / per_epoch,
            epochs=self.steps / per_epoch,
            loss=float(step.loss),
            learning_rate=step.learning_rate,
            tokens_per_second=pace.tokens_per_second,
            seconds_left=pace.seconds_a_step * (self.steps - step.number),
        )


class Pace:
    """How fast training goes, without the time that evaluating and saving take."""

    def __init__(self) -> None:
        self.tokens, self.steps, self.seconds, self._last = 0, 0, 0.0, time.monotonic()

    def add(self, step: Step) -> float:
        """Count an update; gives its seconds."""
        now = time.monotonic()
        spent, self._last = now - self._last, now
        self.tokens, self.steps, self.seconds = self.tokens + step.tokens, self.steps + 1, self.seconds + spent
        return spent

    def pause(self) -> None:
        self._last = time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    @property
    def seconds_a_step(self) -> float:
        return self.seconds / max(self.steps, 1)


def _finish(started: Started, corpus: Corpus, folder: Path) -> Iterator[Event]:
    """The best model with its decisions fitted on dev, scored; test is opened here and nowhere else."""
    best = model.load(folder / MODEL, precision=started.config.train.precision, device=started.config.train.device)
    best.token_budget = started.config.train.token_budget
    answered: dict[str, list[Prediction]] = {}
    if corpus.dev:
        decisions = best.decisions(started.dev)
        _decide(best, best.task.fitted(corpus.dev, started.dev, decisions), folder)
        answered["dev"] = best.task.predictions(corpus.dev, started.dev, decisions)
    if corpus.test:
        answered["test"] = [prediction for _, prediction in best.stream(corpus.test)]
    scores, lines = {}, []
    for part, predictions in answered.items():
        records = {"dev": corpus.dev, "test": corpus.test}[part]
        scores[part] = best.task.score(records, predictions)
        rows = ({"part": part, **answer(record, said, gold=True)} for record, said in zip(records, predictions, strict=True))
        lines += [json.dumps(row, ensure_ascii=False) for row in rows]
    write_text(folder / PREDICTIONS, "".join(line + "\n" for line in lines))
    if scores:
        yield Scored("scores", {name: of_part.values for name, of_part in scores.items()})
        last = list(scores)[-1]
        if 1 < len(scores[last].by_label) <= 20:
            yield Scored(f"{last}, each by itself", scores[last].by_label)
    write_text(folder / SCORES, json.dumps({name: scores_json(of_part) for name, of_part in scores.items()}, indent=1))


def _decide(best: Model, task: Task, folder: Path) -> None:
    """Give the model its fitted decisions, here and in the folder, whose exact weights the network in bf16 no longer has."""
    if task != best.task:
        best.task = task
        exact = model.load(folder / MODEL, precision="fp32", device="cpu")
        replace(exact, task=task).save(folder / MODEL)


def wants_fitted_head(config: Config, fresh: Model) -> bool:
    """Where the encoder is read by its mean, a head fitted on frozen features is a far better start than a random one (LOG.md)."""
    if config.model.head == "auto":
        return fresh.task.name == "classification" and fresh.encoder.pooling == "mean"
    if config.model.head == "fitted" and fresh.task.name != "classification":
        raise ConfigError(f'model.head = "fitted" is for classification, and the task is {fresh.task.name}; leave it at "auto"')
    return config.model.head == "fitted"


def _score(trained: Model, records: Sequence[Record], windows: Sequence[Window]) -> Scores:
    """As good as the model would be with its decisions fitted on these records."""
    decisions = trained.decisions(windows)
    task = trained.task.fitted(records, windows, decisions)
    return task.score(records, task.predictions(records, windows, decisions))


# --- what is said before training


def _say_corpus(corpus: Corpus, files: Files) -> Iterator[Said]:
    held = f"{len(corpus.dev):,} for dev ({corpus.how})" if corpus.dev else "no dev set"
    tested = f" · {len(corpus.test):,} for test" if corpus.test else ""
    yield Said(files.train.name, f"{len(corpus.train):,} to learn from · {held}{tested}")
    yield Said("", f"read as {corpus.task} · {corpus.guessed}")
    for name, count in corpus.unlabelled.items():
        yield Said(name, f"{count:,} records have no label and are left out", warning=True)


def _say_start(started: Started, corpus: Corpus) -> Iterator[Said]:
    encoder, train = started.model.encoder, started.config.train
    weights = next(encoder.network.parameters())
    millions = sum(weight.numel() for weight in encoder.network.parameters()) / 1e6
    where = "bundled · " if started.source.bundled else ""
    dtype = {"torch.bfloat16": "bf16"}.get(str(weights.dtype), "fp32")
    yield Said("base model", f"{started.source.name} · {millions:.1f} M parameters · {where}{dtype} on {weights.device}")
    if encoder.layout == "padded":
        yield Said("", "this architecture does not take packed batches; it is called padded, which is slower")
    yield Said("new layer", _describe_layer(started.model, corpus))
    lengths = np.array([len(window) for window in started.train])
    several = sum(count > 1 for count in Counter(window.record for window in started.train).values())
    text = f"median {int(np.median(lengths))} tokens, 99% under {int(np.quantile(lengths, 0.99)) + 1}"
    yield Said("length", text + (f"; {several:,} texts are read in several windows" if several else ""))
    if started.unreachable:
        what = {"ner": "entities", "qa": "answers"}.get(started.model.task.name, "labels")
        yield Said("", f"{started.unreachable:,} {what} begin or end inside a token: they count, and cannot be found", warning=True)
    yield Said("recipe", f"AdamW {train.learning_rate:g} · {train.epochs:g} epochs of {len(started.train):,} windows, {train.batch_size} an update")


def _describe_layer(fresh: Model, corpus: Corpus) -> str:
    outputs = fresh.task.outputs()
    shown = ", ".join(outputs[:5]) + (f" and {len(outputs) - 5} more" if len(outputs) > 5 else "")
    reads = {"classification": f"one row a text, its {'first token' if fresh.encoder.pooling == 'first' else 'mean'}"}.get(corpus.task, "every token")
    return f"{type(fresh.encoder.network).__name__} reads {reads} · {len(outputs)} outputs: {shown}"


def _an_input(records: Sequence[Record]) -> str:
    """A short text to try, quoted for a shell."""
    record = min(records[:200], key=lambda record: abs(len(record.text) - 60))
    if record.question or record.text_pair:
        return "questions.jsonl" if record.question else "pairs.csv"
    return json.dumps(" ".join(record.text.split())[:120], ensure_ascii=False).replace("$", "\\$").replace("`", "\\`")


# --- the run folder


def new_folder(out: Path | None, name: str) -> Path:
    """`out`, or the first free name of today under runs/.

    Raises:
        OutputError: `out` holds something already.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            resumes = f"; to go on with it: headway train --resume {out}" if (out / SETTINGS).is_file() else ""
            raise OutputError(f"{out}: exists; choose another --out{resumes}")
        return out
    today = f"runs/{date.today().isoformat()}-{name}"
    return next(path for path in (Path(today + suffix) for suffix in ["", *(f"-{n}" for n in range(2, 10_000))]) if not path.exists())


def _open_folder(folder: Path, config: Config, corpus: Corpus, files: Files) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from None
    named = {name: str(path.resolve()) for name, path in files}
    data = config.data.model_copy(update=named)
    base = Path(config.model.base_model).expanduser()
    network = config.model.model_copy(update={"base_model": str(base.resolve())}) if base.is_dir() else config.model
    write_text(folder / DATA, json.dumps(corpus.summary(files), indent=1))
    write_text(folder / SETTINGS, to_toml(config.model_copy(update={"data": data, "model": network})))


def _find_run(data: Path | None, out: Path | None, config: Config | None) -> tuple[Path, Config, Files]:
    """The run folder to go on with, and the settings and files it was started with.

    Raises:
        ConfigError: no run was started there.
    """
    folder = out or data
    if folder is None or not (folder / SETTINGS).is_file():
        raise ConfigError(f"{folder or '--resume'}: no run to go on with; expected headway train --resume RUN_FOLDER")
    if config is not None and config != Config():
        raise ConfigError(f"{folder}: a run goes on with its own settings; leave --set and --config away, or start anew with --config {folder / SETTINGS}")
    kept = read_config(folder / SETTINGS)
    return folder, kept, find_files(kept, data=None, dev=None, test=None)


def _check_same_data(folder: Path, corpus: Corpus, files: Files) -> None:
    before = json.loads((folder / DATA).read_text(encoding="utf-8"))["files"]
    for name, now in corpus.summary(files)["files"].items():
        if now["sha256"] != before[name]["sha256"]:
            raise DataError(f"{now['path']}: has changed since the run was started; put the old file back, or start a new run")


def _cut_log(path: Path, step: int) -> None:
    """Leave the lines up to `step`: those after it are of updates that will be made again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(path, "".join(lines[:step]))


def _log_line(step: Step, seconds: float) -> dict:
    return {
        "step": step.number,
        "loss": float(step.loss),
        "learning_rate": step.learning_rate,
        "gradient_norm": float(step.gradient_norm),
        "tokens": step.tokens,
        "seconds": round(seconds, 4),
    }
