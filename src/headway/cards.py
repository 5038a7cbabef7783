"""Model cards: a README.md that says whose work it is, so that what a person has written into one is never lost.

The last line is the hash of those above it. Where it does not fit, or is not there, somebody has written in the card.
"""

import re
from hashlib import sha256
from pathlib import Path

SEAL = "<!-- written by headway; write below or above and it stays yours: {} -->\n"
_SEALED = re.compile(re.escape(SEAL).replace(re.escape("{}"), "([0-9a-f]{64})") + r"\Z")


def sealed(text: str) -> str:
    """The card with its last line."""
    return text + SEAL.format(_hash(text))


def is_ours(path: Path) -> bool:
    """Whether nobody has written in the card; also where there is none."""
    if not path.is_file():
        return True
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")  # as git may have written them
    found = _SEALED.search(text)
    return found is not None and _hash(text[: found.start()]) == found[1]


def _hash(text: str) -> str:
    return sha256(text.replace("\r\n", "\n").encode("utf-8", "replace")).hexdigest()
