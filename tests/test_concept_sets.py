"""The lists in data/concepts, and that they are what its README says of them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path

import pytest
from open_clip import get_tokenizer
from torch import float32

from cmon import concepts
from cmon.clip.open_clip import OpenClip
from cmon.concepts import Concept
from scripts.maintenance import common_words

FOLDER = Path(__file__).parents[1] / "data" / "concepts"
LISTS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".csv", ".txt"))

# Spelled as their authors spell them: Cimpoi et al., 2014, and Berlin & Kay, 1969.
TEXTURES = """
    banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline dotted fibrous flecked
    freckled frilly gauzy grid grooved honeycombed interlaced knitted lacelike lined marbled matted meshed paisley
    perforated pitted pleated polka-dotted porous potholed scaly smeared spiralled sprinkled stained stratified
    striped studded swirly veined waffled woven wrinkled zigzagged
"""
COLORS = "black blue brown green grey orange pink purple red white yellow"


@pytest.fixture(scope="module")
def broden() -> list[Concept]:
    return concepts.read(FOLDER / "broden.csv")


@pytest.fixture(scope="module")
def words() -> list[str]:
    return [concept.name for concept in concepts.read(FOLDER / "common_words.txt")]


def of(listed: list[Concept], category: str) -> list[str]:
    return [concept.name for concept in listed if concept.category == category]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_a_list_is_read_whole_and_without_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = concepts.read(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(found) == len(lines) - (path.suffix == ".csv")
    assert not caplog.records


@pytest.mark.parametrize(
    ("category", "least"),
    [("object", 300), ("part", 60), ("scene", 300), ("material", 15), ("texture", 47), ("color", 11)],
)
def test_broden_has_enough_of_every_category(broden: list[Concept], category: str, least: int) -> None:
    assert len(of(broden, category)) >= least


def test_broden_has_a_thousand_concepts_and_no_other_category(broden: list[Concept]) -> None:
    assert len(broden) >= 1000
    assert {concept.category for concept in broden} == {
        "object", "part", "scene", "material", "texture", "color"
    }  # fmt: skip


def test_the_textures_and_the_colors_are_exactly_the_published_ones(broden: list[Concept]) -> None:
    assert of(broden, "texture") == TEXTURES.split()
    assert of(broden, "color") == COLORS.split()


def test_broden_has_no_doubles_that_differ_in_spaces_hyphens_or_number(broden: list[Concept]) -> None:
    alike = Counter(re.sub("[ -]", "", concept.name.casefold()).rstrip("s") for concept in broden)
    assert [name for name, count in alike.items() if count > 1] == []


def test_broden_is_worded_as_a_caption_is(broden: list[Concept]) -> None:
    assert [c.name for c in broden if not re.fullmatch("[a-z]+([ '-][a-z]+)*", c.name)] == []


def test_broden_is_in_the_order_of_the_alphabet_within_a_category(broden: list[Concept]) -> None:
    for category in {concept.category or "" for concept in broden}:
        assert of(broden, category) == sorted(of(broden, category))


def test_there_are_ten_thousand_words_and_all_are_wanted(words: list[str]) -> None:
    assert len(words) >= 10_000
    assert [word for word in words if not common_words.wanted(word)] == []


@pytest.mark.parametrize("word", ["don't", "ll", "3d", "café", "Paris", "", "assholes", "bullshit"])
def test_pieces_and_crude_words_are_not_wanted(word: str) -> None:
    assert not common_words.wanted(word)


@pytest.mark.parametrize("word", ["the", "tv", "glass", "assess", "document", "cocktail", "scrap"])
def test_words_are_wanted_whatever_they_contain(word: str) -> None:
    assert common_words.wanted(word)


def test_the_words_are_those_of_wordfreq_in_the_order_of_their_frequency(words: list[str]) -> None:
    wordfreq = pytest.importorskip(
        "wordfreq", reason="wordfreq, which only the script needs, is not installed"
    )
    assert words == common_words.words()
    frequencies = [wordfreq.word_frequency(word, "en") for word in words]
    assert frequencies == sorted(frequencies, reverse=True)


def test_the_readme_names_every_list_and_counts_right(broden: list[Concept], words: list[str]) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in LISTS if f"\n| `{path.name}` | " not in readme] == []
    assert f"| `broden.csv` | {len(broden):,} |" in readme
    assert f"| `common_words.txt` | {len(words):,} |" in readme
    for category, count in Counter(concept.category for concept in broden).items():
        assert f"\n| {category} | {count} |" in readme


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_no_concept_is_longer_than_what_clip_reads(path: Path) -> None:
    """In a template of ordinary length; only the longest by letters can be."""
    names = sorted((concept.name for concept in concepts.read(path)), key=len)[-50:]
    embedder = OpenClip("any", lambda image: image, None, get_tokenizer("ViT-B-16"), "cpu", float32)
    assert not any(
        embedder.truncated_lengths([f"a photo of the large {name}, a type of thing." for name in names])
    )
