"""The report in a real browser: nothing in the data runs or is fetched, filters work by keyboard, it fits on a phone and on paper."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from itertools import product

import pytest
from conftest import scored_run

from headway.jobs.report import report
from headway.jobs.scored import Example
from headway.records import Prediction, Record, Span

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e '.[dev]'")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("no chromium or no chromedriver is installed: apt-get install chromium chromium-driver", allow_module_level=True)

RUN = "window.ran=1"
PAYLOADS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    "<img src=http://127.0.0.1:9/leak.png>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'>",
    f"<a href='javascript:{RUN}'>x</a>",
    f"<details open ontoggle={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<body onload={RUN}>",
    "<base href='http://127.0.0.1:9/'>",
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<style>@import 'http://127.0.0.1:9/x.css';body{display:none}</style>",
    "<form action=http://127.0.0.1:9/><button autofocus>",
    f"</option></select><script>{RUN}</script>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    "{{ ''.__class__ }}{% include 'base.html' %}",
    f"${{{RUN}}}`{RUN}`",
    "<!-- ",
    "]]><plaintext>",
    "&lt;script&gt;\u202e\u2066\x00\x1b[31m",
    "$\\frac{a}{b}$ %s %(x)s {0}",
)
AROUND = ("{}", '"{}', "'>{}", "--> {}", "x' {} y", '"/>{}', "`{}", "</mark></li></ol>{}")
HOSTILE = [around.format(payload) for payload, around in product(PAYLOADS, AROUND)]


def classes() -> list[Example]:
    """Of as many classes as there are strings."""
    return [_class(text, HOSTILE[n], HOSTILE[n * 7 % 200], 0.5 + n / 500) for n, text in enumerate(HOSTILE)]


def _class(text: str, gold: str, label: str, sure: float) -> Example:
    record = Record(text, text_pair=text, label=gold, id=text, group=text)
    return Example(record, Prediction(label=label, confidence=sure, scores={label: sure, "": 1 - sure}))


def entities() -> list[Example]:
    def span(text: str, shift: int) -> Span:
        return Span(min(shift, len(text) - 1), len(text), f"{text[:30]}{shift}", 0.9)

    return [Example(Record(text, entities=(span(text, 0),)), Prediction(entities=(span(text, n % 2),))) for n, text in enumerate(HOSTILE)]


def answers() -> list[Example]:
    found = []
    for n, text in enumerate(HOSTILE):
        record = Record(text, question=text, answers=(Span(0, len(text) // 2 + 1),), id=text)
        span = Span(len(text) // 3, len(text)) if n % 3 else None
        found.append(Example(record, Prediction(answer=text[span.start : span.end] if span else "", span=span, confidence=n / 200)))
    return found


KINDS = {"classes": classes, "entities": entities, "answers": answers}
FILE, *OTHERS = [name.replace("/", "|") for name in (HOSTILE[3], *HOSTILE)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of each task, all of whose texts, labels, ids and file names are hostile."""
    found = {}
    for kind, make in KINDS.items():
        path = tmp_path_factory.mktemp(kind) / f"{kind} {FILE}"
        finding = {"check": HOSTILE[0], "severity": "warning", "says": HOSTILE[1], "why": HOSTILE[2], "remedy": HOSTILE[3]}
        balance = {"train": dict.fromkeys(HOSTILE[:40], 5), "test": dict.fromkeys(HOSTILE[:30], 3)}
        paths = dict(zip(("train", *HOSTILE), (FILE, *OTHERS), strict=True))
        files = {name: {"path": f"data/{path}", "sha256": "0" * 64} for name, path in paths.items()}
        data = {"files": files, "audit": [finding], "balance": balance, "dev": HOSTILE[4], "guessed": HOSTILE[5]}
        made = {
            "base_model": {"name": HOSTILE[6], "licence": HOSTILE[7]},
            "machine": {"processor": HOSTILE[8]},
            "versions": {"x": HOSTILE[9]},
        }
        folder = scored_run(path, make(), data=data, provenance=made)
        (folder / "model").mkdir()
        list(report(folder))
        found[kind] = folder / "report.html"
    return found


@contextmanager
def browser(width: int = 1280, *, script: bool = True, dark: bool = False):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
    try:
        yield driver
    finally:
        driver.quit()


def requested(driver) -> set[str]:
    """The addresses that were asked for."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}


def shown(driver) -> list[str]:
    return [row.text for row in driver.find_elements("css selector", ".examples > li") if row.is_displayed()]


def test_there_are_two_hundred_hostile_strings():
    assert len(set(HOSTILE)) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_the_data_holds_is_run_or_fetched(pages, kind):
    with browser() as driver:
        driver.get(pages[kind].as_uri())
        driver.execute_script("document.querySelector('select[name=state]').value = ''")
        driver.execute_script("document.querySelector('.filters').dispatchEvent(new Event('input'))")
        while driver.find_element("id", "more").is_displayed():
            driver.execute_script("document.getElementById('more').click()")
        for details in driver.find_elements("css selector", "details > summary"):
            driver.execute_script("arguments[0].click()", details)
        assert driver.execute_script("return window.ran") is None
        assert driver.get_log("browser") == []
        assert requested(driver) <= {driver.current_url, "data:,"}
        assert driver.current_url == pages[kind].as_uri()
        told = driver.execute_script("return [...document.querySelectorAll('.examples > li')].map(row => row.textContent).join('\\n')")
        assert len(shown(driver)) == 200
        missing = [text for text in HOSTILE if kind != "entities" and visible(text) not in " ".join(told.split())]
        assert missing == []


def counted(driver, fits: Callable[[str], bool]) -> bool:
    """Whether the number of examples comes to say so: a form is reset after its event, in a turn of its own."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(driver, 10).until(lambda _: fits(driver.find_element("id", "count").text))


def visible(text: str) -> str:
    """As a page shows it: what is no letter of HTML is told apart."""
    return " ".join(text.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").split())


def test_the_policy_of_the_page_would_stop_what_slips_through(pages, tmp_path):
    """Were a text ever put in unescaped, the browser would still refuse it."""
    page = pages["classes"].read_text(encoding="utf-8").replace("</main>", f"<script>{RUN}</script><img src=x onerror={RUN}></main>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    with browser() as driver:
        driver.get((tmp_path / "page.html").as_uri())
        assert driver.execute_script("return window.ran") is None
        assert "Content Security Policy" in str(driver.get_log("browser"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [380, 800, 1280])
def test_nothing_is_wider_than_the_screen_and_nothing_is_complained_of(pages, kind, width):
    with browser(width) as driver:
        driver.get(pages[kind].as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert driver.get_log("browser") == []


TOPICS = ("account", "bill", "delivery", "network", "roaming", "speed", "moving")
NAMES = [f"{topic}_of_{'something' * (1 + n % 2)}" for n, topic in enumerate(TOPICS)]


def of_few_classes(folder, *, wrong: int):
    """The report of a model of seven classes that is wrong so often: with a matrix, which is wider than a phone."""
    rows = [_class(f"text {n}", NAMES[n % 7], NAMES[(n + (n < wrong)) % 7], 0.5 + n / 200) for n in range(70)]
    list(report(scored_run(folder, rows)))
    return folder / "report.html"


@pytest.mark.parametrize("width", [380, 800, 1280])
def test_a_matrix_is_scrolled_within_the_page(tmp_path, width):
    with browser(width) as driver:
        driver.get(of_few_classes(tmp_path / "run", wrong=20).as_uri())
        assert driver.find_elements("css selector", ".confusion tbody th")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_where_nothing_is_wrong_the_right_answers_are_shown(tmp_path):
    with browser() as driver:
        driver.get(of_few_classes(tmp_path / "run", wrong=0).as_uri())
        assert driver.find_element("id", "count").text == "20 of 70 shown"


def test_filters_work_by_keyboard(pages):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(driver).send_keys(*keys).perform()

    def focused() -> str:
        return driver.execute_script(
            "return document.activeElement.name || document.activeElement.id || document.activeElement.textContent"
        )

    with browser() as driver:
        driver.get(pages["classes"].as_uri())
        press(Keys.TAB)
        assert focused() == "Skip to the content"
        for _ in range(400):
            if focused() == "state":
                break
            press(Keys.TAB)
        before = driver.find_element("id", "count").text
        press(Keys.END)  # the last choice: all
        assert driver.find_element("id", "count").text == "20 of 200 shown" != before
        press(Keys.TAB, Keys.TAB, Keys.ARROW_DOWN)
        assert focused() == "said"
        said = driver.execute_script("return document.activeElement.value")
        rows = driver.find_elements("css selector", ".examples > li")
        assert [row.get_attribute("data-said") for row in rows if row.is_displayed()] == [said] * len(shown(driver)) != []
        press(Keys.TAB, Keys.TAB)
        assert focused() == "text"
        press("no such text anywhere")
        assert driver.find_element("id", "count").text == "None fits."
        press(Keys.TAB, Keys.ENTER)
        assert counted(driver, lambda text: text == before)


def in_doubt(folder):
    """The report of a model that contradicts some labels as surely as it is right elsewhere, and others less surely."""
    rows = [_class(f"right {n}", "ab"[n % 2], "ab"[n % 2], 0.8 + n / 100) for n in range(6)]
    rows += [_class(f"sure {n}", "ab"[n % 2], "ba"[n % 2], 0.95) for n in range(3)]
    rows += [_class(f"unsure {n}", "ab"[n % 2], "ba"[n % 2], 0.6) for n in range(4)]
    list(report(scored_run(folder, rows)))
    return folder / "report.html"


def test_labels_in_doubt_gold_classes_and_the_order_are_chosen_by_keyboard(tmp_path):
    from selenium.webdriver.common.keys import Keys

    def texts() -> list[str]:
        return [re.search(r"\b(?:right|sure|unsure) \d", text)[0] for text in shown(driver)]

    def choose(name: str, *keys: str) -> list[str]:
        driver.find_element("css selector", f"select[name={name}]").send_keys(*keys)
        return texts()

    with browser() as driver:
        driver.get(in_doubt(tmp_path / "run").as_uri())
        errors = texts()
        assert sorted(text.split()[0] for text in errors) == ["sure"] * 3 + ["unsure"] * 4
        assert choose("order", Keys.END) == errors[::-1]
        assert choose("order", Keys.HOME) == errors
        doubted = choose("state", Keys.ARROW_DOWN)
        assert sorted(doubted) == ["sure 0", "sure 1", "sure 2"]
        chips = driver.find_elements("css selector", ".examples .chip.suspect")
        assert len([chip for chip in chips if chip.is_displayed()]) == len(chips) == 3
        assert choose("gold", Keys.END) == ["sure 1"]


def test_more_rows_come_by_the_keyboard_and_the_focus_is_on_the_first_of_them(pages):
    with browser() as driver:
        driver.get(pages["answers"].as_uri())
        from selenium.webdriver.common.keys import Keys

        driver.find_element("id", "more").send_keys(Keys.ENTER)
        assert len(shown(driver)) == 60
        visible = "return [...document.querySelectorAll('.examples > li:not([hidden])')].indexOf(document.activeElement)"
        assert driver.execute_script(visible) == 20


@pytest.mark.parametrize(("kind", "links"), [("answers", ".confusion a"), ("classes", "#fails ~ * a[data-pair]")])
def test_a_number_of_the_confusion_leads_to_its_examples(pages, kind, links):
    with browser() as driver:
        driver.get(pages[kind].as_uri())
        found = driver.find_elements("css selector", links)[:4]
        assert found
        for link in found:
            count, says = int(link.text), link.get_attribute("data-says")
            driver.execute_script("arguments[0].click()", link)
            assert visible(driver.find_element("id", "count").text).endswith(f"of {count} shown: {visible(says)}")
        driver.find_element("css selector", ".filters button").click()
        assert counted(driver, lambda text: text.endswith("shown"))


def test_without_scripts_the_first_examples_stand_there(pages):
    with browser(script=False) as driver:
        driver.get(pages["classes"].as_uri())
        assert len(shown(driver)) == 20
        assert not driver.find_element("css selector", ".filters").is_displayed()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_has_a_name_for_those_who_do_not_see_it(pages, kind):
    named = {"button", "combobox", "searchbox", "textbox", "link", "image", "img", "region", "navigation", "checkbox", "table"}
    with browser() as driver:
        driver.get(pages[kind].as_uri())
        nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")]
        levels = driver.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    nameless = [role for role, name in roles if role in named - {"table"} and not name.strip()]
    assert nameless == []
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
    assert {"main", "navigation", "combobox"} <= {role for role, _ in roles}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_letters_stand_out_from_what_they_stand_on(pages, dark):
    """A contrast of 4.5 at least: WCAG 2.2, 1.4.3."""
    with browser(dark=dark) as driver:
        driver.get(pages["classes"].as_uri())
        names = ("ink", "faint", "accent", "error", "warning", "note", "suspect", "paper", "sheet", "soft")
        read = "const of = getComputedStyle(document.documentElement); return arguments[0].map(n => of.getPropertyValue('--' + n).trim())"
        colours = dict(zip(names, driver.execute_script(read, names), strict=True))
    poor = [
        (ink, paper, round(contrast(colours[ink], colours[paper]), 2))
        for ink, paper in product(names[:7], names[7:])
        if contrast(colours[ink], colours[paper]) < 4.5
    ]
    assert poor == []


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_it_prints(pages):
    with browser() as driver:
        driver.get(pages["entities"].as_uri())
        printed = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert printed.startswith(b"%PDF")
    assert 1 < printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") < 40
