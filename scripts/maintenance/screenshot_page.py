"""Take the README's picture of a report's page, in Debian's chromium.

python -m scripts.maintenance.screenshot_page demo/workspace/report/index.html docs/figures/page.png
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright


def main(page: Path, target: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        window = browser.new_page(viewport={"width": 1160, "height": 1120}, reduced_motion="reduce")
        window.goto(page.resolve().as_uri())
        window.locator("#explore[data-ready]").wait_for()
        point_at_a_tracked_unit(window)
        window.wait_for_timeout(500)
        window.screenshot(path=target)
        browser.close()
    # Few colours, so that the repository stays small; by k-means, since else thin lines take their neighbours' colour.
    Image.open(target).convert("RGB").quantize(192, dither=Image.Dither.NONE, kmeans=3).save(
        target, optimize=True
    )


def point_at_a_tracked_unit(window: Page) -> None:
    window.evaluate("document.getElementById('explore').scrollIntoView()")
    place = window.evaluate(
        """() => {
          const mark = Bokeh.documents[0].get_model_by_name("marks-0").data;
          const box = document.getElementById("plot-0").getBoundingClientRect();
          const [x, y] = ["x", "y"].map(axis => Bokeh.documents[0].get_model_by_name(axis).end);
          return [
            box.left + (box.width * (mark.x[0] + x)) / (2 * x), box.top + (box.height * (y - mark.y[0])) / (2 * y)
          ];
        }"""
    )
    window.mouse.move(place[0] - 30, place[1] - 30)
    window.mouse.move(*place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
