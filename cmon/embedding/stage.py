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
from cmon.embedding.layout_table import layout_table
from cmon.embedding.layouts.base import Layout, Places
from cmon.embedding.layouts.registry import DEFAULT, create_layout
from cmon.embedding.update import place_new_units, read_old_layout
from cmon.embedding.vectors import vocabulary_digest
from cmon.progress import Progress, silent
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace, is_fresh, read_table, stamp


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
    measures: pd.DataFrame
    """Of `fidelity.spread_over_seeds`."""
    sentence: str
    """Of `advice.sentence`."""
    made: bool
    """False if everything was fresh."""


def embed(
    workspace: Workspace,
    anchors: Sequence[Concept] | None,
    text_vectors: TextVectors,
    settings: EmbedSettings,
    progress: Progress = silent,
    *,
    update: bool = False,
) -> EmbedResult:
    """Place all chosen units and the anchors, measure the plane, and write the tables `layout` and `fidelity`.

    anchors: the concepts of interest; None takes `anchors.choose_anchors`' default.
    text_vectors: asked only for anchors that were not scored.
    update: what the table `layout` places already stays where it is, and the rest is placed among it.

    Raises CmonError when `score` has not run, there is no anchor, something chosen is not there, or an update is
    asked for that cannot be.
    """
    vocabulary = workspace.read("vocabulary").to_pandas()
    provenance.check(workspace, "units")
    anchors = choose_anchors(anchors, vocabulary)
    listed = [asdict(anchor) for anchor in anchors]
    origin = digest(workspace.origin("units"), listed, settings.parameters(), schemas.VERSION)
    updated_origin = digest(origin, "updated")
    if _is_made(workspace, origin) or (update and _is_made(workspace, updated_origin)):
        return _result(workspace, made=False)

    with costs.measured(workspace, "embed", "units") as work:
        content = read_content(workspace, vocabulary, anchors, text_vectors, settings.choice)
        parameters = {
            **settings.parameters(),
            "vocabulary": vocabulary_digest(vocabulary),
            "units": workspace.origin("units"),
        }
        old = read_old_layout(workspace, content, anchors, settings.layout, parameters) if update else None
        made: list[tuple[Places, Fidelity]] = []
        for seed in progress(range(settings.seed, settings.seed + settings.seeds), "placing", settings.seeds):
            if old is None:
                places = settings.layout.fit(content.points, content.anchors, content.others, seed)
            else:
                places = place_new_units(content, settings.layout, seed, old)
            made.append((places, _measure(content, places, settings.seed)))
        written = origin if old is None else updated_origin
        fitted = np.ones(len(content.live), dtype=bool) if old is None else old.fitted
        table = layout_table(content, anchors, made[0][0], fitted)
        made_from = {"scores": workspace.origin("scores"), "vocabulary": workspace.origin("vocabulary")}
        workspace.write(workspace.table("layout"), table, written, parameters, made_from)
        _write_fidelity(workspace, [found for _, found in made], settings.seed, written, parameters)
        work.items = len(content.live)
    return _result(workspace, made=True)


def _is_made(workspace: Workspace, origin: str) -> bool:
    return all(is_fresh(workspace.table(name), origin) for name in ("layout", "fidelity"))


def _measure(content: Content, places: Places, seed: int) -> Fidelity:
    """seed: of the samples, the same for all layouts."""
    return fidelity.measure(
        content.keys, content.points.vectors, places.points, content.anchors, places.anchors, seed=seed
    )


def _write_fidelity(
    workspace: Workspace, measured: Sequence[Fidelity], seed: int, origin: str, parameters: dict[str, Any]
) -> None:
    """The measures of layouts with the seeds from `seed` on; the sentence is about the first, which is written."""
    rows = pd.concat([fidelity.to_rows(found, seed + number) for number, found in enumerate(measured)])
    table = pa.Table.from_pandas(rows, schema=schemas.FIDELITY, preserve_index=False)
    said = {**parameters, "sentence": advice.sentence(measured[0])}
    workspace.write(workspace.table("fidelity"), table, origin, said, {"layout": origin})


def _result(workspace: Workspace, *, made: bool) -> EmbedResult:
    """Read off the tables as they are written."""
    table = workspace.read("layout").to_pandas()
    units = table[table["kind"] == "unit"]
    warn_of_taken(units)
    placed = int(units["x"].notna().sum())
    path = workspace.table("fidelity")
    return EmbedResult(
        anchors=int((table["kind"] == "anchor").sum()),
        placed=placed,
        left_out=len(units) - placed,
        added=int((units["placed"] == "placed").sum()),
        measures=fidelity.spread_over_seeds(read_table(path).to_pandas()),
        sentence=stamp(path)["parameters"]["sentence"],
        made=made,
    )
