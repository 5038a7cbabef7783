"""Pages to read in a browser: one file each, with nothing to fetch from anywhere.

`templates/base.html` holds the look of them all; a page extends it and fills its blocks.
"""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, values: Mapping[str, object]) -> str:
    """The HTML of `templates/<template>` with `values` in it; every text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values)
