"""A network as it was before its first update, put back from memory as often as it is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from headway import model
from headway.config import Config
from headway.jobs.learning import Started
from headway.records import Record, Window
from headway.regularize import Dropout
from headway.tasks import TASKS

IN_PLACE = ("train", "regularize")  # sections that change how a network learns, and not what it is made of


@dataclass(frozen=True)
class Pristine:
    """What is put back: weights, which of them learn, and how much is dropped where."""

    started: Started
    weights: dict[str, Tensor]
    learns: dict[str, bool]
    dropout: dict[str, float]

    def restored(self, config: Config, records: Sequence[Record], windows: Sequence[Window]) -> Started:
        """All that training on these windows needs, as `jobs.start` gives it for these settings; only one such thing is in use at a time.

        Where a setting makes the network another one, it is loaded anew.

        Args:
            config: with nothing left to decide.
            records: all of the training set, which the task is learned from.

        Raises:
            ConfigError: a setting does not go with the data.
        """
        started, network = self.for_settings(config, records), self.started.model.encoder.network
        if _made_of(config) == _made_of(self.started.config) and network.state_dict().keys() == self.weights.keys():
            network.float().load_state_dict(self.weights)
            for name, weight in network.named_parameters():
                weight.grad = None
                weight.requires_grad_(self.learns[name])
            started.model.encoder.varlen = config.train.varlen
            return replace(started, train=list(windows))
        fresh = model.start(started.model.task, started.source, config, started.model.data)
        return replace(started, model=fresh, train=list(windows))

    def for_settings(self, config: Config, records: Sequence[Record]) -> Started:
        """The same with its task learned under these settings, which some of them are for; the network is as training has left it.

        Raises:
            ConfigError: a setting does not go with the data, or a recipe builds on dropout where there is none.
        """
        before = self.started.model
        self._drop_as(config)
        task = TASKS[before.task.name].learn(records, config, limit=before.task.max_tokens)
        fresh = replace(before, task=replace(task, max_tokens=before.task.max_tokens))
        return replace(self.started, model=fresh, config=config)

    def _drop_as(self, config: Config) -> None:
        """Put back how much is dropped, and then what the settings say of it."""
        encoder = self.started.model.encoder
        for name, module in encoder.network.named_modules():
            if isinstance(module, Dropout):
                module.p = self.dropout[name]
        model.set_dropout(encoder, config.regularize, name=self.started.source.name)


def _made_of(config: Config) -> dict:
    """The settings that decide what a network is made of before its first update."""
    regularize, lora = config.regularize, config.regularize.parameters == "lora"
    layers = {"anew": regularize.reinitialized_layers, "without adapters": regularize.frozen_layers if lora else 0}
    return config.model_dump(exclude=set(IN_PLACE)) | {"seed": config.train.seed, "adapters": lora, "layers": layers}


def keep_pristine(started: Started) -> Pristine:
    """Before anything has been learned."""
    network = started.model.encoder.network
    return Pristine(
        started,
        {name: tensor.detach().clone() for name, tensor in network.state_dict().items()},
        {name: weight.requires_grad for name, weight in network.named_parameters()},
        {name: module.p for name, module in network.named_modules() if isinstance(module, Dropout)},
    )
