"""What "auto" means: settings that the data and the network decide."""

from headway.config import Config

ENOUGH_UPDATES = {"classification": 650, "ner": 650, "qa": 1500}  # below, training ends before it has settled; LOG.md, "enough updates"
FEWEST_EPOCHS = {"classification": 3, "ner": 3, "qa": 2}  # a question has two targets among hundreds of tokens: it teaches more
MOST_EPOCHS = 10
RATES = ((60e6, 1e-4), (200e6, 3e-5))  # (fewer parameters than, rate): as measured with the bundled encoder; within Devlin et al. 2019
RATE_OF_LARGE = 1e-5


def decided(config: Config, *, parameters: int, windows: int, task: str) -> Config:
    """The same settings with every "auto" of the training loop replaced by a number."""
    train = config.train
    batch_size = (16 if task == "qa" else 32) if train.batch_size == "auto" else train.batch_size
    rate = _rate(parameters) if train.learning_rate == "auto" else train.learning_rate
    epochs = _epochs(windows, batch_size, task) if train.epochs == "auto" else train.epochs
    return config.model_copy(
        update={"train": train.model_copy(update={"batch_size": batch_size, "learning_rate": rate, "epochs": float(epochs)})}
    )


def _rate(parameters: int) -> float:
    """Small networks take larger steps."""
    return next((rate for fewer_than, rate in RATES if parameters < fewer_than), RATE_OF_LARGE)


def _epochs(windows: int, batch_size: int, task: str) -> int:
    """More epochs for small data, so that there are updates enough."""
    per_epoch = max(windows / batch_size, 1)
    return round(min(max(ENOUGH_UPDATES[task] / per_epoch, FEWEST_EPOCHS[task]), MOST_EPOCHS))
