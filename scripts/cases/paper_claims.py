"""The five claims of Concept-Monitor (arXiv 2304.13346) about what training does to concepts, as contrasts of runs.

Each function takes a study's results and lists what is compared; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.cases import results as measures
from scripts.cases.contrasts import Contrast, Role, Side
from scripts.cases.intervals import Expected
from scripts.cases.results import (
    COLOR_AND_TEXTURE,
    Measure,
    Results,
    share_of_interpretable,
    share_of_units,
)

STANDARD = "standard"
POOR = ("rate-too-high", "rate-too-low", "random-labels")
SHIFT: tuple[tuple[tuple[str, ...], str, Expected | None], ...] = (
    (COLOR_AND_TEXTURE, "color and texture", "lower"),
    (("object",), "object", "higher"),
    (("part",), "part", "higher"),
    (("scene",), "scene", "higher"),
    (("material",), "material", None),
)
"""Categories, what they are called together, and where their share goes over training; of material, the paper says
nothing."""


@dataclass(frozen=True)
class PaperClaim:
    """One of the five."""

    number: int
    title: str
    study: str
    paper: str
    """The numbers that the paper has for it; empty where we know of none."""
    contrasts: Callable[[Results], list[Contrast]]
    figures: tuple[str, ...]
    """Numbers of the paper's figures that are drawn for our runs."""


def d_anchor_and_movement(results: Results) -> list[Contrast]:
    """d_anchor falls in standard training, is higher in poor training, and there units move and spread less."""
    found = [
        Contrast(
            1, f"{measure.name} falls in standard training", measure,
            Side(STANDARD, layer, results.last), Side(STANDARD, layer, results.first), "lower",
            "claim" if layer == results.main else "other layer",
        )
        for layer in _main_first(results)
        for measure in (measures.D_ANCHOR, measures.D_ANCHOR_CLIP)
    ]  # fmt: skip
    poor: tuple[tuple[Measure, Expected], ...] = (
        (measures.D_ANCHOR, "higher"),
        (measures.D_ANCHOR_CLIP, "higher"),
        (measures.FROM_FIRST, "lower"),
        (measures.FROM_FIRST_CLIP, "lower"),
        (measures.SPREAD, "lower"),
    )
    found += [
        Contrast(
            1, f"{measure.name} is {expected} in poor training: {recipe}", measure,
            Side(recipe, layer, results.last), Side(STANDARD, layer, results.last), expected,
            "claim" if layer == results.main else "other layer",
        )
        for layer in _main_first(results)
        for recipe in POOR
        for measure, expected in poor
    ]  # fmt: skip
    return found


def depth_and_categories(results: Results) -> list[Contrast]:
    """The interpretable share grows over epochs and with depth; from color and texture to objects."""
    last, lowest = results.last, results.layers[0]
    shares = (measures.INTERPRETABLE, measures.AGAINST_UNTRAINED)
    found = [
        Contrast(
            2, f"{share.name} grows over epochs", share,
            Side(STANDARD, layer, last), Side(STANDARD, layer, results.first), "higher",
        )
        for share in shares
        for layer in results.layers
    ]  # fmt: skip
    found += [
        Contrast(
            2, f"{share.name} grows with depth", share,
            Side(STANDARD, layer, last), Side(STANDARD, lowest, last), "higher",
        )
        for share in shares
        for layer in reversed(results.layers[1:])
    ]  # fmt: skip
    found += [
        Contrast(
            2, f"{measures.AGAINST_UNTRAINED.name} is lower in poor training: {recipe}", measures.AGAINST_UNTRAINED,
            Side(recipe, results.main, last), Side(STANDARD, results.main, last), "lower", "beside",
        )
        for recipe in POOR
    ]  # fmt: skip
    goes = {"lower": "falls", "higher": "rises", None: "changes"}
    found += [
        Contrast(
            2, f"share of {name} among interpretable units {goes[expected]} over epochs",
            share_of_interpretable(categories, f"share of {name} among interpretable units"),
            Side(STANDARD, results.main, last), Side(STANDARD, results.main, results.first), expected,
            "claim" if expected else "beside",
        )
        for categories, name, expected in SHIFT
        if results.has_category(*categories)
    ]  # fmt: skip
    return found


def adversarial(results: Results) -> list[Contrast]:
    """More color and texture and fewer object units than in standard training; clean and robust accuracy."""
    here, there = (Side(recipe, results.main, results.last) for recipe in ("adversarial", STANDARD))
    claimed: tuple[tuple[tuple[str, ...], str, Expected], ...] = (
        (COLOR_AND_TEXTURE, "color and texture", "higher"),
        (("object",), "object", "lower"),
    )
    found = []
    shares: tuple[tuple[Callable[[Sequence[str], str], Measure], str, Role], ...] = (
        (share_of_units, "all units", "claim"),
        (share_of_interpretable, "interpretable units", "beside"),
    )
    for share, of, role in shares:
        found += [
            Contrast(
                3, f"share of {name} of {of} is {expected} in adversarial training",
                share(categories, f"share of {name} of {of}"), here, there, expected, role,
            )
            for categories, name, expected in claimed
            if results.has_category(*categories)
        ]  # fmt: skip
    beside = (measures.INTERPRETABLE, measures.ACCURACY, measures.ROBUST_ACCURACY)
    return found + [Contrast(3, measure.name, measure, here, there, None, "beside") for measure in beside]


def lottery(results: Results) -> list[Contrast]:
    """A winning ticket makes units interpretable at the initial weights: more than dense, and than a random mask."""
    first, last = (results.first, "at the initial weights"), (results.last, "after training")
    compared = (
        (measures.INTERPRETABLE, *first),
        (measures.INTERPRETABLE, *last),
        (measures.AGAINST_UNTRAINED, *last),  # at the initial weights, a network is compared with itself
    )
    found = [
        Contrast(
            4, f"{share.name} under the winning mask is higher than {than} {when}", share,
            Side("winning", layer, epoch), Side(other, layer, epoch), "higher",
            "claim" if epoch == results.first else "beside", masked=True,
        )
        for share, epoch, when in compared
        for other, than in ((STANDARD, "in the dense network"), ("random-mask", "under a random mask"))
        for layer in results.layers
    ]  # fmt: skip
    return found + [
        Contrast(
            4, "accuracy", measures.ACCURACY,
            Side("winning", results.main, results.last), Side(other, results.main, results.last), None,
            "beside", masked=True,
        )
        for other in (STANDARD, "random-mask")
    ]  # fmt: skip


def fine_tuning(results: Results) -> list[Contrast]:
    """Fine-tuning keeps the labels of low layers and changes those of high ones; the same from scratch beside it."""
    *lower, highest = results.layers
    found = [
        Contrast(
            5, f"units of {layer} keep their label more often than those of {highest}: {recipe}", measures.KEPT,
            Side(recipe, layer, results.last), Side(recipe, highest, results.last), "higher",
            "claim" if recipe == "fine-tuned" and layer == results.layers[0] else "beside",
        )
        for recipe in ("fine-tuned", "scratch")
        for layer in lower
    ]  # fmt: skip
    return found + [
        Contrast(
            5, f"units of {layer} keep their label more often in fine-tuning than from scratch", measures.KEPT,
            Side("fine-tuned", layer, results.last), Side("scratch", layer, results.last), "higher",
            "beside",
        )
        for layer in results.layers
    ]  # fmt: skip


def _main_first(results: Results) -> list[str]:
    return [results.main, *(layer for layer in results.layers if layer != results.main)]


PAPER_CLAIMS = (
    PaperClaim(
        1,
        "In standard training d_anchor falls; in poor training it stays high, and neurons move and spread less",
        "training",
        "d_anchor 0.498 at epoch 0 and 0.402 at epoch 10 (ResNet-18 on Places365); figure 3: in poor training "
        "neurons do not diverge much",
        d_anchor_and_movement,
        ("3",),
    ),
    PaperClaim(
        2,
        "The share of interpretable neurons grows over epochs and with depth, and categories shift from color and "
        "texture to objects",
        "training",
        "figure 2: layers 2 to 4 over epochs",
        depth_and_categories,
        ("2",),
    ),
    PaperClaim(
        3,
        "Adversarial training has more color and texture neurons and fewer object neurons",
        "adversarial",
        "figure 6: standard dog 15, car 11, cat 10; adversarial chequered 14, red 13, striped 12",
        adversarial,
        ("6",),
    ),
    PaperClaim(
        4,
        "A winning ticket makes neurons interpretable at the initial weights, more than a random mask",
        "lottery",
        "",
        lottery,
        (),
    ),
    PaperClaim(
        5,
        "Fine-tuning keeps the concepts of low layers and changes those of high ones",
        "fine-tuning",
        "",
        fine_tuning,
        (),
    ),
)
