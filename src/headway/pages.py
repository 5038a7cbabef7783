"""Pages to read in a browser: one file each, with nothing to fetch from anywhere, and nothing of the data that could run.

`templates/base.html` holds what all pages share, and `base.css` their look; a page extends it, and may have a style and a script of its
own beside it: `report.html`, `report.css`, `report.js`; before its own it may take the style of another. The browser is told to take
these by their hashes, and nothing else.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # no letters of HTML, or of UTF-8


def page(template: str, values: Mapping[str, object], *, like: str = "") -> str:
    """The HTML of `templates/<template>` with `values` in it, in the style of the page `like`; every text is escaped."""
    name = Path(template).stem
    styles = [_text(f"{of}.css") for of in ("base", Path(like).stem, name) if of]
    style, script = "".join(styles), _text(f"{name}.js")
    own = {"style": Markup(style), "script": Markup(script), "policy": _policy(style, script)}
    return UNREADABLE.sub("\ufffd", _environment().get_template(template).render(own | dict(values)))


@cache
def _environment() -> Environment:
    """One for all pages, as a template is compiled once in each."""
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _text(name: str) -> str:
    path = TEMPLATES / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: https://www.w3.org/TR/CSP3/"""
    allowed = {"style-src": f"'{_hash(style)}'", "script-src": f"'{_hash(script)}'" if script else "'none'", "img-src": "data:"}
    rest = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in (rest | allowed).items())


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
