"""headway train: labelled files -> a run folder with a fine-tuned model and honest scores."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from headway.adapters import count_added
from headway.backend import pick_dtype
from headway.config import Config
from headway.errors import ConfigError
from headway.events import Event, Finished, Said, Worked
from headway.folders import write_text
from headway.jobs.audit import quick_audit
from headway.jobs.chosen import choosing
from headway.jobs.contrast import check_contrastive, contrasted
from headway.jobs.corpus import Corpus, Files, find_files, reading_corpus
from headway.jobs.distill import taught
from headway.jobs.finish import finish
from headway.jobs.laps import Laps
from headway.jobs.learning import Started, learn
from headway.jobs.pace import planning, seconds_of
from headway.jobs.provenance import close_provenance, describe_data, open_provenance
from headway.jobs.report import write_report
from headway.jobs.run_folder import (
    CHECKPOINTS,
    PROVENANCE,
    REPORT,
    SCORES,
    check_same_data,
    find_run,
    new_folder,
    open_folder,
    refuse_files,
)
from headway.jobs.seeds import train_seeds
from headway.jobs.start import audit_tokens, say_tokens, starting
from headway.jobs.track import check_tracker, tracked
from headway.jobs.unlabeled import adapted, check_unlabeled
from headway.model import Model
from headway.records import Record


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
        folder, config, files = find_run(data, out, config)
        refuse_files(folder, dev=dev, test=test)
    else:
        config = config or Config()
        files = find_files(config, data=data, dev=dev, test=test)
        folder = new_folder(out, files.train.stem)
    if resume and (folder / SCORES).is_file():
        yield Said("resume", f"{folder} has already finished")
        yield Finished(folder)
        return
    check_tracker(config)
    check_unlabeled(config)
    laps, begun = Laps(), time.monotonic()
    seconds = _seconds(config)
    corpus = yield from reading_corpus(files, config)
    check_contrastive(config, corpus)
    laps.lap("read")
    yield from say_corpus(corpus, files)
    findings = [] if resume else (yield from quick_audit(corpus, files, config))
    laps.lap("audit")
    started = yield from starting(corpus, config)
    findings += [] if resume else audit_tokens(started, corpus, config)
    started = yield from taught(started, corpus, files)
    if config.train.recipe == "auto":
        left = None if seconds is None else (seconds - (time.monotonic() - begun)) / config.train.seeds
        started, config, told = yield from choosing(started, corpus, config, seconds=left)
        yield told
    if seconds is not None:
        left = seconds - (time.monotonic() - begun)
        started, told = yield from planning(started, corpus.train, config, seconds=left / config.train.seeds)
        yield told
    laps.lap("start")
    yield from say_start(started, corpus)
    yield from say_tokens(findings)
    if resume:
        check_same_data(folder, corpus, files)
    else:
        open_folder(folder, started.config, corpus, files, about=describe_data(corpus, started, findings))
        write_text(folder / PROVENANCE, json.dumps(open_provenance(started), indent=1))
    if files.unlabeled is not None:
        laps.lap("start")
        started = yield from adapted(started, corpus, folder)
        laps.lap("unlabelled")
    laps.keep(folder)
    if started.config.train.seeds > 1:
        yield from train_seeds(started, corpus, files, folder, train_one=_train_one)
    else:
        yield from _train_one(started, corpus, folder)
    yield Said("report", str(folder / REPORT))
    yield Said("try it", f"headway predict {folder} {_an_input(corpus.dev or corpus.train)}")
    yield Finished(folder)


def _seconds(config: Config) -> float | None:
    """That the training may take; None: as long as it takes."""
    if config.train.time and config.train.epochs != "auto":
        raise ConfigError(f"train.epochs = {config.train.epochs:g} and train.time: each says how long to train; leave one of them away")
    return seconds_of(config.train.time, name="train.time") if config.train.time else None


def _train_one(started: Started, corpus: Corpus, folder: Path) -> Iterator[Event]:
    started = yield from contrasted(started, corpus, folder)
    yield from tracked(_learn_and_finish(started, corpus, folder), folder, started.config)


def _learn_and_finish(started: Started, corpus: Corpus, folder: Path) -> Iterator[Event]:
    laps = Laps()
    yield from learn(started, folder)
    laps.lap("train")
    yield Worked("scoring", 0)
    yield from finish(started, corpus, folder, laps)
    close_provenance(folder)
    laps.keep(folder)
    yield from write_report(folder)
    shutil.rmtree(folder / CHECKPOINTS)  # three times the model's size, and nothing is left to go on with


# --- what is said before training


def say_corpus(corpus: Corpus, files: Files) -> Iterator[Said]:
    held = f"{len(corpus.dev):,} for dev ({corpus.how})" if corpus.dev else "no dev set"
    tested = f" · {len(corpus.test):,} for test" if corpus.test else ""
    yield Said(files.train.name, f"{len(corpus.train):,} to learn from · {held}{tested}")
    yield Said("", f"read as {corpus.task} · {corpus.guessed}")
    for name, count in corpus.unlabelled.items():
        yield Said(name, f"{count:,} records have no label and are left out", warning=True)
    for name, kinds in corpus.left_out.items():
        yield Said(name, f"not in the records: {kinds}", warning=True)
    if corpus.cut and corpus.cut.left_out:
        yield Said("", f"{len(corpus.cut.left_out):,} late records share text or group with older ones and are left out", warning=True)


def say_start(started: Started, corpus: Corpus) -> Iterator[Said]:
    encoder, train = started.model.encoder, started.config.train
    device = encoder.network.device
    millions = sum(weight.numel() for weight in encoder.network.parameters()) / 1e6
    where = "bundled · " if started.source.bundled else ""
    where = "random weights · " if started.config.model.weights == "random" else where
    dtype = {torch.bfloat16: "bf16", torch.float32: "fp32"}[pick_dtype(train.precision, device)]
    yield Said("base model", f"{started.source.name} · {millions:.1f} M parameters · {where}{dtype} on {device}")
    if encoder.layout == "padded":
        yield Said(
            "", "this architecture takes no packed batches: it is called padded, which is slower, and keeps its own attention dropout"
        )
    yield Said("new layer", _describe_layer(started.model, corpus))
    if started.config.regularize.parameters == "lora":
        added = count_added(encoder.network)
        text = f"LoRA of rank {started.config.lora.rank} beside {added.matrices} matrices, which stay as they are"
        yield Said("adapters", f"{text} · {added.parameters / 1e6:.2f} M parameters that learn, and the new layer")
    lengths = np.array([len(window) for window in started.train])
    several = sum(count > 1 for count in Counter(window.record for window in started.train).values())
    text = f"median {int(np.median(lengths))} tokens, 99% under {int(np.quantile(lengths, 0.99)) + 1}"
    yield Said("length", text + (f"; {several:,} texts are read in several windows" if several else ""))
    if started.unreachable:
        what = {"ner": "entities", "qa": "answers"}.get(started.model.task.name, "labels")
        yield Said("", f"{started.unreachable:,} {what} begin or end inside a token: they count, and cannot be found", warning=True)
    epochs = f"{train.epochs:g} {'epoch' if train.epochs == 1 else 'epochs'}"
    yield Said("recipe", f"AdamW {train.learning_rate:g} · {epochs} of {len(started.train):,} windows, {train.batch_size} an update")


def _describe_layer(fresh: Model, corpus: Corpus) -> str:
    outputs = fresh.task.outputs()
    shown = ", ".join(outputs[:5]) + (f" and {len(outputs) - 5} more" if len(outputs) > 5 else "")
    reads = {"classification": f"one row a text, its {'first token' if fresh.encoder.pooling == 'first' else 'mean'}"}.get(
        corpus.task, "every token"
    )
    count = "1 output" if len(outputs) == 1 else f"{len(outputs)} outputs"
    return f"{type(fresh.encoder.network).__name__} reads {reads} · {count}: {shown}"


def _an_input(records: Sequence[Record]) -> str:
    """A short text to try, quoted for a shell."""
    record = min(records[:200], key=lambda record: abs(len(record.text) - 60))
    if record.question or record.text_pair:
        return "questions.jsonl" if record.question else "pairs.csv"
    return json.dumps(" ".join(record.text.split())[:120], ensure_ascii=False).replace("$", "\\$").replace("`", "\\`")
