"""Draw pictures of the drawn world into a folder, with the truth about each.

python -m scripts.demo.draw_world OUT --images 2000 --seed 1    writes OUT/images/00000.png ... and OUT/truth.csv
python -m scripts.demo.draw_world --sheet FILE                  one labelled picture for every concept
python -m scripts.demo.draw_world --concepts DIR                the concepts as lists that `cmon` reads
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.progress import track
from scripts.demo.world.picture import CATEGORIES, SIZE, VOCABULARY, Picture, draw

PROCESSES = 2
RECIPE = "recipe.json"  # in OUT: what it was drawn from
# Categories whose concepts serve as anchors: what a network that names objects should come to see.
ANCHORS = ("object", "part", "scene")


def picture_seed(seed: int, number: int) -> int:
    """The seed of picture `number` of the world with this seed; no two worlds share one."""
    return seed * 1_000_000 + number


def recipe(images: int, seed: int) -> dict[str, object]:
    """All that a folder of pictures depends on: its size, its seed and the code that draws it."""
    code = hashlib.sha256()
    for file in sorted((Path(__file__).parent / "world").rglob("*.py")):
        code.update(file.read_bytes())
    return {"images": images, "seed": seed, "code": code.hexdigest()}


def draw_world(out: Path, images: int, seed: int) -> bool:
    """Fill `out` with pictures and their truth; False if it holds just these already.

    All is written into a folder beside `out` that takes its place in the end, so `out` is never half full.
    """
    wanted = recipe(images, seed)
    if (out / RECIPE).is_file() and json.loads((out / RECIPE).read_text()) == wanted:
        return False
    if out.exists() and any(out.iterdir()) and not (out / RECIPE).is_file():
        raise SystemExit(f"{out} holds something other than a drawn world; choose another folder")
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        (fresh / "images").mkdir(parents=True)
        with open(fresh / "truth.csv", "w", newline="") as file, get_context("spawn").Pool(PROCESSES) as pool:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["path", *CATEGORIES])
            rows = pool.imap(partial(_save, fresh, seed), range(images), chunksize=16)
            table.writerows(track(rows, f"drawing {out.name}", total=images))
        (fresh / RECIPE).write_text(json.dumps(wanted) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def _save(folder: Path, seed: int, number: int) -> list[str]:
    """Draw one picture into the folder; returns its row of the truth."""
    picture = draw(picture_seed(seed, number))
    path = f"images/{number:05d}.png"
    picture.image.save(folder / path)
    return [path, *(";".join(picture.truth[category]) for category in CATEGORIES)]


def write_concepts(folder: Path) -> None:
    """Write the whole vocabulary, and that part of it that serves as anchors, with categories."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, categories in (("world.csv", CATEGORIES), ("world_anchors.csv", ANCHORS)):
        with open(folder / name, "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["concept", "category"])
            table.writerows(
                [concept, category] for category in categories for concept in VOCABULARY[category]
            )


def draw_sheet(file: Path, seed: int, columns: int = 12, scale: int = 1) -> None:
    """Save a sheet with one picture for every concept, in rows by category, with the names below."""
    tile, label, gap = SIZE * scale, 16 * scale, 6 * scale
    font, bold = (ImageFont.load_default(size) for size in (11 * scale, 14 * scale))
    examples = _find_examples(seed)
    heights = [
        -(-len(VOCABULARY[category]) // columns) * (tile + label + gap) + 26 * scale
        for category in CATEGORIES
    ]
    sheet = Image.new("RGB", (columns * (tile + gap) + gap, sum(heights) + gap), "white")
    pen = ImageDraw.Draw(sheet)
    top = gap
    for category, height in zip(CATEGORIES, heights, strict=True):
        pen.text((gap, top), category, fill="black", font=bold)
        for number, concept in enumerate(VOCABULARY[category]):
            row, column = divmod(number, columns)
            x, y = gap + column * (tile + gap), top + 22 * scale + row * (tile + label + gap)
            image = examples[category, concept].image
            sheet.paste(image.resize((tile, tile), Image.Resampling.LANCZOS) if scale > 1 else image, (x, y))
            pen.text((x + tile / 2, y + tile + 1), concept, fill="black", font=font, anchor="ma")
        top += height
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)


def _find_examples(seed: int) -> dict[tuple[str, str], Picture]:
    """For every (category, concept) a picture that shows it plainly and serves for no other concept."""
    wanted = {(category, concept) for category in CATEGORIES for concept in VOCABULARY[category]}
    examples: dict[tuple[str, str], Picture] = {}
    number = 0
    while wanted:
        picture = draw(picture_seed(seed, number))
        number += 1
        shown = [pair for pair in sorted(wanted) if pair[1] in picture.truth[pair[0]]]
        plain = [pair for pair in shown if _is_plain(picture, *pair) or number > 20_000]
        if plain:
            examples[plain[0]] = picture
            wanted.remove(plain[0])
    return examples


def _is_plain(picture: Picture, category: str, concept: str) -> bool:
    """Whether the concept is the first that one would tell of the picture."""
    if category in ("object", "part", "color"):
        if (
            len(picture.things) != 1
            or picture.things[0].surface
            or picture.ground.category not in ("scene", "plain")
        ):
            return False
        thing = picture.things[0]
        return concept in {"object": (thing.kind,), "part": thing.parts, "color": thing.colors}[category]
    return not picture.things and picture.ground.name == concept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help="folder for the pictures and truth.csv")
    parser.add_argument("--images", type=int, default=2000, help="how many pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which world (default: %(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="save a contact sheet of all concepts")
    parser.add_argument("--concepts", type=Path, metavar="DIR", help="write world.csv and world_anchors.csv")
    options = parser.parse_args()
    if not (options.out or options.sheet or options.concepts):
        parser.error("nothing to do: name a folder, --sheet or --concepts")
    if options.out and not draw_world(options.out, options.images, options.seed):
        print(f"{options.out} is up to date")
    if options.sheet:
        draw_sheet(options.sheet, options.seed)
    if options.concepts:
        write_concepts(options.concepts)


if __name__ == "__main__":
    main()
