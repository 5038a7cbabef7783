"""A page of Headway as pictures: what a person sees on a phone, a tablet and a desk, by day, by night and on paper.

python benchmarks/pictures.py runs/a/report.html --out pictures      report-380-light-1.png, ..., report-paper-1.png, report.pdf

Needs Debian's `chromium` and `chromium-driver`. Of a long page each picture is a screenful or two; every `details` is unfolded with --open.
"""

import argparse
import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from selenium import webdriver

WIDTHS = (380, 800, 1280)
PAPER = 718  # pixels of A4 between its margins
TALLEST = 1800  # pixels of a picture


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def show_as(driver: webdriver.Chrome, *, width: int, scheme: str) -> None:
    """At this width and "light", "dark" or on "paper"."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": "dark" if scheme == "dark" else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print" if scheme == "paper" else "", "features": features})


def pieces(driver: webdriver.Chrome, *, width: int) -> Iterator[bytes]:
    """The whole page from top to bottom, as PNGs."""
    height = driver.execute_script("return document.documentElement.scrollHeight")
    count = ceil(height / TALLEST)
    for number in range(count):
        clip = {"x": 0, "y": number * height / count, "width": width, "height": height / count, "scale": 1}
        found = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        yield base64.b64decode(found["data"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--widths", nargs="+", type=int, default=WIDTHS)
    parser.add_argument("--open", action="store_true", help="unfold what is folded")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    views = [(width, scheme, f"{width}-{scheme}") for width in given.widths for scheme in ("light", "dark")]
    with browser() as driver:
        driver.get(given.page.resolve().as_uri())
        if given.open:
            driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        for width, scheme, name in [*views, (PAPER, "paper", "paper")]:
            show_as(driver, width=width, scheme=scheme)
            wide = driver.execute_script("return document.documentElement.scrollWidth")
            for number, picture in enumerate(pieces(driver, width=width), start=1):
                (given.out / f"{given.page.stem}-{name}-{number}.png").write_bytes(picture)
            print(f"{name}: {number} pictures" + (f", and {wide - width} pixels do not fit" if wide > width else ""))
        printed = driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
        (given.out / f"{given.page.stem}.pdf").write_bytes(base64.b64decode(printed["data"]))


if __name__ == "__main__":
    main()
