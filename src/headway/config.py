"""The settings, by the section that reads them; strict, frozen, from TOML and from `section.key=value`.

"auto" is decided when the data and the network are known; `run.toml` then holds what was decided.
"""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from headway.errors import ConfigError, did_you_mean

Auto = Literal["auto"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Quantity = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """How a file is read. None: guessed, and said."""

    train: str | None = None  # the files, so that a configuration can repeat a run
    dev: str | None = None
    test: str | None = None
    unlabeled: str | None = None  # text whose masked words the encoder learns to fill in first; also --unlabeled
    task: Literal["classification", "ner", "qa"] | None = None
    text: str | None = None  # the column of the text (of the context, for questions)
    text_pair: str | None = None  # the column of the second text of a pair
    question: str | None = None  # the column of the question
    label: str | None = None  # the column of the label, of the tags, of the entities or of the answers
    id: str | None = None
    group: str | None = None  # the column that names the document a row is from
    shown_by: str | None = None  # in Label Studio, the tag that shows the text: toName
    kind: Literal["single", "multi", "number"] | None = None  # one class, several, or a number (regression)
    label_separator: str | None = None  # what stands between the labels of one cell
    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None  # whether the first line of a table holds names
    quoting: bool | None = None  # whether double quotes enclose cells
    scheme: Literal["IOB1", "IOB2", "BILOU", "BIOES", "BMEWO", "BMES", "IOE1", "IOE2"] | None = (
        None  # how tags mark where an entity begins and ends
    )


class Split(Section):
    """What is held out where no dev file is given. Groups are kept whole: always where `data.group` is set, else where there are many."""

    keep_together: Literal["equal", "near"] = "equal"  # texts that are never on both sides: equal ones, or near duplicates too
    dev: Fraction = 0.1
    seed: int = 1
    time: str | None = None  # the column of times: the latest records are held out
    folds: Annotated[int, Field(ge=2)] | None = None  # cut into so many parts, one of which is held out
    fold: Positive = 1  # which one


class Audit(Section):
    """What is looked at before training."""

    allow: str = ""  # checks whose findings are accepted, parted by commas; "all" accepts whatever is found


class Windows(Section):
    """How long texts are cut, in tokens."""

    max_tokens: Positive | Auto = "auto"
    overlap: Annotated[int, Field(ge=0)] | Auto = "auto"


class Model(Section):
    """Which pretrained network, and the new layer on it."""

    base_model: str = "minilm"
    pooling: Literal["auto", "first", "mean"] = "auto"  # what a sentence head reads: the first token, or the mean of all
    head: Literal["auto", "random", "fitted"] = "auto"  # fitted: the new layer starts from a fit on frozen features
    revision: str | None = None  # branch, tag or commit on the hub
    weights: Literal["pretrained", "random"] = "pretrained"  # random: the same architecture, learned from scratch


class Unlabeled(Section):
    """How the encoder learns from text without labels, before it is fine-tuned."""

    epochs: Quantity = 3.0
    learning_rate: Quantity = 1e-4
    batch_size: Positive = 32  # windows an update
    masked_share: Annotated[float, Field(gt=0, lt=1)] = 0.15  # of the tokens of a window, that are to be told from the others
    seed: int = 1  # of masks, order and dropout; apart from train.seed, so that several trainings share what was learned


class Contrastive(Section):
    """How the encoder learns which texts are of one class, before it is fine-tuned: for few examples of each."""

    epochs: Weight = 0.0  # 20 are usual; 0: it is not done
    learning_rate: Quantity = 5e-5
    batch_size: Annotated[int, Field(ge=2)] = 64  # windows an update, each of which is held against all others: memory, too
    temperature: Quantity = 0.1  # the lower, the more it matters which texts of other classes are nearest


class Train(Section):
    """The loop and its optimiser."""

    recipe: Literal["default", "auto"] = "default"  # auto: what was surely better on data like this, in `recipes.toml`; also --recipe
    learning_rate: Quantity | Auto = "auto"
    epochs: Weight | Auto = "auto"  # 0: the new layer is fitted on the encoder's features, and that is all
    batch_size: Positive | Auto = "auto"  # windows an update
    token_budget: Positive | Auto = "auto"  # tokens a forward pass: memory, never statistics
    warmup: Fraction = 0.1  # share of all updates
    max_grad_norm: Quantity = 1.0
    patience: Annotated[int, Field(ge=0)] = 3  # evaluations without a better score before training stops; 0: never
    evaluations: Positive = 1  # an epoch
    checkpoints: Positive = 2  # kept on disk
    checkpoint_minutes: Quantity = 5.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    row_updates: bool = True  # on a CPU the embedding table is updated in the rows that are read: faster, and the same but for rounding
    frozen_cache_gib: Weight = 2.0  # memory for what frozen layers give, which is then computed once, and not in every epoch; 0: none
    compile: bool = False  # each layer becomes a few kernels, after some seconds: for a GPU; same but for rounding and masks of dropout
    varlen: bool = True  # on a GPU attention reads packed rows by flash attention: faster, and the same but for rounding
    seed: int = 1
    seeds: Positive = 1  # trainings that differ by their seed alone, counted from `seed`; the best on dev is kept
    time: str | None = None  # "30m", "1h30m": as many epochs as fit into it on this machine; None: as many as the data wants


class Distill(Section):
    """Trained models whose answers are learned from, beside the labels."""

    teachers: list[str] = []  # run folders, that of --seeds for all its seeds; also --teacher
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5  # of what teachers say; the rest is what labels say
    temperature: Quantity = 2.0  # the higher, the more it counts what teachers think of answers that they do not give


class Regularize(Section):
    """What keeps the network from learning the training data by heart."""

    dropout: Fraction | None = None  # of the hidden states and the head; None: as the pretrained network has it
    attention_dropout: Fraction = 0.0  # modern encoders train without it, and it forbids the fast kernels
    weight_decay: Weight = 0.01  # not on norms and biases
    label_smoothing: Fraction = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    focal_gamma: Weight = 0.0  # how much less what is known already teaches; 2 is usual
    head_samples: Positive = 1  # masks of dropout that the new layer reads its input under, in every update; 5 is usual
    head_dropout: Fraction = 0.5  # of each of them
    r_drop: Weight = 0.0  # weight of how far two answers under dropout are apart
    adversarial: Weight = 0.0  # how far the embeddings of a window are pushed to where its loss grows; 1 is usual
    freelb: Weight = 0.0  # the same in several passes that all teach: how far the embeddings may get in them; 0.3 is usual
    freelb_steps: Annotated[int, Field(ge=2)] = 3  # passes
    mixout: Fraction = 0.0  # share of the weights of linear layers that is as pretrained, drawn anew for every update; 0.5 to 0.9 are usual
    ema_decay: Fraction = 0.0  # answers come from an average of the weights, in which those one update older count so much; 0.99 is usual
    soup: Literal["none", "uniform", "greedy"] = "none"  # the mean of the best models of a training: of all, or of those that dev gains by
    soup_size: Annotated[int, Field(ge=2)] = 3  # how many of them; train.evaluations says how many there are to choose from
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # each layer down learns at this share of the rate above it
    unfreezing: Fraction = 0.0  # share of all updates in which layers begin to learn one after the other, from the top down
    reinitialized_layers: Annotated[int, Field(ge=0)] = 0  # highest layers that begin anew, the pooler with them
    parameters: Literal["all", "biases", "lora"] = "all"  # of the pretrained network, which learn; lora: adapters beside them, see [lora]
    frozen_layers: Annotated[int, Field(ge=0)] = 0  # lowest layers that stay as pretrained, and drop nothing; embeddings with them

    def check(self) -> None:
        """Raise ConfigError where two settings were made of which one undoes the other."""
        for one, other, why in CONFLICTS:
            if self._asks(one) and self._asks(other):
                raise ConfigError(f"regularize.{one} and regularize.{other}: {why}; leave one away")
        for one, other in NEEDS:
            if self._asks(one) and not self._asks(other):
                raise ConfigError(f"regularize.{one} does nothing without regularize.{other}; set that as well, or leave it away")

    def rules_out(self, name: str) -> bool:
        """Whether a setting was made that this one cannot stand beside."""
        return any(self._asks(other) for pair in CONFLICTS if name in pair[:2] for other in pair[:2] if other != name)

    def _asks(self, name: str) -> bool:
        return getattr(self, name) != type(self).model_fields[name].default

    def refuse(self, *names: str, task: str) -> None:
        """Raise ConfigError where a setting was made that means nothing for `task`: it would be passed over in silence."""
        for name in names:
            if self._asks(name):
                raise ConfigError(f"regularize.{name} = {getattr(self, name)} is for classes, and there are none in {task}; leave it away")


CONFLICTS = (
    ("focal_gamma", "label_smoothing", "one lets the model be sure and the other forbids it"),
    ("mixout", "parameters", "one mixes matrices and with the other none of them learns"),
    ("adversarial", "freelb", "each pushes the embeddings"),
    ("r_drop", "head_samples", "each asks for several answers under dropout"),
    ("reinitialized_layers", "parameters", "one begins layers anew, which have to learn as a whole, and with the other they do not"),
)
NEEDS = (("head_dropout", "head_samples"), ("soup_size", "soup"), ("freelb_steps", "freelb"))  # the first is about the second


class Lora(Section):
    """Adapters beside matrices of the pretrained network, which learn in their place: with `regularize.parameters = "lora"`."""

    rank: Positive = 8  # of what is added to a matrix
    alpha: Quantity = 16.0  # what adapters give is multiplied by alpha / rank
    dropout: Fraction = 0.0  # of what adapters read
    layers: Literal["all", "attention"] = "all"  # linear ones that get an adapter


class Decide(Section):
    """What is decided on dev after training, and stored with the model."""

    precision: Annotated[float, Field(gt=0, lt=1)] | None = None  # of what is answered; the model abstains where it is too unsure for that
    goldens: Annotated[int, Field(ge=0)] = 24  # texts of dev that the model folder keeps, to be answered as before at every load

    def refuse(self, *, task: str) -> None:
        """Raise ConfigError where a precision is asked of a task whose predictions are not right or wrong as a whole."""
        if self.precision is not None:
            raise ConfigError(f"decide.precision is for one class a text and for answers, and the task is {task}; leave it away")


class Forecast(Section):
    """How a learning curve is measured."""

    trainings: Annotated[int, Field(ge=3)] = 3  # of each size, with seeds 1, 2, 3, ...


class Range(Section):
    """What a setting is tried at: from `low` to `high`, or one of `choices`. Two whole numbers stand for whole numbers alone."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False  # as often between 1 and 10 as between 10 and 100
    choices: list[bool | int | float | str] | None = None
    when: dict[str, bool | int | float | str | list[bool | int | float | str]] = {}  # only where another setting is this, or one of these


class Tune(Section):
    """How settings are searched for."""

    trials: Positive | None = None  # None: as many as `time` allows; without `time`, 20
    time: str | None = None  # for all of it: "30m", "2h", "1h30m"
    space: dict[str, Range] = {}  # setting -> what it is tried at; none: the usual ones, by the size of network and data
    storage: str | None = None  # URL of a database that several machines share; None: a file in the folder
    study: str = "headway"  # its name in the database
    share: Annotated[float, Field(gt=0, le=1)] | Auto = "auto"  # of the training records, that trials learn from; what is left wins on all
    finalists: Positive = 3  # best trials that are trained again
    seeds: Annotated[int, Field(ge=3)] = 3  # new ones, with each of which a finalist is trained again

    @field_validator("space", mode="before")
    @classmethod
    def flat(cls, space: Any) -> Any:
        """`train.learning_rate = {...}` is a table in a table to TOML, and one name here."""
        if not isinstance(space, dict):
            return space
        named = {name: of_name for name, of_name in space.items() if "." in name or not isinstance(of_name, dict)}
        nested = {f"{section}.{name}": part for section, parts in space.items() if section not in named for name, part in parts.items()}
        if not all(isinstance(part, dict | Range) for part in (*named.values(), *nested.values())):
            raise PydanticCustomError("space", "made of section.key = {low = ..., high = ...} or {choices = [...]}")
        return named | nested


class Track(Section):
    """Where the numbers of a training go beside `steps.jsonl`."""

    to: Literal["tensorboard", "mlflow"] | None = None


class Report(Section):
    """What is told of predictions."""

    slices: str = "length,class,rare words"  # parts that are scored by themselves, parted by commas; also "group", or a column of the file


class Config(Section):
    """All sections."""

    data: Data = Data()
    split: Split = Split()
    audit: Audit = Audit()
    windows: Windows = Windows()
    model: Model = Model()
    unlabeled: Unlabeled = Unlabeled()
    contrastive: Contrastive = Contrastive()
    train: Train = Train()
    distill: Distill = Distill()
    regularize: Regularize = Regularize()
    lora: Lora = Lora()
    decide: Decide = Decide()
    forecast: Forecast = Forecast()
    tune: Tune = Tune()
    report: Report = Report()
    track: Track = Track()

    def check(self) -> None:
        """Raise ConfigError where two settings were made of which one undoes the other, or passes over it in silence."""
        self.regularize.check()
        if self.regularize.parameters != "lora":
            for name in self.lora.model_dump(exclude_defaults=True):
                raise ConfigError(f'lora.{name} is for regularize.parameters = "lora"; set that as well, or leave it away')
        elif self.model.weights == "random":
            raise ConfigError('model.weights = "random": adapters learn beside pretrained weights; leave regularize.parameters away')


def read_config(path: Path | None = None, settings: Iterable[str] = ()) -> Config:
    """The defaults, under the TOML file at `path`, under each `section.key=value` of `settings`.

    Raises:
        ConfigError: the file cannot be read, or a setting does not exist or does not fit.
    """
    tree = {}
    if path is not None:
        tree = _read_toml(path)
        make_config(tree, origin=f"{path}: ")  # alone first, so that a mistake is looked for where it was made
    for setting in settings:
        _put(tree, setting)
    return make_config(tree)


def make_config(tree: dict[str, Any], *, origin: str = "") -> Config:
    """Sections of settings as plain dicts -> the checked settings; `origin` starts the error line."""
    _check_names(tree, origin)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(origin + _one_line(error)) from None
    config.check()
    for name, tried in config.tune.space.items():
        _check_range(name, tried, f"{origin}tune.space: ")
    return config


def with_settings(config: Config, values: Mapping[str, Any]) -> Config:
    """The same settings but for these, named `section.key`.

    Raises:
        ConfigError: one does not exist or does not fit.
    """
    tree = config.model_dump(exclude_none=True)
    for name, value in values.items():
        section, _, key = name.partition(".")
        tree.setdefault(section, {})[key] = value
    return make_config(tree)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _put(tree: dict[str, Any], setting: str) -> None:
    name, equals, text = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {setting}: expected section.key=value, for example --set train.learning_rate=3e-5")
    values = tree.setdefault(section, {})
    if isinstance(values, dict):
        values[key] = _parse(section, key, text.strip() or text)  # a delimiter may be a blank


def _parse(section: str, key: str, text: str) -> Any:
    """A value as TOML would read it, or the text itself; where the setting is a text, always the text."""
    field = Config.model_fields.get(section)
    kind = field.annotation.model_fields.get(key) if field else None
    if text in ("none", "None"):
        return None if kind is None or type(None) in getattr(kind.annotation, "__args__", ()) else text
    if kind is not None and kind.annotation in (str, str | None):
        return text.encode().decode("unicode_escape") if text in (r"\t", r"\n") else text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check_names(tree: dict[str, Any], origin: str) -> None:
    sections = _sections()
    for section, values in tree.items():
        if section not in sections:
            hint = did_you_mean(section, sections) or f"; the sections are {', '.join(sections)}"
            raise ConfigError(f"{origin}unknown section {section}{hint}")
        if not isinstance(values, dict):
            raise ConfigError(f"{origin}{section} is a section; expected {section}.key=value")
        for key in values:
            if key not in sections[section]:
                raise ConfigError(f"{origin}unknown setting {section}.{key}{_nearest_setting(section, key)}")


SEARCHED = ("model", "train", "regularize", "lora")  # sections that say how it is learned, and not what
NOT_TRIED = [
    "train.recipe",
    "train.seed",
    "train.seeds",
    "train.time",
    "train.device",
    "train.compile",
    "model.base_model",
    "model.revision",
    "model.weights",
]
STAGES = ("unlabeled", "contrastive", "distill")  # sections of what headway train does beside fine-tuning, and trials do not
OUTSIDE = ("regularize.soup", "regularize.soup_size")  # what is made of a training when it has ended


def _check_range(name: str, tried: Range, origin: str) -> None:
    """Raise ConfigError where a part of the search space names no setting, is empty, or holds what its setting cannot be."""
    section, dot, key = name.partition(".")
    if not dot:
        raise ConfigError(f"{origin}{name}: expected section.key = {{low = ..., high = ...}} or {{choices = [...]}}")
    _check_names({section: {key: None}}, origin)
    if section in STAGES or name in OUTSIDE:
        raise ConfigError(f"{origin}{name} is not searched; set it for headway train")
    if section not in SEARCHED or name in NOT_TRIED:
        raise ConfigError(f"{origin}{name} is no part of how a model learns; trials would not be comparable")
    values = tried.choices if tried.choices is not None else [tried.low, tried.high]
    if (tried.choices is None) == (tried.low is None) or (tried.low is None) != (tried.high is None):
        raise ConfigError(f"{origin}{name}: expected low and high, or choices")
    if not values or (tried.choices is None and not tried.low < tried.high):
        raise ConfigError(
            f"{origin}{name}: empty: {'choices = []' if not values else f'low = {tried.low} is not under high = {tried.high}'}"
        )
    if tried.log and (tried.choices is not None or tried.low <= 0):
        raise ConfigError(f"{origin}{name}: log goes with low and high over 0")
    _check_values(section, key, values, origin)
    if name == "train.epochs" and 0 in values:
        raise ConfigError(f"{origin}{name}: 0 epochs are no training to be compared with others; leave 0 away")
    for other, wanted in tried.when.items():
        home, _, word = other.partition(".")
        _check_names({home: {word: None}}, f"{origin}{name}: when: ")
        _check_values(home, word, wanted if isinstance(wanted, list) else [wanted], f"{origin}{name}: when: ")


def _check_values(section: str, key: str, values: Iterable[Any], origin: str) -> None:
    for value in values:
        if value == "auto":
            raise ConfigError(f'{origin}{section}.{key}: "auto" is decided before a search, and none of its values; name those it can be')
        try:
            Config.model_validate({section: {key: value}})
        except ValidationError as error:
            raise ConfigError(origin + _one_line(error)) from None


def _sections() -> dict[str, list[str]]:
    return {name: list(field.annotation.model_fields) for name, field in Config.model_fields.items()}


def _nearest_setting(section: str, key: str) -> str:
    """The nearest key of any section; where two sections have it, the one that was asked for."""
    sections = _sections()
    homes = {name: home for home, names in sections.items() for name in names} | dict.fromkeys(sections[section], section)
    nearest = get_close_matches(key, homes, n=1, cutoff=0.6)
    if nearest:
        return f"; did you mean {homes[nearest[0]]}.{nearest[0]}?"
    return f"; the settings of {section} are {', '.join(sections[section])}"


PLAIN_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "a text",
}


def _one_line(error: ValidationError) -> str:
    """Of the first setting that does not fit, all that would have fitted."""
    first, *others = error.errors()
    place = first["loc"][:2]
    messages = [first["msg"], *(other["msg"] for other in others if other["loc"][:2] == place)]
    allowed = [message.removeprefix("Input should be ") for message in messages]
    return f"{'.'.join(place)} = {first['input']!r}: must be {' or '.join(PLAIN_WORDS.get(words, words) for words in allowed)}"
