"""Stage 3: one plane for all units of all runs, layers and epochs, and the anchors.

tables `concepts`, `vocabulary` --scores as weights--> unit vectors in CLIP's space
unit vectors, anchors --one of the layouts--> their places; table `layout`
vectors against places --> how far the plane may be believed; table `fidelity`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.concepts import Concept
from cmon.embedding import advice, fidelity
from cmon.embedding.anchors import TextVectors, choose_anchors, warn_of_taken
from cmon.embedding.content import Content, read_content
from cmon.embedding.fidelity import Fidelity
from cmon.embedding.growing import (
    Changed,
    OldLayout,
    distance_from_fit,
    fingerprint,
    place_new_units,
    read_old_layout,
)
from cmon.embedding.layout_table import layout_table
from cmon.embedding.layouts.base import Layout, Places, UpdatableLayout
from cmon.embedding.layouts.registry import DEFAULT, create_layout
from cmon.embedding.vectors import vocabulary_digest
from cmon.progress import Progress, silent
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.selection import Choice
from cmon.workspace.table_files import is_fresh, read_table, stamp
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class EmbedSettings:
    """How the plane is made, and of which units."""

    layout: Layout = field(default_factory=lambda: create_layout(DEFAULT))
    seed: int = 0
    seeds: int = 1
    """Layouts that are made and measured, with the seeds from `seed` on; the first is the one that is written."""
    choice: Choice = field(default_factory=Choice)

    def parameters(self) -> dict[str, Any]:
        """As the tables hold them, flat: the layout's name, its own options, and the rest."""
        layout = {"layout": self.layout.name, **asdict(self.layout)}
        return layout | {"seed": self.seed, "seeds": self.seeds} | asdict(self.choice)


@dataclass(frozen=True)
class EmbedResult:
    """What was placed, and how far the plane may be believed."""

    anchors: int
    placed: int
    """Units of all chosen runs, layers and epochs that have a place."""
    left_out: int
    """Units that have none, since they have no label."""
    added: int
    """Of those placed, how many were placed among others that stayed."""
    off_fit: float
    """How far from its place in a fit such a unit lies, of `growing.distance_from_fit`; NaN if none was added."""
    measures: pd.DataFrame
    """Of `fidelity.spread_over_seeds`."""
    sentence: str
    """Of `advice.sentence`."""
    made: bool
    """False if everything was fresh."""
    changed: str = ""
    """Why the places that were there did not stay; empty if they did, or there were none."""


def embed(
    workspace: Workspace,
    anchors: Sequence[Concept] | None,
    text_vectors: TextVectors,
    settings: EmbedSettings,
    progress: Progress = silent,
    *,
    refit: bool = False,
) -> EmbedResult:
    """Place all chosen units and the anchors, measure the plane, and write the tables `layout` and `fidelity`.

    anchors: the concepts of interest; None takes `anchors.choose_anchors`' default.
    text_vectors: asked only for anchors that were not scored.
    refit: fit all anew. Else, where epochs, runs or layers were only added to what the table `layout` places, and the
    options are the same, that stays where it is and the rest is placed among it.

    Raises CmonError when `score` has not run, there is no anchor, or something chosen is not there.
    """
    vocabulary = workspace.read("vocabulary").to_pandas()
    provenance.check(workspace, "units")
    anchors = choose_anchors(anchors, vocabulary)
    listed = [asdict(anchor) for anchor in anchors]
    origin = digest(workspace.origin("units"), listed, settings.parameters(), schemas.VERSION)
    grown_origin = digest(origin, "grown")
    if _is_made(workspace, origin) or (not refit and _is_made(workspace, grown_origin)):
        return _result(workspace, made=False)

    with costs.measured(workspace, "embed", "units") as work:
        content = read_content(workspace, vocabulary, anchors, text_vectors, settings.choice)
        parameters = {
            **settings.parameters(),
            "vocabulary": vocabulary_digest(vocabulary),
            "units": workspace.origin("units"),
            "scores": fingerprint(content.fingerprints),
        }
        old = None if refit else read_old_layout(workspace, content, anchors, settings.layout, parameters)
        if isinstance(old, OldLayout) and settings.seeds > 1:
            old = Changed(f"{settings.seeds} layouts were asked for")
        if isinstance(old, OldLayout):
            _grow(workspace, content, anchors, settings, old, grown_origin, parameters)
        else:
            _fit(workspace, content, anchors, settings, origin, parameters, progress)
        work.items = len(content.live)
    return _result(workspace, made=True, changed=old.reason if isinstance(old, Changed) else "")


def _fit(
    workspace: Workspace,
    content: Content,
    anchors: Sequence[Concept],
    settings: EmbedSettings,
    origin: str,
    parameters: dict[str, Any],
    progress: Progress,
) -> None:
    """A layout for each seed; the first is written, and the measures of all."""
    made: list[tuple[Places, Fidelity]] = []
    for seed in progress(range(settings.seed, settings.seed + settings.seeds), "placing", settings.seeds):
        places = settings.layout.fit(content.points, content.anchors, content.others, seed)
        made.append((places, _measure(content, places, settings.seed)))
    by_fit = np.ones(len(content.live), dtype=bool)
    table = layout_table(content, anchors, made[0][0], by_fit)
    _write(workspace, table, [found for _, found in made], settings.seed, origin, parameters)


def _grow(
    workspace: Workspace,
    content: Content,
    anchors: Sequence[Concept],
    settings: EmbedSettings,
    old: OldLayout,
    origin: str,
    parameters: dict[str, Any],
) -> None:
    """The old places stay, and the rest is placed among them."""
    assert isinstance(settings.layout, UpdatableLayout)  # else there is no OldLayout
    places = place_new_units(content, settings.layout, settings.seed, old)
    off_fit = distance_from_fit(content, settings.layout, settings.seed, old)
    parameters = {**parameters, "off_fit": off_fit if np.isfinite(off_fit) else None}
    table = layout_table(content, anchors, places, old.by_fit)
    _write(workspace, table, [_measure(content, places, settings.seed)], settings.seed, origin, parameters)


def _is_made(workspace: Workspace, origin: str) -> bool:
    return all(is_fresh(workspace.table(name), origin) for name in ("layout", "fidelity"))


def _measure(content: Content, places: Places, seed: int) -> Fidelity:
    """seed: of the samples, the same for all layouts."""
    return fidelity.measure(
        content.keys, content.points.vectors, places.points, content.anchors, places.anchors, seed=seed
    )


def _write(
    workspace: Workspace,
    layout: pa.Table,
    measured: Sequence[Fidelity],
    seed: int,
    origin: str,
    parameters: dict[str, Any],
) -> None:
    """The table `layout`, and `fidelity` with the measures of layouts with the seeds from `seed` on; its sentence is
    about the first, which is the one that is written."""
    made_from = {"scores": workspace.origin("scores"), "vocabulary": workspace.origin("vocabulary")}
    workspace.write(workspace.table("layout"), layout, origin, parameters, made_from)
    rows = pd.concat([fidelity.to_rows(found, seed + number) for number, found in enumerate(measured)])
    table = pa.Table.from_pandas(rows, schema=schemas.FIDELITY, preserve_index=False)
    said = {**parameters, "sentence": advice.sentence(measured[0])}
    workspace.write(workspace.table("fidelity"), table, origin, said, {"layout": origin})


def _result(workspace: Workspace, *, made: bool, changed: str = "") -> EmbedResult:
    """Read off the tables as they are written."""
    table = workspace.read("layout").to_pandas()
    units = table[table["kind"] == "unit"]
    warn_of_taken(units)
    placed = int(units["x"].notna().sum())
    path = workspace.table("fidelity")
    off_fit = workspace.parameters("layout").get("off_fit")
    return EmbedResult(
        anchors=int((table["kind"] == "anchor").sum()),
        placed=placed,
        left_out=len(units) - placed,
        added=int((units["placed"] == "placed").sum()),
        off_fit=float("nan") if off_fit is None else off_fit,
        measures=fidelity.spread_over_seeds(read_table(path).to_pandas()),
        sentence=stamp(path)["parameters"]["sentence"],
        made=made,
        changed=changed,
    )
