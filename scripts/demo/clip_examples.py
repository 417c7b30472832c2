"""Examples to train a CLIP of the drawn world on: pictures with true captions, drawn once and kept in a cache.

What a picture shows and what a caption states are both sets of facts. So for every picture and every caption,
not only its own, it can be told whether the caption is true of the picture.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scripts.demo.draw_world import picture_seed
from open_clip import SimpleTokenizer
from PIL import Image
from rich.progress import track
from scripts.demo.world import captions as language
from scripts.demo.world.captions import Fact
from scripts.demo.world.objects import KINDS
from scripts.demo.world.picture import VOCABULARY, draw

CONCEPTS: tuple[Fact, ...] = tuple(
    (category, word) for category, words in VOCABULARY.items() for word in words
)


def _ties() -> Iterable[Fact]:
    """Every fact that is no concept of the truth: numbers, what the ground is, and which thing has what."""
    yield from (("count", str(number)) for number in range(4))
    looks = [word for category, word in CONCEPTS if category in ("color", "texture", "material")]
    yield from (("ground", word) for word in (*looks, *VOCABULARY["scene"]))
    for kind in KINDS.values():
        yield from (("thing", f"{look} {kind.name}") for look in looks)
        yield from (("thing", f"{kind.name} with {part}") for part in kind.parts)


FACTS: tuple[Fact, ...] = (*CONCEPTS, *_ties())  # the concepts first
_NUMBER = {fact: number for number, fact in enumerate(FACTS)}
_CHUNK = 64  # pictures that a worker draws at a time
_MOST = 48  # facts of a picture or a caption; there are about 30 at most


@dataclass(frozen=True)
class Recipe:
    """All that the examples depend on, but for the world's own code."""

    pictures: int
    world: int
    """The world's seed, as `draw_world.py --seed`."""
    side: int
    """Pixels of an image's side as the model sees it."""
    captions: int
    """How many are kept for each picture."""
    context: int
    """Tokens of a caption, padding included."""


@dataclass(frozen=True)
class Examples:
    images: np.ndarray
    """(N, side, side, 3) uint8"""
    facts: np.ndarray
    """(N, _MOST) int16: what each picture shows, as places in FACTS, filled up with -1"""
    tokens: np.ndarray
    """(N, captions, context) uint16"""
    stated: np.ndarray
    """(N, captions, _MOST) int16: what each caption states, in the same form"""


def examples(recipe: Recipe, cache_folder: Path, processes: int = 2) -> Examples:
    """The examples of `recipe`, read from `cache_folder` if they were drawn before by the same code."""
    text = json.dumps(asdict(recipe) | {"code": _digest_of_code()}, indent=2)
    folder = cache_folder / hashlib.sha256(text.encode()).hexdigest()[:12]
    if not folder.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=cache_folder, prefix="unfinished-"))
        try:
            _draw_all(recipe, unfinished, processes)
            (unfinished / "recipe.json").write_text(text)
            os.rename(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Examples(*(np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in fields(Examples)))


def dense(numbers: np.ndarray) -> np.ndarray:
    """Lists of facts as rows of marks: (N, _MOST) int16 to (N, facts) bool."""
    marks = np.zeros((len(numbers), len(FACTS) + 1), dtype=bool)
    np.put_along_axis(
        marks, numbers.astype(np.int64), True, axis=1
    )  # -1 falls on the column beyond the facts
    return marks[:, :-1]


def is_true(stated: np.ndarray, facts: np.ndarray) -> np.ndarray:
    """Whether all that a caption states is shown by an image, for every pair: (images, captions) bool.

    stated: (captions, facts) bool, facts: (images, facts) bool.
    """
    missing = (~facts).astype(np.float32) @ stated.T.astype(np.float32)
    return missing == 0


def _draw_all(recipe: Recipe, folder: Path, processes: int) -> None:
    """Draw the pictures of `recipe` into one .npy file for each field of Examples."""
    n, k = recipe.pictures, recipe.captions
    shapes = {
        "images": ((n, recipe.side, recipe.side, 3), np.uint8),
        "facts": ((n, _MOST), np.int16),
        "tokens": ((n, k, recipe.context), np.uint16),
        "stated": ((n, k, _MOST), np.int16),
    }
    files = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
        for name, (shape, dtype) in shapes.items()
    }
    jobs = [(recipe, range(at, min(at + _CHUNK, n))) for at in range(0, n, _CHUNK)]
    with get_context("spawn").Pool(processes) as pool:
        for (_, numbers), chunk in zip(
            jobs, track(pool.imap(_draw_some, jobs), "drawing", len(jobs)), strict=True
        ):
            for name, values in chunk.items():
                files[name][numbers.start : numbers.stop] = values
    for file in files.values():
        file.flush()


def _draw_some(job: tuple[Recipe, range]) -> dict[str, np.ndarray]:
    """The examples of some of a world's pictures, by the name of their file."""
    recipe, numbers = job
    tokenizer = _tokenizer(recipe.context)
    chunk: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(Examples)}
    for seed in (picture_seed(recipe.world, number) for number in numbers):
        picture = draw(seed)
        told = language.tell(picture, np.random.default_rng([seed, 1]), recipe.captions)
        image = picture.image.resize((recipe.side, recipe.side), Image.Resampling.BICUBIC)
        chunk["images"].append(np.asarray(image))
        chunk["facts"].append(_numbers(language.facts(picture)))
        chunk["tokens"].append(tokenizer([caption.text for caption in told]).numpy())
        chunk["stated"].append(np.stack([_numbers(caption.facts) for caption in told]))
    return {name: np.stack(values) for name, values in chunk.items()}


def _numbers(facts: Iterable[Fact]) -> np.ndarray:
    """(_MOST,) int16: the places of `facts` in FACTS, then -1."""
    known = sorted(_NUMBER[fact] for fact in facts)
    return np.array(known + [-1] * (_MOST - len(known)), dtype=np.int16)


@cache
def _tokenizer(context: int) -> SimpleTokenizer:
    return SimpleTokenizer(context_length=context)


def _digest_of_code() -> str:
    """A digest of the code that draws and describes pictures."""
    digest = hashlib.sha256()
    for file in sorted(Path(language.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
