"""Take the picture of an open page that grows while `cmon watch` runs, in Debian's chromium.

    python -m scripts.maintenance.screenshot_growing_page work/report/index.html docs/figures/growing.png --until 8

Opens the page once, colours the neurons by category, and keeps a picture each time the page has loaded itself again,
until it shows the epoch --until: the first, the middle and the last of them side by side.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import click
from PIL import Image
from playwright.sync_api import sync_playwright

CLIP = (60, 140, 1100, 900)
"""Left, top, right and bottom of what is kept of the window: from the slider down."""
WIDTH, GAP = 480, 12
"""Pixels of each picture, and between two."""


def pictures(page: Path, until: str) -> list[Image.Image]:
    """One for each time that the page was loaded."""
    found: list[Image.Image] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        window = browser.new_page(viewport={"width": 1160, "height": 900}, reduced_motion="reduce")
        loads: list[str] = []
        window.on("load", lambda _: loads.append(window.url))
        window.goto(page.resolve().as_uri())
        window.locator("#explore[data-ready]").wait_for()
        window.locator("#color-by").select_option(label="category")
        window.evaluate("document.getElementById('explore').scrollIntoView()")
        shown = ""
        while shown != f"epoch {until}":
            window.wait_for_timeout(1000)
            if len(loads) > len(found):
                window.locator("#explore[data-ready]").wait_for()
                window.wait_for_timeout(1500)
                shown = window.locator("#epoch-name").inner_text()
                found.append(Image.open(io.BytesIO(window.screenshot())).convert("RGB").crop(CLIP))
                print(shown, flush=True)
        browser.close()
    return found


def side_by_side(taken: list[Image.Image]) -> Image.Image:
    chosen = [taken[0], taken[len(taken) // 2], taken[-1]]
    height = round(WIDTH * chosen[0].height / chosen[0].width)
    whole = Image.new("RGB", (3 * WIDTH + 2 * GAP, height), "white")
    for position, picture in enumerate(chosen):
        whole.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (position * (WIDTH + GAP), 0))
    return whole.quantize(192, dither=Image.Dither.NONE, kmeans=3)


@click.command()
@click.argument("page", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--until", required=True, help="The epoch that comes last.")
def main(page: Path, target: Path, until: str) -> None:
    """Watch PAGE grow, and write TARGET."""
    side_by_side(pictures(page, until)).save(target, optimize=True)


if __name__ == "__main__":
    main()
