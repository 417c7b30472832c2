"""Whole pictures: what stands where on what, drawn from a seed, with the truth about what can be seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .colors import COLORS, name_pixels, sample, term_shares
from .materials import MATERIALS
from .objects import KINDS, PARTS, Kind
from .scenes import SCENES, Places
from .stage import SIZE, Thing, choose_spot, paint_thing
from .surfaces import draw_surface
from .textures import TEXTURES

CATEGORIES = ("object", "part", "scene", "material", "texture", "color")
VOCABULARY: dict[str, tuple[str, ...]] = {
    "object": tuple(KINDS),
    "part": PARTS,
    "scene": tuple(SCENES),
    "material": tuple(MATERIALS),
    "texture": tuple(TEXTURES),
    "color": COLORS,
}

# What pictures are made of: (share of all pictures, number of objects, ground).
LAYOUTS: tuple[tuple[float, int, str], ...] = (
    (0.27, 1, "scene"),
    (0.19, 1, "texture"),
    (0.13, 1, "material"),
    (0.08, 1, "plain"),
    (0.07, 2, "scene"),
    (0.03, 2, "texture"),
    (0.02, 2, "material"),
    (0.08, 0, "texture"),
    (0.06, 0, "material"),
    (0.07, 0, "scene"),
)

# What a ground shows besides itself, wherever things stand on it.
SHOWN_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "forest": (("object", "tree"),),
    "street": (("part", "window"), ("part", "door")),
    "foliage": (("part", "leaf"),),
}

# A color is told of a picture that shows this share of it; of a thing if it makes up this share of the thing
# (each of two colors: half of it) and the patch is still visible in the picture.
SEEN_IN_PICTURE, SEEN_ON_THING, SEEN_PATCH = 0.06, 0.25, 0.015

NOISE = 2.0  # standard deviation of the grain, of 255


@dataclass(frozen=True)
class Ground:
    """What lies behind the things."""

    category: str  # 'scene', 'texture', 'material' or 'plain'
    name: str  # '' if plain
    colors: tuple[str, ...]  # of what can be seen of it, the most frequent first


@dataclass(frozen=True)
class Picture:
    """A picture with all that is true of it."""

    image: Image.Image
    truth: dict[str, tuple[str, ...]]  # category -> concepts, in the vocabulary's order
    things: tuple[Thing, ...]
    ground: Ground


def draw(seed: int) -> Picture:
    """The picture of a seed: always the same one."""
    rng = np.random.default_rng(seed)
    shares = np.array([share for share, _, _ in LAYOUTS])
    _, count, category = LAYOUTS[rng.choice(len(LAYOUTS), p=shares / shares.sum())]
    name, kinds = _choose(category, count, rng)
    pixels, places = _paint_ground(category, name, rng)
    spots = [choose_spot(kind, number, count, places, rng) for number, kind in enumerate(kinds)]
    things = []
    owner = np.zeros(
        (SIZE, SIZE), np.uint8
    )  # 0 where the ground is seen, else the thing's place in `things`, + 1
    # What stands lower stands nearer, so it is painted later.
    for kind, spot in sorted(zip(kinds, spots, strict=True), key=lambda pair: pair[1].bottom):
        thing, covered = paint_thing(pixels, kind, spot, rng)
        things.append(thing)
        owner[covered] = len(things)
    pixels = np.clip(pixels + rng.normal(0, NOISE, (SIZE, SIZE, 1)), 0, 255).astype(np.uint8)
    terms = name_pixels(pixels)
    seen = tuple(_see(thing, terms, owner == number) for number, thing in enumerate(things, start=1))
    ground = Ground(category, name, _plain_colors(terms[owner == 0]))
    return Picture(Image.fromarray(pixels), _truth(seen, ground, terms), seen, ground)


def _choose(category: str, count: int, rng: np.random.Generator) -> tuple[str, list[Kind]]:
    """The name of a ground ('' if plain) and `count` different kinds that fit on it."""
    kinds = list(KINDS.values())
    chosen = [kinds[rng.integers(len(kinds))]] if count else []
    names = VOCABULARY.get(category, ("",))
    if category == "scene" and chosen:
        # The first kind chooses the scene, so that kinds which fit into few scenes are not shown less often.
        names = tuple(name for name in names if SCENES[name].welcomes(chosen[0].name, chosen[0].home))
    name = str(rng.choice(names))
    while len(chosen) < count:
        other = kinds[rng.integers(len(kinds))]
        if other not in chosen and (category != "scene" or SCENES[name].welcomes(other.name, other.home)):
            chosen.append(other)
    return name, chosen


def _paint_ground(category: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, Places | None]:
    """The ground as (SIZE, SIZE, 3) float32 and, in a scene, where things can stand."""
    places = None
    if category == "scene":
        pixels, places = SCENES[name].show(SIZE, rng)
    elif category == "plain":
        pixels = np.full((SIZE, SIZE, 3), sample(str(rng.choice(COLORS)), rng), np.uint8)
    else:
        _, pixels = draw_surface(name, SIZE, rng)
    # Light falls in from one side.
    down, right = rng.normal(0, 0.06 if category == "scene" else 0.10, 2)
    steps = np.linspace(-1, 1, SIZE, dtype=np.float32)
    light = np.clip(1 + down * steps[:, None] + right * steps[None, :], 0.8, 1.1).astype(np.float32)
    return np.clip(pixels * light[..., None], 0, 255), places


def _plain_colors(terms: np.ndarray) -> tuple[str, ...]:
    """The color terms that cover a plainly visible share of the picture, given those of all or some pixels.

    The most frequent one comes first.
    """
    least = SEEN_IN_PICTURE * SIZE**2 / max(terms.size, 1)
    ranked = sorted(term_shares(terms).items(), key=lambda item: -item[1])
    return tuple(name for name, share in ranked if share >= least)


def _see(thing: Thing, terms: np.ndarray, where: np.ndarray) -> Thing:
    """The thing with only those of its coat's colors that can be seen where it shows."""
    shares, patch = term_shares(terms[where]), where.mean()
    least = max(SEEN_ON_THING / len(thing.colors), SEEN_PATCH / max(patch, SEEN_PATCH))
    return replace(thing, colors=tuple(name for name in thing.colors if shares[name] >= least))


def _truth(things: tuple[Thing, ...], ground: Ground, terms: np.ndarray) -> dict[str, tuple[str, ...]]:
    """All concepts of a picture by category, each in the vocabulary's order."""
    found = {("color", name) for name in _plain_colors(terms)} | set(SHOWN_BY.get(ground.name, ()))
    found.add((ground.category, ground.name))
    for thing in things:
        found.add(("object", thing.kind))
        found |= {("part", part) for part in thing.parts} | {("color", name) for name in thing.colors}
        found |= {thing.surface} if thing.surface else set()
    return {
        category: tuple(c for c in VOCABULARY[category] if (category, c) in found) for category in CATEGORIES
    }
