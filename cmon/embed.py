"""Stage 3: one plane for all units of all runs, layers and epochs, and the anchors.

tables `concepts`, `vocabulary` --scores as weights--> unit vectors in CLIP's space
anchors --UMAP--> their places; units --weights by cosine to the anchors--> theirs; table `layout`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon import costs, layout, schemas, statistics
from cmon.concepts import Concept, with_category
from cmon.errors import CmonError
from cmon.store import Workspace, digest, is_fresh, read_table

KEYS = ["run", "layer", "epoch", "unit"]


@dataclass(frozen=True)
class Settings:
    """What `cmon embed` was asked for, but where."""

    perplexity: float = layout.PERPLEXITY
    seed: int = 0


@dataclass(frozen=True)
class Summary:
    """What was placed."""

    anchors: int
    placed: int
    """Units of all runs, layers and epochs that have a place."""
    left_out: int
    """Units that have none, since they have no label."""
    made: bool
    """False if everything was fresh."""


def embed(
    workspace: Workspace,
    anchors: Sequence[Concept] | None,
    text_vectors: Callable[[Mapping[str, Any], Sequence[str]], np.ndarray],
    settings: Settings,
    progress: Callable[..., Iterable[Any]] = lambda items, *_: items,
) -> Summary:
    """Place all units and anchors, and write the table `layout`.

    anchors: the concepts of interest; None takes all scored concepts that have a category.
    text_vectors: from (the parameters of `score`, C texts) to (C,D) unit vectors; asked only for anchors
    that were not scored.

    Raises CmonError when `score` has not run, or there is no anchor.
    """
    vocabulary = workspace.read("vocabulary").to_pandas()
    if anchors is None:
        scored = workspace.read("vocabulary").select(["concept", "category"]).to_pylist()
        anchors = with_category([Concept(row["concept"], row["category"]) for row in scored])
    if not anchors:
        raise CmonError(
            "there is no anchor",
            expected="concepts with a category, or a list of anchors",
            found=f"{len(vocabulary)} concepts, none with a category",
            hint="give a list: --anchors FILE",
        )
    key = digest(
        workspace.key("units"), [asdict(anchor) for anchor in anchors], asdict(settings), schemas.VERSION
    )
    path = workspace.table("layout")
    if is_fresh(path, key):
        return _summary(read_table(path).to_pandas(), made=False)

    with costs.measured(workspace, "embed", "units") as work:
        steps = iter(progress(range(3), "placing", 3))
        next(steps)
        anchor_vectors = _anchor_vectors(workspace, vocabulary, anchors, text_vectors)
        anchor_places = layout.place_anchors(anchor_vectors, settings.seed)
        next(steps)
        units = workspace.read("units").select([*KEYS, "status"]).to_pandas()
        vectors, live = _unit_vectors(workspace, vocabulary, units)
        heat = layout.temperature(anchor_vectors, settings.perplexity) if len(anchors) > 1 else 1.0
        places = layout.place_units(vectors, anchor_vectors, anchor_places, heat)
        next(steps)
        names = np.array([anchor.name for anchor in anchors], dtype=object)
        placed = _placed(units, live, vectors, places, names, anchor_vectors, anchor_places)
        parameters = {**asdict(settings), "layout": "anchored", "temperature": heat}
        table = pa.Table.from_pandas(
            pd.concat([_anchor_rows(anchors, anchor_places), placed]),
            schema=schemas.LAYOUT,
            preserve_index=False,
        )
        workspace.write(path, table, key, parameters)
        work.items = len(live)
        next(steps, None)
    return _summary(table.to_pandas(), made=True)


def _anchor_vectors(
    workspace: Workspace,
    vocabulary: pd.DataFrame,
    anchors: Sequence[Concept],
    text_vectors: Callable[[Mapping[str, Any], Sequence[str]], np.ndarray],
) -> np.ndarray:
    """(A,D) unit vectors: the vocabulary's, or CLIP's for anchors that are not in it."""
    known = dict(zip(vocabulary["concept"].str.casefold(), vocabulary["vector"], strict=True))
    missing = [anchor.name for anchor in anchors if anchor.name.casefold() not in known]
    if missing:
        vectors = text_vectors(workspace.parameters("vocabulary"), missing)
        known |= zip((name.casefold() for name in missing), vectors, strict=True)
    return np.stack([known[anchor.name.casefold()] for anchor in anchors]).astype(np.float64)


def _unit_vectors(
    workspace: Workspace, vocabulary: pd.DataFrame, units: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """(L,D) vectors of the live units, and their (L,) rows in `units`."""
    live = np.flatnonzero(units["status"] == "ok")
    concepts = workspace.read("concepts").select([*KEYS, "rank", "concept", "score"]).to_pandas()
    ranks = int(concepts["rank"].max()) + 1 if len(concepts) else 1
    if len(concepts) != ranks * len(live):  # both are written by `score`, in the same order
        raise CmonError(
            "the tables 'units' and 'concepts' do not belong together",
            expected=f"{ranks} concepts for each of {len(live)} units",
            found=f"{len(concepts)} rows",
            hint=f"run `cmon score {workspace.root}` again",
        )
    position = pd.Series(np.arange(len(vocabulary)), index=vocabulary["concept"])
    index = position[concepts["concept"]].to_numpy().reshape(len(live), ranks)
    scores = concepts["score"].to_numpy(dtype=np.float64).reshape(len(live), ranks)
    texts = np.stack(vocabulary["vector"].to_list()).astype(np.float64)
    vectors = np.empty((len(live), texts.shape[1]))
    for start in range(0, len(live), 4096):  # (4096, ranks, D) at a time
        block = slice(start, start + 4096)
        vectors[block] = layout.unit_vectors(scores[block], texts[index[block]])
    return vectors, live


def _placed(
    units: pd.DataFrame,
    live: np.ndarray,
    vectors: np.ndarray,
    places: np.ndarray,
    names: np.ndarray,
    anchor_vectors: np.ndarray,
    anchor_places: np.ndarray,
) -> pd.DataFrame:
    near, distance = statistics.nearest(places, anchor_places)
    near_clip, distance_clip = statistics.nearest(vectors, anchor_vectors)
    table = units.assign(kind="unit", concept=None, category=None)
    for name, values in (
        ("x", places[:, 0]),
        ("y", places[:, 1]),
        ("nearest_anchor", names[near]),
        ("distance", distance),
        ("nearest_anchor_clip", names[near_clip]),
        ("distance_clip", distance_clip),
    ):
        # By row number, not by key: units that are not live get nothing.
        table[name] = pd.Series(values, index=units.index[live])
    return table


def _anchor_rows(anchors: Sequence[Concept], places: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": "anchor",
            "concept": [anchor.name for anchor in anchors],
            "category": [anchor.category for anchor in anchors],
            "status": "ok",
            "x": places[:, 0],
            "y": places[:, 1],
        }
    ).reindex(columns=schemas.LAYOUT.names)


def _summary(table: pd.DataFrame, *, made: bool) -> Summary:
    units = table[table["kind"] == "unit"]
    placed = int(units["x"].notna().sum())
    return Summary(int((table["kind"] == "anchor").sum()), placed, len(units) - placed, made)
