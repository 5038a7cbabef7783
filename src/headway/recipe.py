"""What "auto" means: settings that the data and the network decide."""

import math

from headway.config import Config
from headway.errors import ConfigError

ENOUGH_UPDATES = {"classification": 650, "ner": 650, "qa": 1500}  # below, training ends before it has settled; LOG.md, "enough updates"
FEWEST_EPOCHS = {"classification": 3, "ner": 3, "qa": 2}  # a question has two targets among hundreds of tokens: it teaches more
MOST_EPOCHS = 10
BATCH_SIZES = {"classification": (32,), "ner": (32, 16, 8, 4), "qa": (16, 8, 4)}  # windows; the largest that leaves updates enough
FEWEST_UPDATES = {"classification": 0, "ner": 200, "qa": 500}  # of `MOST_EPOCHS`: a new layer over tokens; LOG.md, "few sentences"
RATES = (  # (fewer parameters than, rate, highest in a short training): as measured with the bundled encoder; within Devlin et al. 2019
    (60e6, 1e-4, 3e-4),
    (200e6, 3e-5, 5e-5),
    (math.inf, 1e-5, 2e-5),
)
TIMES_FOR_ADAPTERS = 10  # they begin at nothing, and are all that moves; LOG.md, "LoRA"


def decided(config: Config, *, task: str, parameters: int, windows: int, pairs: bool, pooling: str) -> Config:
    """The same settings with every "auto" of the training loop and of the new layer replaced by what it means here.

    Args:
        task: its name.
        parameters: of the network.
        windows: to learn from, in an epoch.
        pairs: whether a record is two texts.
        pooling: what the head reads, "first" or "mean".

    Raises:
        ConfigError: a fitted head is asked of a task that has none.
    """
    train = config.train
    batch_size = _batch_size(windows, task) if train.batch_size == "auto" else train.batch_size
    epochs = _epochs(windows, batch_size, task) if train.epochs == "auto" else train.epochs
    shorter = FEWEST_EPOCHS[task] / epochs if epochs > 0 else 1.0
    usual = _rate(parameters, shorter=shorter, adapters=config.regularize.parameters == "lora")
    rate = usual if train.learning_rate == "auto" else train.learning_rate
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"head": _head(config, task, pairs, pooling)}),
            "train": train.model_copy(update={"batch_size": batch_size, "learning_rate": rate, "epochs": float(epochs)}),
        }
    )


def _rate(parameters: int, *, shorter: float, adapters: bool) -> float:
    """Small networks take larger steps, and so does a training that is so many times shorter than the shortest usual one (LOG.md)."""
    _, rate, highest = next(row for row in RATES if parameters < row[0])
    return rate * TIMES_FOR_ADAPTERS if adapters else min(rate * max(shorter, 1.0), highest)


def _batch_size(windows: int, task: str) -> int:
    """Smaller updates for small data, so that there are more of them."""
    sizes = BATCH_SIZES[task]
    return next((size for size in sizes if windows * MOST_EPOCHS >= FEWEST_UPDATES[task] * size), sizes[-1])


def _epochs(windows: int, batch_size: int, task: str) -> int:
    """More epochs for small data, so that there are updates enough."""
    per_epoch = max(windows / batch_size, 1)
    return round(min(max(ENOUGH_UPDATES[task] / per_epoch, FEWEST_EPOCHS[task]), MOST_EPOCHS))


def _head(config: Config, task: str, pairs: bool, pooling: str) -> str:
    """Where the mean of a text is read, a head fitted on frozen features starts better than a random one; not for pairs (LOG.md).

    It is fitted too where features have been made for it, and where it is all there is.

    Of a network from scratch, or with layers begun anew, the features say little.
    """
    chosen = config.model.head
    if chosen == "fitted" and task != "classification":
        raise ConfigError(f'model.head = "fitted" is for classification, and the task is {task}; leave it at "auto"')
    if config.train.epochs == 0 and (chosen == "random" or task != "classification"):
        raise ConfigError(
            "train.epochs = 0 leaves the new layer as it is fitted on the encoder's features, and here none is fitted; raise it"
        )
    if chosen != "auto":
        return chosen
    if config.contrastive.epochs > 0 or config.train.epochs == 0:
        return "fitted"
    says_something = task == "classification" and pooling == "mean" and config.model.weights == "pretrained"
    says_something = says_something and config.regularize.reinitialized_layers == 0
    return "fitted" if says_something and not pairs else "random"
