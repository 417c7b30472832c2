"""Agreement: how often labels are right, where it is known what the images show.

tables `units`, `concepts`, activations; annotated images --detection--> the concept that each live unit detects best
that concept, the unit's top concepts --> agreement; tables `detections`, `agreement`

CLIP has no part in what a unit is measured to detect, so a label that CLIP sees in the images and that is not
there counts as wrong. There are three measures of detection, and a label need not be the best concept by all of them:

- `auprc`: average precision. It starts at the share of images that show the concept, so that for a unit that
  detects something rare badly, and for one that detects nothing, the most frequent concept is best.
- `auprc over chance`: (AUPRC - share) / (1 - share), 0 for a unit that says nothing, whatever the share.
- `correlation`: Pearson's, of activation and presence.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.errors import CmonError
from cmon.evaluation import detection
from cmon.evaluation.annotations import Annotations, Presence, look_up
from cmon.evaluation.intervals import wilson
from cmon.progress import Progress, silent
from cmon.workspace import schemas
from cmon.workspace.files import digest, file_digest
from cmon.workspace.keys import GROUP, UNIT_KEYS, sort_rows
from cmon.workspace.table_files import is_fresh, read_table
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

MEASURES = ("auprc", "auprc over chance", "correlation")
CLEAR = 0.3
"""A unit whose best correlation is at most this detects no annotated concept clearly: its label is neither right nor
wrong, and does not count."""
FEWEST = 5
"""A concept that fewer images show, or do not show, is not compared: any unit may match it by accident."""


@dataclass(frozen=True)
class AgreementResult:
    """What was compared."""

    agreement: pa.Table
    """The table of that name."""
    images: int
    """Annotated probe images."""
    concepts: int
    """Scored concepts that are annotated and shown by enough images."""
    others: int
    """Scored concepts that are not: a label of these counts as wrong."""
    made: bool
    """False if everything was up to date."""


def measure(
    workspace: Workspace,
    annotations: Annotations,
    progress: Progress = silent,
) -> AgreementResult:
    """Compare all labels of the workspace with the annotations, and write the tables `detections` and `agreement`.

    Raises CmonError when `score` has not run, or no image or no concept is annotated.
    """
    probe = [row["path"] for row in workspace.read("images").to_pylist() if row["status"] == "ok"]
    names = workspace.read("vocabulary")["concept"].to_pylist()
    found = look_up(annotations, probe, names)
    shown = found.present[found.known].sum(axis=0)
    compared = found.annotated & (np.minimum(shown, found.known.sum() - shown) >= FEWEST)
    if not compared.any():
        raise CmonError(
            f"{annotations.source}: no concept can be compared",
            expected=f"concepts that at least {FEWEST} images show, and as many do not",
            found=f"{int(found.annotated.sum())} concepts on {int(found.known.sum())} images",
        )
    origin = digest(
        workspace.origin("units"), file_digest(annotations.source), CLEAR, FEWEST, schemas.VERSION
    )
    paths = [workspace.table(name) for name in ("detections", "agreement")]
    made = not all(is_fresh(path, origin) for path in paths)
    if made:
        if missing := int((~found.known).sum()):
            logger.warning(
                "%s: tells nothing of %d of the %d images", annotations.source, missing, len(probe)
            )
        detections = _detection_table(workspace, found, np.flatnonzero(compared), names, progress)
        units = workspace.read("units").select([*UNIT_KEYS, "status"]).to_pandas()
        tables = [(detections, schemas.DETECTIONS), (agreement_table(units, detections), schemas.AGREEMENT)]
        for path, (frame, schema) in zip(paths, tables, strict=True):
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            workspace.write(
                path, table, origin, {"truth": str(annotations.source), "clear": CLEAR, "fewest": FEWEST}
            )
    counts = int(found.known.sum()), int(compared.sum()), int((~compared).sum())
    return AgreementResult(read_table(paths[1]), *counts, made=made)


def agreement_table(units: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    """The table `agreement`: how often labels are what the units detect, per run, layer, epoch and measure.

    units, detections: the tables of those names, `units` with all its units. `n_units` counts all, `n_live` those
    with a label, `n_clear` those that detect a concept clearly; the rest is over these. `top1`: share whose label is
    the best concept by the measure, or one that the same images show; `top5`: share with such a concept among the
    top five; with Wilson's 95 % intervals.
    `value`, `value_of_label`: means of the measure, for that concept and for the label (where it is compared).
    """
    rows = []
    by_measure = dict(list(detections.groupby([*GROUP, "measure"])))
    for key, rows_of_layer in sort_rows(units).groupby(GROUP, sort=False):
        for name in MEASURES:
            found = by_measure.get((*key, name), detections.iloc[:0])
            clear = found[found["clear"]]
            row = {**dict(zip(GROUP, key, strict=True)), "measure": name}
            row |= {"n_units": len(rows_of_layer), "n_live": len(found), "n_clear": len(clear)}
            for kind, ranks in (("top1", 1), ("top5", 5)):
                hits = int((clear["rank"] < ranks).sum())
                low, high = wilson(hits, len(clear))
                row |= {
                    kind: hits / len(clear) if len(clear) else np.nan,
                    f"{kind}_low": low,
                    f"{kind}_high": high,
                }
            rows.append(row | {what: clear[what].mean() for what in ("value", "value_of_label")})
    return pd.DataFrame(rows, columns=schemas.AGREEMENT.names)


def measure_detection(activations: np.ndarray, present: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of every unit and concept: from (N,K) and (N,C) bool, no column all False, to (K,C)."""
    share = present.mean(axis=0)
    auprc = detection.average_precision(activations, present)
    correlation = detection.correlation(activations, present)
    return dict(zip(MEASURES, (auprc, (auprc - share) / (1 - share), correlation), strict=True))


def _detection_table(
    workspace: Workspace,
    found: Presence,
    compared: np.ndarray,
    names: list[str],
    progress: Progress,
) -> pd.DataFrame:
    """The table `detections`. compared: (C',) positions among all concepts, whose names are given."""
    columns = ["concept", "rank"]
    tops = {
        key: rows
        for key, rows in workspace.read("concepts").select([*UNIT_KEYS, *columns]).to_pandas().groupby(GROUP)
    }
    position = {name: number for number, name in enumerate(names)}
    place = np.full(len(names), -1)  # of a concept among the compared ones
    place[compared] = np.arange(len(compared))
    present = found.present[np.ix_(found.known, compared)]
    frames = []
    shards = workspace.read("shards").to_pylist()
    for shard in progress(shards, "comparing with the truth", len(shards)):
        top = tops.get((shard["run"], shard["layer"], shard["epoch"]))
        if top is None:
            continue  # no unit is live
        live = top.loc[top["rank"] == 0, "unit"].to_numpy()
        index = top["concept"].map(position).to_numpy().reshape(len(live), -1)
        path = workspace.activations(shard["run"], shard["layer"], shard["epoch"])
        activations = schemas.matrix(read_table(path)["activations"])[found.known][:, live]
        values = measure_detection(activations, present)
        clear = values["correlation"].max(axis=1) > CLEAR
        for name, table in values.items():
            frames.append(
                _compare_labels(table, index, compared, place, names).assign(
                    run=shard["run"],
                    layer=shard["layer"],
                    epoch=shard["epoch"],
                    unit=live,
                    measure=name,
                    clear=clear,
                )
            )
    return (
        pd.concat(frames)[schemas.DETECTIONS.names]
        if frames
        else schemas.DETECTIONS.empty_table().to_pandas()
    )


def _compare_labels(
    values: np.ndarray, top: np.ndarray, compared: np.ndarray, place: np.ndarray, names: list[str]
) -> pd.DataFrame:
    """values: (L,C') of one measure; top: (L,R) each unit's top concepts, as positions among all."""
    rows = np.arange(len(values))
    best = values.argmax(axis=1)
    of_top = np.where(place[top] >= 0, values[rows[:, None], place[top]], -np.inf)
    # Two concepts that the same images show are equally right.
    hit = of_top >= values[rows, best][:, None] - 1e-9
    label = place[top[:, 0]]
    return pd.DataFrame(
        {
            "concept": [names[number] for number in compared[best]],
            "value": values[rows, best],
            "label": [names[number] for number in top[:, 0]],
            "value_of_label": np.where(label >= 0, values[rows, label], np.nan),
            "rank": pd.array(np.where(hit.any(axis=1), hit.argmax(axis=1), -1), dtype="Int32"),
        }
    ).assign(rank=lambda frame: frame["rank"].mask(frame["rank"] < 0))
