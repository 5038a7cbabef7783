"""headway train --set contrastive.epochs=20: the encoder learns which texts are of one class, before a layer is fitted on its features.

For few examples of each class: 8 of them are 28 pairs that are alike, and far more that are not. As SetFit has it (Tunstall et al. 2022,
arXiv:2209.11055), but with all pairs of an update at once (Khosla et al. 2020, arXiv:2004.11362), so that each text is read once for all
of its pairs. With `train.epochs=0` the fitted layer is all that follows.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from headway import model, pretrained
from headway.config import Config, Contrastive, Regularize
from headway.errors import ConfigError
from headway.events import Event, Said
from headway.folders import find_damage, put_back
from headway.jobs.corpus import Corpus
from headway.jobs.learning import Started
from headway.jobs.recovery import Rate
from headway.jobs.run_folder import CHECKPOINTS
from headway.jobs.stage import Course, Stage, learn_stage
from headway.jobs.start import start_on
from headway.objective import contrastive
from headway.optimize import Optimizer
from headway.packing import Order
from headway.records import Record, Window

CONTRASTED = "contrasted"  # the encoder, among the checkpoints


def check_contrastive(config: Config, corpus: Corpus) -> None:
    """Raise ConfigError where there are no texts of one class, or what is learned from them would be lost or not be counted."""
    if config.contrastive.epochs == 0:
        return
    if (what := _other_labels(corpus.train)) is not None:
        raise ConfigError(f"contrastive.epochs is for one class a text, and here there are {what}; leave it away")
    if config.model.weights == "random":
        raise ConfigError('contrastive.epochs: with model.weights = "random" nothing of what it teaches is kept; leave one of them away')
    if config.regularize.reinitialized_layers > 0:
        raise ConfigError("contrastive.epochs and regularize.reinitialized_layers: what one teaches them the other undoes; leave one away")
    if config.train.time:
        raise ConfigError(
            "contrastive.epochs: train.time does not count what it takes; give train.epochs instead, or leave one of them away"
        )


def _other_labels(records: Sequence[Record]) -> str | None:
    first = records[0]
    if first.entities is not None or first.answers is not None:
        return "entities" if first.entities is not None else "answers"
    return {str: None, tuple: "several labels", float: "numbers"}[type(first.label)]


def contrasted(started: Started, corpus: Corpus, folder: Path) -> Generator[Event, None, Started]:
    """The same with the encoder that has learned which training texts are of one class; as it is where that is not asked for."""
    config, place = started.config, folder / CHECKPOINTS / CONTRASTED
    if config.contrastive.epochs == 0:
        return started
    put_back(place)
    if find_damage(place) is None:
        source = started.source._replace(folder=place)
    else:
        yield Said("contrastive", f"which of {len(started.train):,} texts are of one class · {config.contrastive.epochs:g} epochs")
        stage = Stage("contrastive", config.contrastive.learning_rate, partial(_course, started))
        learned = yield from learn_stage(stage, folder)
        head = {id(weight) for weight in learned.encoder.head().parameters()}
        new = {name for name, weight in learned.encoder.network.named_parameters() if id(weight) in head}
        weights = {name: weight.cpu() for name, weight in learned.optimizer.masters().items() if name not in new}
        source = pretrained.keep_network(place, started.source, learned.encoder.network, weights)
    return start_on(replace(started, source=source), corpus.train, range(len(corpus.train)), config)


def _course(started: Started, rate: Rate) -> Course:
    """All of the network learns which texts are of one class; adapters are put beside what it then is."""
    config, how, regularize = started.config, started.config.contrastive, started.config.regularize
    trained = started.model
    if regularize.parameters == "lora" or rate.rollbacks > 0:
        plain = regularize.model_copy(update={"parameters": "all"}) if regularize.parameters == "lora" else regularize
        trained = model.start(trained.task, started.source, config.model_copy(update={"regularize": plain}), trained.data)
    order = Order(len(started.train), how.batch_size, config.train.seed)
    steps = max(round(order.updates_per_epoch * how.epochs), 1)
    train = config.train.model_copy(
        update={"learning_rate": rate.now, "batch_size": how.batch_size, "token_budget": _whole_updates(started.train, how)}
    )
    regularize = Regularize(weight_decay=regularize.weight_decay, frozen_layers=regularize.frozen_layers)
    table = trained.encoder.table() if train.row_updates else None
    optimizer = Optimizer(trained.encoder.network, train=train, regularize=regularize, steps=steps, table=table)
    trained.cast(config.train.precision)
    return Course(trained.encoder, started.train, optimizer, order, contrastive(how.temperature))


def _whole_updates(windows: Sequence[Window], how: Contrastive) -> int:
    """Tokens that any update has room in: cut in pieces, it would lose the pairs between them."""
    return sum(sorted(map(len, windows))[-how.batch_size :])
