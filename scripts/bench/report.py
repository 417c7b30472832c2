"""How long a report takes, how much memory, how large its page is, and how fast the page moves.

    python -m scripts.bench.report                      # 2 runs x 10 epochs x 900 units, 3,000 photographs
    python -m scripts.bench.report --units 20000 --browser

Tables and photographs (500 x 375 pixels of smooth noise) are made in a temporary folder, untimed. A report is made of
all but the last epoch of one run, then one of everything over it, then one of everything where there was none; each
runs in a process of its own. With --browser, Debian's chromium moves the slider once through all epochs and back.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from cmon.workspace import schemas
from cmon.workspace.files import file_digest
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows, write

STEPS = """async () => {
  const slider = document.getElementById("epoch");
  const last = Number(slider.max), order = [...Array(last).keys()].reverse();
  const taken = [];
  for (const at of [...order, ...order.slice().reverse(), last]) {
    const start = performance.now();
    slider.value = at;
    slider.dispatchEvent(new Event("input"));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    taken.push(performance.now() - start);
  }
  return taken;
}"""


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = build_workspace(folder, options, but_last=True)
        timed_report(workspace)
        build_workspace(folder, options)
        one_more, nothing = timed_report(workspace), timed_report(workspace)
        for made in (workspace.report, workspace.cache):
            shutil.rmtree(made)
        seconds = timed_report(workspace)
        # In KiB, of the largest child.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        page = workspace.report / "index.html"
        beside = len(list((workspace.report / "thumbnails").glob("*")))
        print(
            "| runs | epochs | units | photographs | CPU seconds | one run's new epoch | nothing new | peak MiB "
            "| page MB | thumbnails beside it |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        print(
            f"| 2 | {options.epochs} | {options.units} | {options.images} | {seconds:.1f} | {one_more:.1f} "
            f"| {nothing:.1f} | {peak:.0f} | {page.stat().st_size / 1e6:.1f} | {beside} |"
        )
        if options.browser:
            browse(page)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=900, help="of each run")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--browser", action="store_true")
    return parser.parse_args()


def timed_report(workspace: Workspace) -> float:
    """Seconds of processor time, which other work on the machine does not lengthen as it does the clock's."""
    start = _children_seconds()
    command = [sys.executable, "-m", "cmon", "report", str(workspace.root), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _children_seconds() - start


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def build_workspace(folder: Path, options: argparse.Namespace, but_last: bool = False) -> Workspace:
    """A workspace of tables as score and embed would leave them, and photographs.

    but_last: without the last epoch of the run 'standard'.
    """
    world = World(
        layers=("layer2", "layer3", "layer4"),
        epochs=tuple(float(epoch) for epoch in range(options.epochs)),
        units=options.units // 3,
        images=options.images,
    )
    tables = rows(world)
    if but_last:
        left_out = "standard", world.epochs[-1]
        tables = {
            name: [row for row in table if (row.get("run"), row.get("epoch")) != left_out]
            for name, table in tables.items()
        }
    workspace = write(folder, world, tables)
    table = pa.Table.from_pylist(photographs(folder / "photographs", options.images), schema=schemas.IMAGES)
    workspace.write(workspace.table("images"), table, workspace.origin("images"))
    return workspace


def photographs(folder: Path, count: int) -> list[dict[str, object]]:
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    found: list[dict[str, object]] = []
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        path = folder / f"{number:06}.jpg"
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
        found.append(
            {
                "image_id": number,
                "path": str(path),
                "sha256": file_digest(path),
                "status": "ok",
                "error": None,
            }
        )
    return found


def browse(page: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        window = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        start = time.perf_counter()
        window.goto(page.as_uri())
        window.locator("#explore[data-ready]").wait_for(timeout=120_000)
        loaded = time.perf_counter() - start
        taken = window.evaluate(STEPS)
        browser.close()
    print(
        f"\nIn chromium, without a graphics card: ready after {loaded:.1f} s; an epoch is drawn in "
        f"{statistics.median(taken):.0f} ms (slowest {max(taken):.0f} ms)."
    )


if __name__ == "__main__":
    main()
