"""Drawings as SVG by matplotlib: the same numbers give the same bytes, and they are legible on white and on black.

A drawing for a page takes the colours and the font of the page, carries no style of its own, as a strict Content-Security-Policy
wants it, and says what it shows to those who cannot see it.
"""

import io
from collections.abc import Callable
from xml.etree import ElementTree

GREY, BLUE = "#808080", "#3b8eea"  # half-way between black and white
CLASSES = {GREY: "grey", BLUE: "blue"}  # what a page calls them: `.fill-blue`, `.stroke-blue`
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
IN_PAGE = (4.2, 2.6)  # inches, of 72 pixels
ACROSS = (9.4, 3.8)  # as wide as a page
BY_ITSELF = (6.4, 4)

Draw = Callable[..., None]  # takes matplotlib's axes, as many as there are panels


def draw_file(draw: Draw, *, panels: int = 1, size: tuple[float, float] = BY_ITSELF) -> str:
    """A drawing that stands by itself, its letters as paths; panels lie side by side on one scale."""
    return _draw(draw, size=size, salt="headway", letters="path", panels=panels)


def draw_inline(draw: Draw, *, name: str, says: str, size: tuple[float, float] = IN_PAGE) -> str:
    """A drawing to stand in a page; `name` keeps it apart from the other drawings there, `says` is read to those who cannot see it."""
    root = ElementTree.fromstring(_draw(draw, size=size, salt=name, letters="none"))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    named = {part for node in root.iter() for value in node.attrib.values() if (part := _target(value))}
    for node in root.iter():
        _undress(node, keep=named)
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.attrib |= {"role": "img", "aria-label": says, "class": "drawing"}
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _draw(draw: Draw, *, size: tuple[float, float], salt: str, letters: str, panels: int = 1) -> str:
    from matplotlib import rc_context  # slow to import, and few commands draw
    from matplotlib.figure import Figure

    looks = {"svg.fonttype": letters, "svg.hashsalt": salt, "font.size": 10, "text.color": GREY, "text.parse_math": False}
    with rc_context(looks):
        figure = Figure(figsize=size, layout="constrained")
        [row] = figure.subplots(1, panels, sharey=True, squeeze=False)
        for axes in row:
            axes.tick_params(colors=GREY)
            for side, spine in axes.spines.items():
                spine.set_color(GREY)
                spine.set_visible(side in ("left", "bottom"))
        draw(*row)
        for axes in row:
            axes.xaxis.label.set_color(GREY)
            axes.yaxis.label.set_color(GREY)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _target(value: str) -> str | None:
    """The id that an attribute refers to."""
    if value.startswith("#"):
        return value[1:]
    return value[5:-1] if value.startswith("url(#") else None


def _undress(node: ElementTree.Element, *, keep: set[str]) -> None:
    """Styles become attributes, our colours classes of the page; ids that nothing refers to go, as other drawings have them too."""
    if node.get("id") not in keep:
        node.attrib.pop("id", None)
    if node.tag == f"{{{SVG}}}path" and "d" in node.attrib:
        node.set("d", " ".join(node.get("d").split()))
    classes = []
    for declaration in node.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name in ("fill", "stroke") and value in CLASSES:
            classes.append(f"{name}-{CLASSES[value]}")
        elif name and name != "font-family":
            node.set(name, value)
    if classes:
        node.set("class", " ".join(classes))
