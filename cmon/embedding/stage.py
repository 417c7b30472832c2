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

from cmon import trajectories
from cmon.concepts import Concept
from cmon.embedding import advice, fidelity, vectors
from cmon.embedding.distances import nearest
from cmon.embedding.layouts import aligned, anchored, joint
from cmon.embedding.layouts import base as layout
from cmon.embedding.layouts.base import Places, Points
from cmon.embedding.vectors import TextVectors
from cmon.errors import CmonError
from cmon.progress import Progress, silent
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace, is_fresh, read_table, stamp

LAYOUTS = ("anchored", "joint", "aligned", "pca")


@dataclass(frozen=True)
class EmbedSettings:
    """What `cmon embed` was asked for, but where."""

    layout: str = "anchored"
    """One of LAYOUTS."""
    temperature: float = anchored.TEMPERATURE
    """Of the layout 'anchored'; see `anchored.heat_of`."""
    seed: int = 0
    seeds: int = 1
    """Layouts that are made and measured, with the seeds from `seed` on; the first is the one that is written."""
    choice: Choice = field(default_factory=Choice)

    def parameters(self) -> dict[str, Any]:
        """As the tables hold them, flat."""
        found = asdict(self)
        return found | found.pop("choice")


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


@dataclass(frozen=True)
class Content:
    """All that is placed."""

    units: pd.DataFrame
    """run, layer, epoch, unit, status: live or not."""
    live: np.ndarray
    """(L,) rows of `units`."""
    points: Points
    """The L live units."""
    anchors: np.ndarray
    """(A,D)."""
    others: np.ndarray
    """(O,D): scored concepts that are no anchors."""


@dataclass(frozen=True)
class Old:
    """The places of a layout that stays."""

    known: np.ndarray
    """(L,) whether a live unit has an old place."""
    fitted: np.ndarray
    """(L,) whether that was a fit's."""
    places: Places
    """Of the live units, NaN where they have none, and of the anchors."""


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

    anchors: the concepts of interest; None takes all scored concepts that have a category.
    text_vectors: asked only for anchors that were not scored.
    update: what the table `layout` places already stays where it is, and the rest is placed among it.

    Raises CmonError when `score` has not run, there is no anchor, something chosen is not there, or an update is
    asked for that cannot be.
    """
    vocabulary = workspace.read("vocabulary").to_pandas()
    provenance.check_scores(workspace)
    anchors = vectors.listed(anchors, vocabulary)
    given = [asdict(anchor) for anchor in anchors]
    whole = digest(workspace.origin("units"), given, settings.parameters(), schemas.VERSION)
    updated = digest(whole, "updated")
    for origin in (whole, updated) if update else (whole,):
        if all(is_fresh(workspace.table(name), origin) for name in ("layout", "fidelity")):
            return _summary(workspace, made=False)

    with costs.measured(workspace, "embed", "units") as work:
        found = _content(workspace, vocabulary, anchors, text_vectors, settings.choice)
        parameters = {**settings.parameters(), "vocabulary": vectors.identity(vocabulary)}
        parameters["units"] = workspace.origin("units")
        old = _old(workspace, found, given, parameters) if update else None
        origin = whole if old is None else updated
        made = []
        for seed in progress(range(settings.seed, settings.seed + settings.seeds), "placing", settings.seeds):
            places = placed(found, settings, seed, old)
            keys = found.units.iloc[found.live][UNIT_KEYS]
            kept = (places.points, found.anchors, places.anchors)
            made.append((places, fidelity.measure(keys, found.points.vectors, *kept, seed=settings.seed)))
        _write_layout(workspace, found, anchors, made[0][0], old, origin, parameters)
        measured = [fidelity.to_rows(one, settings.seed + number) for number, (_, one) in enumerate(made)]
        said = {**parameters, "sentence": advice.sentence(made[0][1])}
        table = pa.Table.from_pandas(pd.concat(measured), schema=schemas.FIDELITY, preserve_index=False)
        workspace.write(workspace.table("fidelity"), table, origin, said)
        work.items = len(found.live)
    return _summary(workspace, made=True)


def placed(found: Content, settings: EmbedSettings, seed: int, old: Old | None = None) -> Places:
    """All live units and the anchors, by the layout that was asked for.

    Raises CmonError when the layout cannot place units among old ones that stay.
    """
    points, anchors = found.points, found.anchors
    fitted = np.ones(len(found.live), dtype=bool) if old is None else old.fitted
    if settings.layout == "anchored":
        chart = anchored.fit(anchors, found.others, seed, settings.temperature)
        places = Places(chart.at(points.vectors), chart.anchors)
    elif settings.layout == "pca":
        places = layout.pca(points, anchors, fitted)
    elif settings.layout == "joint":
        places = joint.fit(points, anchors, seed) if old is None else _among(found, old)
    elif old is None:
        places = aligned.fit(points, anchors, seed)
    else:
        raise CmonError(
            f"--update: the layout {settings.layout!r} cannot place units among old ones that stay",
            expected="--layout anchored, joint or pca",
            found=f"--layout {settings.layout}",
            hint="without --update, all are placed anew",
        )
    if old is None:
        return places
    return Places(np.where(old.known[:, None], old.places.points, places.points), old.places.anchors)


def _among(found: Content, old: Old) -> Places:
    """The new units by `joint.place`, among the fitted ones and the anchors; NaN for the others, which stay."""
    vectors = found.points.vectors
    stay = np.vstack([vectors[old.fitted], found.anchors])
    where = np.vstack([old.places.points[old.fitted], old.places.anchors])
    places = np.full((len(vectors), 2), np.nan)
    places[~old.known] = joint.place(vectors[~old.known], stay, where)
    return Places(places, old.places.anchors)


def _content(
    workspace: Workspace,
    vocabulary: pd.DataFrame,
    anchors: Sequence[Concept],
    text_vectors: TextVectors,
    choice: Choice,
) -> Content:
    units, live, own = vectors.of_units(workspace, vocabulary, choice)
    rows = units.iloc[live]
    points = Points(
        own,
        rows.groupby(["run", "layer", "unit"]).ngroup().to_numpy(),
        rows["epoch"].to_numpy(dtype=np.float64),
    )
    return Content(units, live, points, *vectors.of_anchors(workspace, vocabulary, anchors, text_vectors))


def _old(
    workspace: Workspace, found: Content, anchors: list[dict[str, Any]], parameters: dict[str, Any]
) -> Old | None:
    """The places that stay; None if there is no layout yet.

    Raises CmonError when the layout that is there was made otherwise, or of other vectors.
    """
    path = workspace.table("layout")
    if not path.is_file():
        return None
    before = stamp(path).get("parameters", {})
    for name in ("layout", "temperature", "seed", "vocabulary"):
        if before.get(name) != parameters[name]:
            if name == "vocabulary":  # its digest tells nobody anything
                raise _not_the_same(
                    "concepts, or another CLIP", "those of then", "those of the scores as they are now"
                )
            raise _not_the_same(name, before.get(name), parameters[name])
    table = read_table(path).to_pandas()
    is_anchor = table["kind"] == "anchor"
    names = [anchor["name"] for anchor in anchors]
    if table.loc[is_anchor, "concept"].tolist() != names:
        raise _not_the_same("anchors", _few(table.loc[is_anchor, "concept"].tolist()), _few(names))
    _check_all_stay(workspace, found, table[~is_anchor])
    own = found.units.iloc[found.live][UNIT_KEYS]
    rows = own.merge(table[~is_anchor], on=UNIT_KEYS, how="left")
    known = rows["x"].notna().to_numpy()
    _, now = nearest(found.points.vectors[known], found.anchors)
    if not np.allclose(now, rows.loc[known, "distance_clip"], atol=1e-5):
        raise _not_the_same("vectors of units", "other scores", "the scores as they are now")
    return Old(
        known,
        (rows["placed"] == "fitted").to_numpy(),
        Places(rows[["x", "y"]].to_numpy(), table.loc[is_anchor, ["x", "y"]].to_numpy()),
    )


def _check_all_stay(workspace: Workspace, found: Content, placed: pd.DataFrame) -> None:
    """Raises CmonError when the choice leaves out units that the layout has, and that are still scored."""
    scored = placed[UNIT_KEYS].merge(workspace.read("units").select(UNIT_KEYS).to_pandas(), on=UNIT_KEYS)
    left_out = len(scored) - len(scored.merge(found.units[UNIT_KEYS], on=UNIT_KEYS))
    if left_out:
        raise CmonError(
            f"--update: {left_out:,} units that are placed already were not chosen",
            expected="a choice of --run, --layer and --epoch that holds all that is placed, and more",
            found="one that leaves them out",
            hint="choose those, too; or place all anew without --update",
        )


def _few(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _not_the_same(name: str, before: Any, now: Any) -> CmonError:
    return CmonError(
        f"--update: the layout that is there was made with other {name}",
        expected=f"{before}",
        found=f"{now}",
        hint="give the same as then, or place all anew without --update",
    )


def _write_layout(
    workspace: Workspace,
    found: Content,
    anchors: Sequence[Concept],
    places: Places,
    old: Old | None,
    origin: str,
    parameters: dict[str, Any],
) -> None:
    names = np.array([anchor.name for anchor in anchors], dtype=object)
    near, distance = nearest(places.points, places.anchors)
    near_clip, distance_clip = nearest(found.points.vectors, found.anchors)
    way = trajectories.links(found.units.iloc[found.live])
    first = np.where(way.previous >= 0, way.first, -1)
    fitted = np.ones(len(found.live), dtype=bool) if old is None else old.fitted
    own = pd.DataFrame(
        {
            "placed": np.where(fitted, "fitted", "placed"),
            "x": places.points[:, 0],
            "y": places.points[:, 1],
            "nearest_anchor": names[near],
            "distance": distance,
            "nearest_anchor_clip": names[near_clip],
            "distance_clip": distance_clip,
            "step_clip": trajectories.lengths(found.points.vectors, way.previous),
            "from_first_clip": trajectories.lengths(found.points.vectors, first),
        },
        index=found.live,  # by row number, not by key: units that are not live get nothing
    )
    top = pd.DataFrame(
        {
            "kind": "anchor",
            "concept": names,
            "category": [anchor.category for anchor in anchors],
            "status": "ok",
            "placed": "fitted",
            "x": places.anchors[:, 0],
            "y": places.anchors[:, 1],
        }
    )
    parts = (top, found.units.assign(kind="unit").join(own))
    table = pa.concat_tables(
        pa.Table.from_pandas(
            part.reindex(columns=schemas.LAYOUT.names), schema=schemas.LAYOUT, preserve_index=False
        )
        for part in parts
    )
    workspace.write(workspace.table("layout"), table, origin, parameters)


def _summary(workspace: Workspace, *, made: bool) -> EmbedResult:
    table = workspace.read("layout").to_pandas()
    units = table[table["kind"] == "unit"]
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
