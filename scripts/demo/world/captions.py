"""What can be said of a picture: its facts, and varied captions that each state some of them.

A fact is a (category, concept) pair. Beside the six categories of the truth there are facts that tie two
concepts together, so that a red dog on blue ground makes no blue dog: ('thing', 'red dog') and
('ground', 'blue'), and ('count', '1') for the number of objects. A caption is true of any picture that has
all its facts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .picture import Picture, Thing
from .scenes import SCENES

Fact = tuple[str, str]


class Caption(NamedTuple):
    """A line of text and the facts that it states."""

    text: str
    facts: frozenset[Fact]


OPENINGS = ("", "", "a photo of ", "a picture of ", "an image of ")
# Ways to name one concept: {0} is the concept, {1} the concept with its article.
FORMS: dict[str, tuple[str, ...]] = {
    "object": ("{0}", "{0}", "{1}"),
    "part": ("{0}", "{0}", "{1}", "something with {1}"),
    "scene": ("{0}", "{1}"),
    "material": ("{0}", "{0}", "something made of {0}", "{0} material"),
    "texture": ("{0}", "{0}", "something {0}", "{1} texture", "{1} pattern"),
    "color": ("{0}", "{0}", "something {0}", "the color {0}"),
}
CLOSE_UPS = ("a close-up of {}", "a photo of {}", "{} seen up close", "a {} surface")
EMPTY = ("{} with nothing in it", "a photo of {} without any object", "an empty scene: {}")


def facts(picture: Picture) -> frozenset[Fact]:
    """All facts of a picture."""
    found = {(category, concept) for category, concepts in picture.truth.items() for concept in concepts}
    found.add(("count", str(len(picture.things))))
    found |= {("ground", color) for color in picture.ground.colors}
    if picture.ground.name:
        found.add(("ground", picture.ground.name))
    for thing in picture.things:
        found |= {("thing", f"{word} {thing.kind}") for word in _adjectives(thing)}
        found |= {("thing", f"{thing.kind} with {part}") for part in thing.parts}
    return frozenset(found)


def captions(picture: Picture, rng: np.random.Generator, n: int) -> list[str]:
    """`n` true captions, repeats possible."""
    return [caption.text for caption in tell(picture, rng, n)]


def tell(picture: Picture, rng: np.random.Generator, n: int) -> list[Caption]:
    """`n` true captions with the facts they state, repeats possible."""
    return [_tell_one(picture, rng) for _ in range(n)]


def is_true(caption: Caption, picture: Picture) -> bool:
    """Whether a caption, of this or any other picture, is true of a picture."""
    return caption.facts <= facts(picture)


def _tell_one(picture: Picture, rng: np.random.Generator) -> Caption:
    kind = rng.random()
    if kind < 0.35:
        return _concept(picture, rng)
    if picture.things:
        if kind < 0.60:
            text, stated = _noun_phrase(picture.things[rng.integers(len(picture.things))], rng)
            return Caption(_pick(OPENINGS, rng) + text, frozenset(stated))
        return _sentence(picture, rng)
    return _bare_ground(picture, rng)


def _concept(picture: Picture, rng: np.random.Generator) -> Caption:
    """One concept alone, each category as likely as the next."""
    present = [category for category, concepts in picture.truth.items() if concepts]
    category = _pick(present, rng)
    concept = _pick(picture.truth[category], rng)
    named = SCENES[concept].noun if category == "scene" else with_article(concept)
    text = _pick(FORMS[category], rng).format(concept, named)
    return Caption(_pick(OPENINGS, rng) + text, frozenset({(category, concept)}))


def _noun_phrase(thing: Thing, rng: np.random.Generator) -> tuple[str, set[Fact]]:
    """'a red dog', 'a striped mug', 'a car with a wheel', and what is thereby stated."""
    stated: set[Fact] = {("object", thing.kind)}
    chosen = [word for word in _adjectives(thing) if rng.random() < 0.65]
    for word in chosen:
        stated |= {("thing", f"{word} {thing.kind}"), (_category_of(word, thing), word)}
    colors = [word for word in chosen if word in thing.colors]
    words = [" and ".join(colors)] if colors else []
    words += [word for word in chosen if word not in thing.colors]
    text = with_article(" ".join([*words, thing.kind]))
    if thing.parts and rng.random() < 0.2:
        part = _pick(thing.parts, rng)
        stated |= {("part", part), ("thing", f"{thing.kind} with {part}")}
        text += f" with {with_article(part)}"
    return text, stated


def _sentence(picture: Picture, rng: np.random.Generator) -> Caption:
    """All things and where they are."""
    phrases = [_noun_phrase(thing, rng) for thing in picture.things]
    text = " and ".join(phrase for phrase, _ in phrases)
    stated = set().union(*(part for _, part in phrases))
    where, more = _whereabouts(picture, rng)
    return Caption(f"{_pick(OPENINGS, rng)}{text} {where}".strip(), frozenset(stated | more))


def _whereabouts(picture: Picture, rng: np.random.Generator) -> tuple[str, set[Fact]]:
    """'at the beach', 'on a red and white striped background', 'on brick'; '' if there is nothing to tell."""
    ground = picture.ground
    if ground.category == "scene":
        return SCENES[ground.name].phrase, {("scene", ground.name)}
    stated: set[Fact] = set()
    words = []
    if ground.colors and (ground.category == "plain" or rng.random() < 0.5):
        words.append(" and ".join(ground.colors[:2]))
        for color in ground.colors[:2]:
            stated |= {("ground", color), ("color", color)}
    if ground.name:
        words.append(ground.name)
        stated |= {("ground", ground.name), (ground.category, ground.name)}
    if not words:
        return "", set()
    if ground.category == "material" and rng.random() < 0.5:
        return f"on {' '.join(words)}", stated
    return f"on {with_article(' '.join(words))} {_pick(('background', 'ground'), rng)}", stated


def _bare_ground(picture: Picture, rng: np.random.Generator) -> Caption:
    """A scene without objects, or a close-up of a texture or material."""
    ground = picture.ground
    stated: set[Fact] = {("count", "0"), (ground.category, ground.name), ("ground", ground.name)}
    if ground.category == "scene":
        return Caption(_pick(EMPTY, rng).format(SCENES[ground.name].noun), frozenset(stated))
    words = ground.name
    if ground.colors and rng.random() < 0.6:
        words = f"{' and '.join(ground.colors[:2])} {words}"
        for color in ground.colors[:2]:
            stated |= {("ground", color), ("color", color)}
    if ground.category == "texture":
        words = with_article(words) + " " + _pick(("pattern", "texture"), rng)
        return Caption(
            _pick(("{}", "a close-up of {}", "a photo of {}"), rng).format(words), frozenset(stated)
        )
    return Caption(_pick(CLOSE_UPS, rng).format(words), frozenset(stated))


def _adjectives(thing: Thing) -> list[str]:
    """The words that can stand before a thing's name: colors, then its texture or material."""
    return [*thing.colors, *([thing.surface[1]] if thing.surface else [])]


def _category_of(word: str, thing: Thing) -> str:
    return thing.surface[0] if thing.surface and word == thing.surface[1] else "color"


def with_article(words: str) -> str:
    """'a dog', 'an orange cat'."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def _pick(options: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
