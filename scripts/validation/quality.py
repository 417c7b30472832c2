"""Is the label the concept that the unit detects? All functions and priors, planted and trained units, distractors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmon.evaluation.agreement import CLEAR, MEASURES
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.wpmi import SoftWPMI
from scripts.validation.ground import CANDIDATES, SOFT, Evidence, Ground, labelled, scored
from scripts.validation.tables import Tables

ABSENT = 10
"""Objects whose images are left out, for the distractors that CLIP knows."""
STRANGERS = Path(__file__).parents[1] / "demo" / "strangers.txt"


@dataclass(frozen=True)
class Case:
    """Some units, and the concepts that are right for them."""

    name: str
    ground: Ground
    activations: np.ndarray
    """(N,K)"""
    right: dict[str, np.ndarray]
    """By how it is known: (K,C) bool. For planted units 'planted'; for a network's, each of MEASURES."""
    counted: np.ndarray
    """(K,) bool: of which units the label counts."""


def planted_cases(ground: Ground, each: int, seed: int) -> list[Case]:
    """`each` units for every concept, or one concept on two thirds of the units."""
    concepts = len(ground.names)
    even = np.tile(np.arange(concepts), each)
    common = int(np.argmax(ground.present.sum(axis=0) * (ground.categories == "object")))
    others = np.delete(np.arange(concepts), common)
    skewed = np.concatenate([np.full(2 * len(others), common), others])
    shown = ground.present.astype(float)
    kinds = [("present", shown, even, noise) for noise in (0, 0.5, 1, 2)]
    kinds += [("CLIP", ground.similarities, even, noise) for noise in (0, 1, 3)]
    kinds += [(f"2/3 {ground.names[common]}", shown, skewed, noise) for noise in (0, 1)]
    cases = []
    for number, (name, signal, units, noise) in enumerate(kinds):
        activations = ground.planted(signal[:, units], noise, seed + number)
        everyone = np.ones(len(units), dtype=bool)
        cases.append(
            Case(f"{name} + {noise:g}", ground, activations, {"planted": ground.same[units]}, everyone)
        )
    return cases


def trained_case(ground: Ground, run: str, layer: str, epoch: float) -> Case:
    """A network's units; right is what has the best measure, and what the same images show."""
    activations = ground.activations(run, layer, epoch)
    values = ground.measured(activations)
    right = {name: values[name] >= values[name].max(axis=1)[:, None] - 1e-9 for name in MEASURES}
    return Case(f"{run} {layer}", ground, activations, right, values["correlation"].max(axis=1) > CLEAR)


Tops = list[tuple[str, str, np.ndarray]]
"""(function, prior, (K,5) best concepts)."""


def top_concepts(case: Case) -> Tops:
    """For every function and prior, and the candidates."""
    found = []
    for name, kind in SIMILARITIES.items():
        for prior in PRIORS:
            (labels,) = labelled(case.ground, kind(), prior, [case.activations])
            found.append((name, prior, labels.concepts[:, :5].numpy()))
    return found + [top for top in of_evidence(case, SOFT) if top[1] in CANDIDATES]


def of_evidence(case: Case, function: SoftWPMI) -> Tops:
    """For the priors that need only random image orders."""
    source = Evidence(case.ground, function)
    null, evidence = source.of_orders(None, seed=0), source.of(case.activations)
    return [
        (function.name, prior, scored(prior, null, evidence).topk(5, dim=1).indices.numpy())
        for prior in ("null", "standardized", *CANDIDATES)
    ]


def tell(tables: Tables, cases: list[Case], tops: list[Tops], how: str, **more: object) -> None:
    """A table with a row for each function and prior and a column for each case: top-1 and top-5 agreement."""
    rows: dict[tuple[str, str], list[str]] = {}
    for case, some in zip(cases, tops, strict=True):
        for function, prior, top in some:
            hit = np.take_along_axis(case.right[how], top, axis=1)[case.counted]
            of = {"units": case.name, "right": how, "function": function, "prior": prior, **more}
            first = tables.share("top-1", int(hit[:, 0].sum()), len(hit), **of)
            tables.share("top-5", int(hit.any(axis=1).sum()), len(hit), **of)
            five = f"{hit.any(axis=1).mean():.2f}" if len(hit) else ""
            rows.setdefault((function, prior), []).append(f"{first} {five}")
    header = ["function", "prior", *(case.name for case in cases)]
    tables.table(header, [[*key, *cells] for key, cells in rows.items()])


def distractors(tables: Tables, ground: Ground, run: str, layer: str, epoch: float, seed: int) -> None:
    """The same labels from lists that hold words which no image shows."""
    words = sorted(set(STRANGERS.read_text().split()) - {name.casefold() for name in ground.names})
    objects = np.flatnonzero(ground.categories == "object")
    absent = np.random.default_rng(seed).choice(objects, size=min(ABSENT, len(objects) // 2), replace=False)
    left = ground.without(absent)
    lists = {
        "the world's concepts": ground,
        f"and {len(words)} words that no caption of the CLIP had": ground.with_words(words),
        f"{len(absent)} of the objects are in none of {len(left.present):,} images": left,
    }
    rows = []
    for name, some in lists.items():
        foreign = np.logical_not(some.present.any(axis=0))
        shown = np.flatnonzero(~foreign)
        units = np.tile(shown, 5)
        planted = some.planted(some.present[:, units].astype(float), 1, seed)
        for kind, activations, right, counted in (
            ("planted, noise 1", planted, some.same[units], np.ones(len(units), dtype=bool)),
            (f"{run} {layer}", *_network(some, run, layer, epoch)),
        ):
            (labels,) = labelled(some, SOFT, "null", [activations])
            top = labels.concepts[:, :5].numpy()[counted]
            hit = np.take_along_axis(right[counted], top, axis=1)
            of = {"list": name, "units": kind}
            rows.append(
                [
                    name,
                    kind,
                    str(len(hit)),
                    tables.share("distractors, top-1", int(hit[:, 0].sum()), len(hit), **of),
                    tables.share("distractors, top-5", int(hit.any(axis=1).sum()), len(hit), **of),
                    tables.share(
                        "labels that are distractors", int(foreign[top[:, 0]].sum()), len(hit), **of
                    ),
                ]
            )
    tables.table(["concepts", "units", "n", "top-1", "top-5", "label is a distractor"], rows)


def _network(ground: Ground, run: str, layer: str, epoch: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    case = trained_case(ground, run, layer, epoch)
    return case.activations, case.right["correlation"], case.counted
