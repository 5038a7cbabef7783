"""Drawings: the same bytes for the same numbers, and fit to stand in a page."""

from xml.etree import ElementTree

import pytest

from headway.drawing import BLUE, GREY, draw_file, draw_inline


def curve(axes) -> None:
    axes.fill_between([1, 2, 3], [0, 1, 1], [1, 2, 3], color=BLUE, alpha=0.2)
    axes.plot([1, 2, 3], [1, 3, 2], color=BLUE, marker="o")
    axes.scatter([1, 2], [2, 1], color=GREY)
    axes.set_xlabel("$x_1$ & <more>")


def inline(name: str = "curve") -> str:
    return draw_inline(curve, name=name, says='a "curve"')


@pytest.mark.parametrize("draw", [inline, lambda: draw_file(curve)], ids=["inline", "file"])
def test_the_same_numbers_give_the_same_bytes(draw):
    assert draw() == draw()


def test_a_drawing_in_a_page_has_no_style_of_its_own():
    nodes = list(ElementTree.fromstring(inline()).iter())
    assert not [node for node in nodes if "style" in node.attrib or node.tag.endswith("style")]
    assert not [value for node in nodes for value in node.attrib.values() if value in (BLUE, GREY)]


def test_a_drawing_in_a_page_says_what_it_shows():
    root = ElementTree.fromstring(inline())
    assert (root.get("role"), root.get("aria-label")) == ("img", 'a "curve"')


def test_words_of_a_drawing_stay_words_and_are_no_formulas():
    assert "$x_1$ & <more>" in [node.text for node in ElementTree.fromstring(inline()).iter()]


def test_two_drawings_of_a_page_have_no_id_in_common():
    ids = [{node.get("id") for node in ElementTree.fromstring(inline(name)).iter()} - {None} for name in ("one", "other")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_what_a_drawing_refers_to_is_in_it():
    root = ElementTree.fromstring(inline())
    ids = {node.get("id") for node in root.iter()}
    wanted = {value[1:] for node in root.iter() for name, value in node.attrib.items() if name.endswith("href")}
    wanted |= {value[5:-1] for node in root.iter() for value in node.attrib.values() if value.startswith("url(#")}
    assert wanted
    assert wanted <= ids
