"""Which encoders are ranked: those that a person names, else those of the list that need no download."""

from collections.abc import Sequence
from pathlib import Path

from headway.catalogue import BUNDLED, full_name, nearest_name, read_catalogue
from headway.errors import ConfigError
from headway.jobs.models import Wanted, offers

FEWEST = 2  # that there is something to choose between


def chosen(named: Sequence[str], table: Path | None) -> list[str]:
    """Names as they are looked for, each once, in the order given; folders as whole paths.

    Raises:
        ConfigError: there are fewer than two, one is named twice, or one is neither known, nor a folder, nor the name of somebody's model.
    """
    known = read_catalogue(table)
    if named:
        found = [_found(name.strip(), known) for name in named if name.strip()]
    else:
        found = [_found(offer.known.name, known) for offer in offers(Wanted(table=table)) if offer.here]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"--candidates: {twice} is named twice; leave one away")
    if len(found) < FEWEST:
        there = f"only {found[0]} is" if found else "none is"
        what = there.replace(" is", " is named") if named else f"of the list {there} on this machine"
        raise ConfigError(f"nothing to choose between: {what}; --candidates NAME,NAME,... names hub models or folders: headway models")
    return found


def shown(candidate: str, candidates: Sequence[str]) -> str:
    """A name for tables: of a folder its own, where no other candidate is called the same."""
    short = Path(candidate).name if _is_folder(candidate) else candidate
    return short if sum((Path(other).name if _is_folder(other) else other) == short for other in candidates) == 1 else candidate


def _found(name: str, known: dict) -> str:
    if name in BUNDLED:
        return BUNDLED[0]
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser().resolve())
    full = full_name(name, known)
    if full not in known and full.count("/") != 1:  # whatever has an owner may be on the hub
        raise ConfigError(f"--candidates: {name}: no such folder, and no encoder of the list{nearest_name(name, known)}")
    return full


def _is_folder(candidate: str) -> bool:
    return Path(candidate).is_absolute()
