"""The drawn world: pictures come from their seed alone, and what is told of them is true of them."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

from scripts.demo import draw_world
import numpy as np
import pytest
from PIL import Image
from scripts.demo.world import captions, colors, picture
from scripts.demo.world.materials import MATERIALS, NATURAL
from scripts.demo.world.objects import KINDS
from scripts.demo.world.picture import CATEGORIES, SIZE, VOCABULARY, Picture, draw
from scripts.demo.world.scenes import SCENES, Board
from scripts.demo.world.textures import TEXTURES

SEEDS = range(1500)
CONCEPTS = [(category, concept) for category in CATEGORIES for concept in VOCABULARY[category]]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [draw(seed) for seed in SEEDS]


def pixels(shown: Picture) -> np.ndarray:
    return np.asarray(shown.image)


def test_the_same_seed_gives_the_same_picture_and_truth(pictures: list[Picture]) -> None:
    for seed in (3, 14, 15):
        again = draw(seed)
        assert pixels(again).tobytes() == pixels(pictures[seed]).tobytes()
        assert (again.truth, again.things, again.ground) == (
            pictures[seed].truth, pictures[seed].things, pictures[seed].ground,
        )  # fmt: skip


def test_different_seeds_give_different_pictures(pictures: list[Picture]) -> None:
    assert len({pixels(shown).tobytes() for shown in pictures}) == len(pictures)


def test_pictures_are_small_and_in_color(pictures: list[Picture]) -> None:
    assert {(shown.image.mode, shown.image.size) for shown in pictures} == {("RGB", (SIZE, SIZE))}


def test_the_vocabulary_is_as_rich_as_promised() -> None:
    least = {"object": 24, "part": 12, "scene": 8, "material": 8, "texture": 12, "color": 11}
    assert [category for category in CATEGORIES if len(VOCABULARY[category]) < least[category]] == []
    assert len(set(CONCEPTS)) == len({concept for _, concept in CONCEPTS}), "a word is in two categories"


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_concept_is_shown_often_enough_to_be_learned(pictures: list[Picture], category: str) -> None:
    counts = Counter(concept for shown in pictures for concept in shown.truth[category])
    rates = {concept: counts[concept] / len(pictures) for concept in VOCABULARY[category]}
    assert {concept: rate for concept, rate in rates.items() if rate < 0.015} == {}
    assert {concept: rate for concept, rate in rates.items() if rate > 0.5} == {}, (
        "too common to tell anything"
    )


def test_truth_uses_the_vocabulary_in_its_order(pictures: list[Picture]) -> None:
    for shown in pictures:
        assert tuple(shown.truth) == CATEGORIES
        for category, concepts in shown.truth.items():
            assert list(concepts) == [c for c in VOCABULARY[category] if c in concepts]


def test_truth_is_what_the_things_and_the_ground_show(pictures: list[Picture]) -> None:
    for shown in pictures:
        expected = {(shown.ground.category, shown.ground.name), *picture.SHOWN_BY.get(shown.ground.name, ())}
        for thing in shown.things:
            expected |= {("object", thing.kind), *(("part", part) for part in thing.parts)}
            expected |= {thing.surface} if thing.surface else set()
        told = {(category, concept) for category in CATEGORIES for concept in shown.truth[category]}
        assert {pair for pair in told if pair[0] != "color"} == expected - {("plain", "")}


# Colors


@pytest.mark.parametrize("name", colors.COLORS)
def test_paint_and_its_shades_bear_the_name_they_were_sampled_for(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        coat = colors.coat(name, rng)
        assert colors.shares(np.array([coat.main, coat.dark, coat.light], np.uint8))[name] == 1


@pytest.mark.parametrize(
    ("name", "rgb"),
    [
        ("black", (0, 0, 0)), ("white", (255, 255, 255)), ("gray", (128, 128, 128)), ("red", (220, 20, 30)),
        ("orange", (255, 140, 0)), ("brown", (120, 72, 30)), ("yellow", (255, 225, 30)), ("green", (30, 140, 50)),
        ("blue", (30, 80, 220)), ("purple", (125, 45, 160)), ("pink", (255, 160, 190)),
    ],
)  # fmt: skip
def test_well_known_colors_get_their_names(name: str, rgb: tuple[int, int, int]) -> None:
    assert colors.shares(np.full((4, 4, 3), rgb, np.uint8))[name] == 1


def test_true_colors_can_be_seen_and_large_areas_are_told(pictures: list[Picture]) -> None:
    for shown in pictures:
        shares = colors.shares(pixels(shown))
        told = set(shown.truth["color"])
        assert all(shares[name] >= picture.SEEN_PATCH for name in told)
        assert {name for name, share in shares.items() if share > 0.08} <= told


def test_a_color_that_is_painted_into_a_picture_is_measured() -> None:
    for name in colors.COLORS:
        other = "green" if name != "green" else "red"
        rng = np.random.default_rng(5)
        canvas = np.full((SIZE, SIZE, 3), colors.sample(other, rng), np.uint8)
        canvas[20:60, 20:60] = colors.sample(name, rng)
        shares = colors.shares(canvas)
        assert shares[name] == pytest.approx(1600 / SIZE**2)
        assert shares[name] + shares[other] == pytest.approx(1)


def test_a_plain_thing_has_the_color_of_its_pixels(pictures: list[Picture]) -> None:
    for shown in pictures:
        for thing in shown.things:
            if thing.surface is None and thing.colors and len(shown.things) == 1:
                left, top, right, bottom = (round(edge * SIZE) for edge in thing.box)
                assert colors.shares(pixels(shown)[top:bottom, left:right])[thing.colors[0]] > 0.04


# Objects, surfaces, scenes


def test_things_are_large_enough_and_inside_the_picture(pictures: list[Picture]) -> None:
    for shown in pictures:
        for thing in shown.things:
            left, top, right, bottom = thing.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            assert max(bottom - top, right - left) >= 0.25


@pytest.mark.parametrize("name", [*TEXTURES, *MATERIALS])
def test_surfaces_fill_any_square(name: str) -> None:
    surface = (TEXTURES | MATERIALS)[name]
    for size in (40, 96):
        drawn = surface(size, (230, 40, 40), (20, 30, 160), np.random.default_rng(1))
        assert drawn.shape == (size, size, 3)
        assert drawn.dtype == np.uint8
        assert drawn.std() > 10


def test_every_material_has_natural_colors() -> None:
    assert set(NATURAL) == set(MATERIALS)
    assert {term for pairs in NATURAL.values() for pair in pairs for term in pair} <= set(colors.COLORS)


@pytest.mark.parametrize("name", SCENES)
def test_scenes_say_where_the_things_that_they_welcome_can_stand(name: str) -> None:
    scene = SCENES[name]
    for seed in range(20):
        places = scene.paint(Board(SIZE), np.random.default_rng(seed))
        assert set(places) == set(scene.homes)
        assert all(0.2 < low < high <= 1 for low, high in places.values())
    assert set(scene.excludes) <= set(KINDS)


def test_every_kind_fits_into_some_scene() -> None:
    assert [
        k.name for k in KINDS.values() if not any(s.welcomes(k.name, k.home) for s in SCENES.values())
    ] == []


# Captions


def test_captions_are_true_of_their_picture(pictures: list[Picture]) -> None:
    rng = np.random.default_rng(0)
    for shown in pictures:
        known = captions.facts(shown)
        for caption in captions.tell(shown, rng, 5):
            assert caption.facts
            assert caption.facts <= known, caption


def test_the_words_of_a_caption_are_among_the_facts_it_states(pictures: list[Picture]) -> None:
    rng = np.random.default_rng(0)
    vocabulary = {concept for _, concept in CONCEPTS}
    for shown in pictures[:400]:
        for caption in captions.tell(shown, rng, 5):
            stated = {word for _, concept in caption.facts for word in concept.split()}
            assert set(re.findall(r"[a-z]+", caption.text)) & vocabulary <= stated, caption


def test_a_caption_is_false_of_a_picture_that_lacks_what_it_says(pictures: list[Picture]) -> None:
    red = captions.Caption(
        "a red car", frozenset({("object", "car"), ("color", "red"), ("thing", "red car")})
    )
    true = [shown for shown in SEEDS if captions.is_true(red, pictures[shown])]
    assert true
    for seed in true:
        assert any(thing.kind == "car" and "red" in thing.colors for thing in pictures[seed].things)
    loose = [s for s in pictures if "car" in s.truth["object"] and "red" in s.truth["color"]]
    assert len(loose) > len(true), "a car on red ground is no red car"


def test_captions_vary_and_name_every_concept(pictures: list[Picture]) -> None:
    rng = np.random.default_rng(0)
    texts = [text for shown in pictures for text in captions.captions(shown, rng, 5)]
    assert len(set(texts)) > len(texts) / 4
    words = Counter(word for text in texts for word in text.split())
    assert [concept for _, concept in CONCEPTS if words[concept] < 5] == []


# The tool


def test_a_folder_holds_what_draw_says(tmp_path: Path) -> None:
    out = tmp_path / "world"
    assert draw_world.draw_world(out, images=20, seed=7)
    with open(out / "truth.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"images/{number:05d}.png" for number in range(20)]
    for number, row in enumerate(rows):
        expected = draw(draw_world.picture_seed(7, number))
        assert {category: row[category] for category in CATEGORIES} == {
            category: ";".join(concepts) for category, concepts in expected.truth.items()
        }
        with Image.open(out / row["path"]) as image:
            assert np.array_equal(np.asarray(image), pixels(expected))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["world"], "leftovers"


def test_a_finished_folder_is_left_alone_and_another_recipe_replaces_it(tmp_path: Path) -> None:
    out = tmp_path / "world"
    assert draw_world.draw_world(out, images=3, seed=1)
    before = (out / "truth.csv").stat().st_mtime_ns
    assert not draw_world.draw_world(out, images=3, seed=1)
    assert (out / "truth.csv").stat().st_mtime_ns == before
    assert draw_world.draw_world(out, images=2, seed=1)
    assert len(list((out / "images").iterdir())) == 2
    assert json.loads((out / draw_world.RECIPE).read_text())["images"] == 2


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match="something other"):
        draw_world.draw_world(tmp_path, images=1, seed=1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_concept_lists_are_up_to_date(tmp_path: Path) -> None:
    draw_world.write_concepts(tmp_path)
    kept = Path(__file__).parents[3] / "data" / "concepts"
    for name in ("world.csv", "world_anchors.csv"):
        assert (tmp_path / name).read_text() == (kept / name).read_text(), (
            f"{name} is out of date: run python -m scripts.demo.draw_world --concepts data/concepts"
        )


@pytest.mark.parametrize("seed", [1000008959, 1000016313, 1000047313])
def test_a_floor_that_reaches_out_of_the_picture_cuts_only_feet(seed: int) -> None:
    """These once stood wholly below the picture's edge, and could not be drawn."""
    things = draw(seed).things
    assert max(thing.box[3] for thing in things) == 1.0
    assert all(thing.box[3] - thing.box[1] > 0.2 for thing in things)
