"""The page of a search in a real browser: nothing in it runs or is fetched, nobody misses a name, and it fits on a phone."""

import json

import pytest
from test_report_browser import HOSTILE, RUN, browser, requested, visible
from test_tune_page import searched

from headway.jobs.tune.page import write_page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A search all of whose texts are hostile: reasons, choices, the metric, the folder."""
    folder = tmp_path_factory.mktemp("tune") / HOSTILE[3].replace("/", "|")
    folder.mkdir()
    found = searched(count=40, finals={4: [0.90, 0.91, 0.92], 0: [0.86, 0.87, 0.87]}, metric=HOSTILE[0])
    found["space"]["regularize.class_weights"]["choices"] = HOSTILE[40:80]
    for trial in found["trials"]:
        trial["why"] = HOSTILE[100 + trial["number"]]
        trial["settings"] = trial["settings"] | {"regularize.class_weights": HOSTILE[40 + trial["number"]]}
    (folder / "tune.json").write_text(json.dumps(found), encoding="utf-8")
    write_page(folder)
    return folder / "tune.html"


def test_nothing_is_run_or_fetched_and_everything_is_shown(page):
    with browser() as driver:
        driver.get(page.as_uri())
        assert driver.execute_script("return window.ran") is None
        assert driver.get_log("browser") == []
        assert requested(driver) <= {page.as_uri(), "data:,"}
        told = " ".join(driver.execute_script("return document.querySelector('.trials').textContent").split())
    assert [text for text in HOSTILE[40:80] if visible(text) not in told] == []
    assert [text for text in HOSTILE[100:140] if visible(text)[1:] not in told] == []  # a sentence begins with a capital


def test_the_policy_would_stop_what_slips_through(page, tmp_path):
    (tmp_path / "page.html").write_text(page.read_text(encoding="utf-8").replace("</main>", f"<script>{RUN}</script></main>"), "utf-8")
    with browser() as driver:
        driver.get((tmp_path / "page.html").as_uri())
        assert driver.execute_script("return window.ran") is None
        assert "Content Security Policy" in str(driver.get_log("browser"))


@pytest.mark.parametrize("width", [380, 800, 1280])
def test_nothing_is_wider_than_the_screen(page, width):
    with browser(width) as driver:
        driver.get(page.as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_everything_has_a_name_for_those_who_do_not_see_it(page):
    named = {"link", "image", "img", "region", "navigation"}
    with browser() as driver:
        driver.get(page.as_uri())
        nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        levels = driver.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")]
    assert [role for role, name in roles if role in named and not name.strip()] == []
    assert sum(role in ("image", "img") for role, _ in roles) >= 4
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
