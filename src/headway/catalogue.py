"""Encoders worth trying: the table in `encoders.toml`, and what a person adds to it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_config_path
from pydantic import Field, ValidationError

from headway.config import Positive, Section
from headway.errors import ConfigError, did_you_mean

TABLE = Path(__file__).with_name("encoders.toml")
BUNDLED = ("minilm", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")  # the names of the one in headway[minilm]
MANY = "multilingual"  # in the place of a language


class KnownEncoder(Section):
    """What is known of a pretrained encoder without having it. None and empty: not known."""

    name: str  # on the hub, or a folder
    group: str = "your own"  # what it is listed under
    parameters: Positive | None = None  # without a head
    languages: list[str] = Field(default_factory=list)  # ISO 639-1, or `MANY`
    longest: Positive | None = None  # tokens it has positions for
    licence: str = ""
    safetensors: bool | None = None  # whether its page has such weights; others are not loaded
    good_for: str = ""
    source: str = ""  # where all this is from
    shape: dict[str, bool | int | float | str | list[str]] = Field(
        default_factory=dict
    )  # keys of its transformers configuration, `model_type` among them

    def speaks(self, language: str) -> bool:
        return language in self.languages or MANY in self.languages


def read_catalogue(own: Path | None = None) -> dict[str, KnownEncoder]:
    """All by name: ours, under those of the person's configuration folder, under those of the file `own`.

    Raises:
        ConfigError: a file cannot be read, or says of an encoder what is none of the above.
    """
    usual = user_config_path("headway") / TABLE.name
    paths = [TABLE, *([usual] if usual.is_file() else []), *([own] if own is not None else [])]
    return {name: encoder for path in paths for name, encoder in _read(path).items()}


def full_name(name: str, known: Mapping[str, KnownEncoder]) -> str:
    """The name on the hub of what may be named without its owner: bert-base-uncased -> google-bert/bert-base-uncased."""
    if name in BUNDLED:
        return BUNDLED[-1]
    return next((full for full in known if full == name or full.partition("/")[2] == name), name)


def nearest_name(name: str, known: Mapping[str, KnownEncoder]) -> str:
    """'; did you mean "name"?' for the encoder nearest to a name with or without its owner, or nothing."""
    return did_you_mean(name, [*known, *(full.rpartition("/")[2] for full in known), *BUNDLED])


def _read(path: Path) -> dict[str, KnownEncoder]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    return {name: _encoder(name, about, path) for name, about in tree.items()}


def _encoder(name: str, about: object, path: Path) -> KnownEncoder:
    if not isinstance(about, dict):
        raise ConfigError(f'{path}: {name}: expected a table under the name of an encoder, such as ["google-bert/bert-base-uncased"]')
    allowed = [key for key in KnownEncoder.model_fields if key != "name"]
    for key in about:
        if key not in allowed:
            hint = did_you_mean(key, allowed) or f"; expected {', '.join(allowed)}"
            raise ConfigError(f'{path}: ["{name}"]: unknown key {key}{hint}')
    try:
        return KnownEncoder.model_validate({"name": name, **about})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f'{path}: ["{name}"]: {first["loc"][0]} = {first["input"]!r}: {first["msg"]}') from None
