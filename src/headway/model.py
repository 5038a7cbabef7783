"""A trained model: a task, a tokenizer and a network, started, saved, loaded and called as one."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from headway import engine, goldens, pretrained
from headway.adapters import adapt, merged
from headway.backend import bound_kernel_memory, pick_device, pick_dtype, pick_token_budget
from headway.cards import sealed
from headway.config import Auto, Config, Data, Regularize
from headway.encoder import Encoder
from headway.errors import ConfigError, DataError, ModelError, did_you_mean
from headway.folders import CARD, DESCRIPTION, MANIFEST, find_damage, whole_folder, write_text
from headway.goldens import Goldens
from headway.layers import reinitialize
from headway.metrics import Scores, complete
from headway.readers import meaning, read
from headway.records import Prediction, Record, Window
from headway.tasks import TASKS, Task

GOLDENS = "goldens.json"
FORMAT = 1
BUFFER = 2048  # records read ahead, so that those of similar length can be read together; memory does not grow with the input


Input = str | tuple[str, str] | Mapping[str, str] | Record


class Answers(NamedTuple):
    windows: list[Window]
    predictions: list[Prediction]


@dataclass
class Model:
    """What `headway.train` makes and `headway.load` gives back."""

    task: Task
    tokenizer: PreTrainedTokenizerBase
    encoder: Encoder
    data: Data  # how the training file was read, and so how others are
    token_budget: int
    goldens: Goldens | None = None  # what it said when it was saved

    def cast(self, precision: str) -> None:
        """Compute in this precision from now on; what bf16 cannot hold of the weights is lost."""
        network = self.encoder.network
        network.to(pick_dtype(precision, network.device))

    def predict(self, inputs: Iterable[Input]) -> list[Prediction]:
        """One prediction an input. An input is a text, a pair of texts, or a dict with `text`, `text_pair`, `question` or `context`.

        Raises:
            DataError: an input is none of these.
        """
        if isinstance(inputs, str | Mapping):
            raise DataError("predict takes a list of inputs: predict([...])")
        return [prediction for _, prediction in self.stream(map(_as_record, inputs))]

    def stream(self, records: Iterable[Record]) -> Iterator[tuple[Record, Prediction]]:
        """Every record with its prediction, in order, read `BUFFER` at a time. What people say of a record is not looked at."""
        waiting = iter(records)
        while chunk := list(islice(waiting, BUFFER)):
            yield from zip(chunk, self.answers(chunk).predictions, strict=True)

    def answers(self, records: Sequence[Record]) -> "Answers":
        """All at once: how the records are read, and what is said of them."""
        windows = self.task.windows([record.unlabelled() for record in records], self.tokenizer)
        return Answers(windows, self.task.predictions(records, windows, self.decisions(windows)))

    def decisions(self, windows: Sequence[Window]) -> list[np.ndarray]:
        """What the task keeps of the network's answer to every window."""
        return list(engine.predict(self.encoder, windows, decide=self.task.decide, token_budget=self.token_budget))

    def evaluate(self, data: str | Path | Iterable[Record]) -> Scores:
        """How good the predictions are on labelled records, or on those of a file, each score with its 95% interval.

        Raises:
            DataError: there is none, one has a label that was never learned, or the file cannot be read.
        """
        records = read(Path(data), meaning(self.data)).records if isinstance(data, str | Path) else data
        known = list(labelled(records))
        if not known:
            raise DataError(f"{data}: no labelled record to evaluate on" if isinstance(data, str | Path) else "no labelled record")
        scores, predictions = self.score(known)
        return complete(scores, known, predictions)

    def score(self, records: Sequence[Record]) -> tuple[Scores, list[Prediction]]:
        """The scores on labelled records, and the predictions that earned them.

        Raises:
            DataError: a label was never learned.
        """
        self.task.check(records)
        predictions = [prediction for _, prediction in self.stream(records)]
        return self.task.score(records, predictions), predictions

    def save(self, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write the folder whole: a stock transformers model and tokenizer, and `headway.json` with all that decides.

        `weights` are fp32 masters to write in the place of the network's own. Adapters are added to the matrices that they are beside.
        """
        with whole_folder(folder) as fresh:
            self.encoder.network.save_pretrained(fresh, state_dict=self.stock_weights(weights))
            _stock_config(fresh / "config.json")
            self.tokenizer.save_pretrained(fresh)
            write_text(fresh / DESCRIPTION, json.dumps(self._description(), indent=1))
            if self.goldens is not None and goldens.changed_setting(self.goldens, self.task) is None:
                write_text(fresh / GOLDENS, self.goldens.to_json())
            write_text(fresh / CARD, sealed(_card(self)))

    def stock_weights(self, weights: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """What is saved: every weight in fp32, by its name in the stock network."""
        network = self.encoder.network
        return merged(network, {name: tensor.float() for name, tensor in network.state_dict().items()} | dict(weights or {}))

    def _description(self) -> dict:
        return {
            "format": FORMAT,
            "headway": version("headway"),
            "task": self.task.name,
            "settings": asdict(self.task),
            "pooling": self.encoder.pooling,
            "loads_in": "transformers and headway" if self.stock else "headway; its mean-pooled head is not a stock one",
            "data": meaning(self.data).model_dump(exclude_none=True),
        }

    @property
    def stock(self) -> bool:
        """Whether plain transformers gives the same logits; temperature and thresholds are ours."""
        config = self.encoder.network.config
        return self.task.name != "classification" or self.encoder.pooling == getattr(config, "classifier_pooling", "first").replace(
            "cls", "first"
        )


def start(task: Task, source: pretrained.Source, config: Config, data: Data) -> Model:
    """A pretrained network in fp32 with a new, random layer for `task`; the seed decides the layer, or all of a network from scratch.

    Raises:
        ConfigError: a way of training was asked for that means nothing for this network.
    """
    network_config = pretrained.load_config(source)
    outputs = task.outputs()
    network_config.num_labels = len(outputs)
    network_config.id2label = dict(enumerate(outputs))
    network_config.label2id = {name: number for number, name in enumerate(outputs)}
    network_config.problem_type = _PROBLEMS.get(getattr(task, "kind", None))
    pooling = pretrained.native_pooling(source, network_config) if config.model.pooling == "auto" else config.model.pooling
    if hasattr(network_config, "classifier_pooling"):
        network_config.classifier_pooling = {"first": "cls"}.get(pooling, pooling)
    torch.manual_seed(config.train.seed)
    bound_kernel_memory()
    if config.model.weights == "random":
        network = pretrained.random_network(task.architecture(), network_config)
    else:
        network = pretrained.load_network(source, task.architecture(), network_config)
        reinitialize(network, config.regularize.reinitialized_layers)
    encoder = Encoder(network, pooling=pooling if task.name == "classification" else "first")
    set_dropout(encoder, config.regularize, name=source.name)
    encoder.varlen = config.train.varlen
    if config.regularize.parameters == "lora":
        adapt(network, config.lora, frozen_layers=config.regularize.frozen_layers)
    network.to(pick_device(config.train.device))
    longest = network_config.max_position_embeddings - encoder.first_position
    token_budget = pick_token_budget(config.train.token_budget, network.device)
    return Model(replace(task, max_tokens=min(task.max_tokens, longest)), pretrained.load_tokenizer(source), encoder, data, token_budget)


def set_dropout(encoder: Encoder, regularize: Regularize, *, name: str) -> None:
    """As the settings have it.

    Raises:
        ConfigError: the network would pass over attention dropout, or a recipe builds on dropout where there is none.
    """
    if encoder.layout == "padded" and regularize.attention_dropout > 0:
        raise ConfigError(f"regularize.attention_dropout: {name} is called padded and keeps its own; leave it away")
    encoder.set_dropout(hidden=regularize.dropout, attention=regularize.attention_dropout)
    if regularize.r_drop > 0 and not encoder.drops:
        raise ConfigError("regularize.r_drop compares two answers under dropout, and there is none; set regularize.dropout=0.1")


_PROBLEMS = {"single": "single_label_classification", "multi": "multi_label_classification", "number": "regression"}


def load(path: str | Path, *, precision: str = "auto", device: str = "auto", token_budget: int | Auto = "auto") -> Model:
    """The model of a run folder, or of the `model/` in it; `token_budget` is how many tokens it reads at once.

    Raises:
        ModelError: there is none, it is damaged, or its parts do not belong together.
    """
    folder = _model_folder(Path(path))
    if damage := find_damage(folder):
        raise ModelError(f"{folder}: {damage}; copy the whole folder again, or train again")
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if described.get("format") != FORMAT:
        raise ModelError(f"{folder}: format {described.get('format')} of a newer version; this one reads format {FORMAT}: upgrade headway")
    task = _task(folder, described)
    source = pretrained.Source(folder.name, folder, bundled=False)
    bound_kernel_memory()
    config = pretrained.load_config(source)
    found = tuple(config.id2label[number] for number in range(config.num_labels))
    if task.name != "qa" and found != task.outputs():
        raise ModelError(
            f"{folder}: config.json orders the labels {found[:4]}, {DESCRIPTION} {task.outputs()[:4]}: they are of different models"
        )
    network = pretrained.load_network(source, task.architecture(), config)
    encoder = Encoder(network, pooling=described["pooling"])
    network.to(pick_device(device))
    token_budget = pick_token_budget(token_budget, network.device)
    model = Model(task, pretrained.load_tokenizer(source), encoder, Data(**described["data"]), token_budget)
    model.cast(precision)
    if (folder / GOLDENS).is_file():
        model.goldens = goldens.from_json((folder / GOLDENS).read_text(encoding="utf-8"))
        if mismatch := _mismatch(folder, model, device):
            raise ModelError(f"{folder}: does not say what it said when it was saved: {mismatch}")
    return model


def _mismatch(folder: Path, model: Model, device: str) -> str | None:
    """What the golden predictions show to have changed since they were made, likeliest cause first; None where nothing has."""
    kept = model.goldens
    if change := goldens.changed_setting(kept, model.task):
        return f"in {DESCRIPTION}, {change}"
    windows, predictions = model.answers([golden.record() for golden in kept.examples])
    versions = goldens.changed_versions(kept)
    for position, golden in enumerate(kept.examples):
        if change := goldens.changed_tokens(golden, [window for window in windows if window.record == position]):
            return f"the tokenizer reads {_quoted(golden)} differently: {change}{_named(versions)}"
    dtype = model.encoder.network.dtype
    if (found := goldens.changed_answer(kept, predictions, dtype=dtype)) is None:
        return None
    what = f"of {_quoted(found.golden)}: {found.change}"
    if dtype != torch.float32:
        load(folder, precision="fp32", device=device)  # says so itself where something else is wrong
        return f"{what}; in fp32 it does: the precision is too low for it, use --set train.precision=fp32"
    if versions:
        return f"{what}{_named(versions)}: install {versions[0].place}=={versions[0].before}, or train again"
    return f"{what}, with the same libraries: the weights are others; copy the whole folder again, or train again"


def _quoted(golden: goldens.Golden) -> str:
    return json.dumps(golden.given["text"][:60], ensure_ascii=False)


def _named(versions: Sequence[goldens.Change]) -> str:
    return "".join(f"; {change.place} was {change.before} and is {change.now}" for change in versions)


def take_goldens(model: Model, records: Sequence[Record]) -> None:
    """Let the model, which is in fp32, keep what it says of those of these records of which bf16 would say the same."""
    windows, exact = model.answers(records)
    network = model.encoder.network
    weights = network.state_dict()
    network.to(torch.bfloat16)
    rough = model.answers(records).predictions
    network.to(torch.float32).load_state_dict(weights)
    model.goldens = goldens.taken(goldens.keep(records, windows, exact, rough), model.task)


def labelled(records: Iterable[Record]) -> Iterator[Record]:
    """The records that somebody has labelled."""
    return (r for r in records if r.label is not None or r.entities is not None or r.answers is not None)


def _model_folder(path: Path) -> Path:
    for folder in (path, path / "model"):
        if (folder / DESCRIPTION).is_file():
            return folder
    if not path.exists():
        near = did_you_mean(path.name, [other.name for other in path.parent.glob("*")]) if path.parent.is_dir() else ""
        raise ModelError(f"{path}: no such folder{near}")
    what = (
        "the run has not saved a model yet"
        if (path / "run.toml").is_file()
        else f"not a model: neither it nor its model/ holds {DESCRIPTION}"
    )
    raise ModelError(f"{path}: {what}")


def _task(folder: Path, described: dict) -> Task:
    kind = TASKS.get(described["task"])
    if kind is None:
        raise ModelError(f'{folder}: task "{described["task"]}" is not one of {", ".join(TASKS)}')
    known = {field.name for field in fields(kind)}
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in described["settings"].items()}
    if unknown := settings.keys() - known:
        raise ModelError(f"{folder / DESCRIPTION}: unknown setting {sorted(unknown)[0]}{did_you_mean(sorted(unknown)[0], known)}")
    return kind(**settings)


def _as_record(given: Input) -> Record:
    if isinstance(given, Record):
        return given
    if isinstance(given, str):
        return Record(text=given)
    if isinstance(given, Mapping):
        wrong = given.keys() - {"text", "text_pair", "question", "context", "id"}
        if wrong or not given.keys() & {"text", "context"}:
            raise DataError(f"an input has {', '.join(map(repr, given))}; expected text, text_pair, or question and context")
        renamed = {{"context": "text"}.get(name, name): value for name, value in given.items()}
        return Record(**renamed)
    if isinstance(given, Sequence) and len(given) == 2:
        return Record(text=given[0], text_pair=given[1])
    raise DataError(f"an input is a {type(given).__name__}; expected a text, a pair of texts, or a dict")


def _stock_config(path: Path) -> None:
    """Take out what only a packed network would understand."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_attn_implementation", None)
    config["dtype"] = "float32"
    write_text(path, json.dumps(config, indent=2, sort_keys=True))


def _card(model: Model) -> str:
    loads = (
        f"It loads in plain transformers (`{model.task.architecture().__name__}.from_pretrained(...)`) and gives the same logits there."
        if model.stock
        else "Its head reads the mean of all tokens, which is not a stock head: load it with `headway.load(...)`."
    )
    outputs = ", ".join(model.task.outputs()[:40])
    return (
        f"---\nlibrary_name: transformers\ntags: [headway, {model.task.name}]\n---\n\n"
        f"# A model for {model.task.name}\n\nFine-tuned with Headway {version('headway')}. {loads}\n\n"
        f"Outputs, in order: {outputs}\n\nA text longer than {model.task.max_tokens} tokens is read in windows that overlap by "
        f"{model.task.overlap}; `{DESCRIPTION}` holds all that decides, `{MANIFEST}` the hashes of the files.\n"
        + (f"\n`{GOLDENS}` holds texts of the data it was trained with, and what it says of them.\n" if model.goldens else "")
    )
