"""headway train --unlabeled: the encoder learns to fill in masked words of a person's text before it is fine-tuned on what is labelled.

Its folder lies in the run folder whole, for other runs to start from: `--base-model RUN/encoder`.

Source: Gururangan et al. 2020, arXiv:2004.10964 (pretraining that goes on, in the domain and on the task).
"""

from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from headway import pretrained
from headway.backend import bound_kernel_memory, pick_device, pick_dtype
from headway.config import Config, Data, Regularize
from headway.encoder import Encoder
from headway.errors import ConfigError, DataError
from headway.events import Event, Said, Worked, Working
from headway.folders import find_damage, put_back
from headway.jobs.corpus import Corpus
from headway.jobs.learning import Started
from headway.jobs.recovery import Rate
from headway.jobs.run_folder import ENCODER
from headway.jobs.stage import Course, Stage, learn_stage
from headway.jobs.start import start_on
from headway.masking import Masked, Vocabulary, text_windows
from headway.objective import masked_words
from headway.optimize import Optimizer
from headway.packing import Order
from headway.readers import read
from headway.records import Record, Window

TOPIC = "unlabelled"  # of what is said of it
STRIDE = 5000  # texts between two words of progress
MOST_TOKENS = 512  # of a window, where the network can read as much


def check_unlabeled(config: Config) -> None:
    """Look at the file before anything takes time.

    Raises:
        ConfigError: what is learned from it would be lost, or its time not be counted.
        DataError: it cannot be read.
    """
    if config.data.unlabeled is None:
        return
    if config.model.weights == "random":
        raise ConfigError('data.unlabeled: with model.weights = "random" nothing of what it teaches is kept; leave one of them away')
    if config.train.time:
        raise ConfigError("data.unlabeled: train.time does not count what it takes; give train.epochs, or leave one of them away")
    read(Path(config.data.unlabeled), labels="optional")


def adapted(started: Started, corpus: Corpus, folder: Path) -> Generator[Event, None, Started]:
    """The same with the network that has learned from the text without labels; as it is where there is none.

    Raises:
        DataError: there is no text in the file.
        ModelError: the network is not made for filling in words.
    """
    if started.config.data.unlabeled is None:
        return started
    put_back(folder / ENCODER)
    if find_damage(folder / ENCODER) is None:
        yield Said(TOPIC, f"already learned from; the encoder lies in {folder / ENCODER}")
        source = started.source._replace(folder=folder / ENCODER)
    else:
        source = yield from _adapting(started, corpus, folder)
    return start_on(replace(started, source=source), corpus.train, range(len(corpus.train)), started.config)


def _adapting(started: Started, corpus: Corpus, folder: Path) -> Generator[Event, None, pretrained.Source]:
    path = Path(started.config.data.unlabeled)
    texts = yield from _reading(path, corpus)
    yield from _say_texts(path, texts)
    stage = yield from _stage(started, texts.kept)
    learned = yield from learn_stage(stage, folder)
    weights = {name: weight.cpu() for name, weight in learned.optimizer.masters().items()}
    kept = pretrained.keep_network(folder / ENCODER, started.source, learned.encoder.network, weights)
    yield Said(TOPIC, f"learned from; other runs can start there too: --base-model {folder / ENCODER}")
    return kept


# --- the texts


class Texts:
    """What the file holds, each text once."""

    def __init__(self, scored: Iterable[Record]):
        self.kept: list[str] = []
        self.repeated = 0
        self.scored = 0  # left out: they are in dev or test
        self._seen: set[int] = set()
        self._scored = {_key(text) for record in scored for text in texts_of(record)}

    def add(self, record: Record) -> None:
        for text in texts_of(record):
            key = _key(text)
            self.scored += key in self._scored
            self.repeated += key in self._seen
            if key not in self._seen and key not in self._scored:
                self.kept.append(text)
                self._seen.add(key)


def texts_of(record: Record) -> list[str]:
    """All that is written there: a text, its second text, a question; each by itself."""
    return [text for text in (record.text, record.text_pair, record.question) if text and not text.isspace()]


def _key(text: str) -> int:
    """Equal for texts that differ in case and white space only."""
    return hash(" ".join(text.casefold().split()))


def _reading(path: Path, corpus: Corpus) -> Working[Texts]:
    """The texts to learn from. Those that scores are of are left out: a model is scored on what its encoder has not read."""
    yield Worked(f"reading {path.name}", 0)
    texts = Texts([*corpus.dev, *corpus.test])
    columns = Data(text=corpus.data.text, text_pair=corpus.data.text_pair, question=corpus.data.question)
    for number, record in enumerate(read(path, columns, labels="optional").records, 1):
        texts.add(record)
        if number % STRIDE == 0:
            yield Worked(f"reading {path.name}", number)
    if not texts.kept:
        why = "all its texts are in dev or test" if texts.scored else "no text in it"
        raise DataError(f"{path.name}: {why}: nothing to learn from without labels")
    return texts


def _say_texts(path: Path, texts: Texts) -> Iterable[Said]:
    repeated = f" · {texts.repeated:,} more are repeated" if texts.repeated else ""
    yield Said(path.name, f"{len(texts.kept):,} texts without labels to learn from{repeated}")
    if texts.scored:
        told = f"{texts.scored:,} texts are in dev or test too and are left out, so that scores are of texts the encoder has not read"
        yield Said("", told)


# --- the network


def _stage(started: Started, texts: list[str]) -> Generator[Event, None, Stage]:
    """The pretrained network with a head for words, and the texts as windows that hide some."""
    how, tokenizer = started.config.unlabeled, pretrained.load_tokenizer(started.source)
    vocabulary = Vocabulary.of(tokenizer)
    loaded = _load(started)
    encoder = _encoder(loaded.network, started.config)
    yield Said(TOPIC, _describe_head(loaded))
    network_config = loaded.network.config
    limit = min(MOST_TOKENS, pretrained.longest_window(tokenizer, network_config))
    limit = min(limit, network_config.max_position_embeddings - encoder.first_position)
    windows = yield from _windows(texts, tokenizer, limit)
    order = Order(len(windows), how.batch_size, how.seed, unrolled=True)
    steps = max(round(order.updates_per_epoch * how.epochs), 1)
    masked = Masked(windows, vocabulary, share=how.masked_share, seed=how.seed, epochs=-(-steps // order.updates_per_epoch))

    def begin(rate: Rate) -> Course:
        reading = encoder if rate.rollbacks == 0 else _encoder(_load(started).network, started.config)
        return Course(reading, masked, _optimizer(reading.network, started.config, rate, steps=steps), order, masked_words)

    return Stage("unlabeled", how.learning_rate, begin)


def _load(started: Started) -> pretrained.Loaded:
    """A layer that the checkpoint lacks is drawn by the seed."""
    torch.manual_seed(started.config.unlabeled.seed)
    bound_kernel_memory()
    return pretrained.load_whole(started.source, AutoModelForMaskedLM, pretrained.load_config(started.source))


def _encoder(network: PreTrainedModel, config: Config) -> Encoder:
    encoder = Encoder(network)
    encoder.set_dropout(hidden=config.regularize.dropout, attention=0.0)
    encoder.read_targets()
    encoder.varlen = config.train.varlen
    network.to(pick_device(config.train.device))
    return encoder


def _optimizer(network: PreTrainedModel, config: Config, rate: Rate, *, steps: int) -> Optimizer:
    """For the network in fp32, which then computes in what precision is wanted."""
    how = config.unlabeled
    train = config.train.model_copy(update={"learning_rate": rate.now, "batch_size": how.batch_size, "seed": how.seed})
    optimizer = Optimizer(network, train=train, regularize=Regularize(weight_decay=config.regularize.weight_decay), steps=steps)
    network.to(pick_dtype(config.train.precision, network.device))
    return optimizer


def _windows(texts: list[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> Working[list[Window]]:
    windows: list[Window] = []
    for first in range(0, len(texts), STRIDE):
        yield Worked("tokenising", first, len(texts), "texts")
        windows += text_windows(texts[first : first + STRIDE], tokenizer, max_tokens=limit)
    if not windows:
        raise DataError("data.unlabeled: this tokenizer knows no word of these texts; choose another --base-model")
    return windows


def _describe_head(loaded: pretrained.Loaded) -> str:
    """Whether words are told by what the checkpoint has for it."""
    prefix = f"{loaded.network.base_model_prefix}."
    tied = loaded.network.get_output_embeddings().weight is loaded.network.get_input_embeddings().weight
    fresh = any(not name.startswith(prefix) for name in loaded.missing)
    whose = "a new layer, as the checkpoint has none" if fresh else "the checkpoint's own layer"
    return f"masked words are told by {whose}{', over the embeddings it reads' if tied else ''}"
