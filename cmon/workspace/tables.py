"""The tables of a workspace: what each holds, which columns tell its rows apart, and which command makes it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from cmon.workspace import schemas
from cmon.workspace.keys import GROUP, UNIT_KEYS

_ANY = 1
"""The width of a vector differs from workspace to workspace."""


@dataclass(frozen=True)
class Kind:
    """One kind of table."""

    schema: pa.Schema
    """Of the columns; lists of a fixed length may have another one."""
    keys: tuple[str, ...]
    """No two rows have the same values in all of these columns."""
    made_by: str
    """The command, and the option where it takes one."""
    one_row_per: str
    """As documentation says it."""

    @property
    def command(self) -> str:
        return self.made_by.split()[0]


KINDS: dict[str, Kind] = {
    "checkpoints": Kind(schemas.CHECKPOINTS, ("run", "checkpoint"), "extract", "run, checkpoint"),
    "images": Kind(schemas.IMAGES, ("image_id",), "extract", "probe image"),
    "shards": Kind(
        schemas.SHARDS,
        (*GROUP,),
        "extract",
        "run, layer, epoch: the activation files that belong together",
    ),
    "activations": Kind(schemas.activations(_ANY), ("image_id",), "extract", "probe image"),
    "vocabulary": Kind(schemas.vocabulary(_ANY), ("concept",), "score", "concept"),
    "scores": Kind(
        schemas.SCORES,
        (*GROUP,),
        "score",
        "run, layer, epoch: the files of `units` and `concepts` that belong together",
    ),
    "units": Kind(schemas.UNITS, (*UNIT_KEYS,), "score", "run, layer, epoch, unit"),
    "concepts": Kind(
        schemas.CONCEPTS,
        (*UNIT_KEYS, "rank"),
        "score",
        "run, layer, epoch, unit, rank: a unit's best ten",
    ),
    "detections": Kind(
        schemas.DETECTIONS,
        (*UNIT_KEYS, "measure"),
        "score --truth",
        "run, layer, epoch, live unit, measure",
    ),
    "agreement": Kind(schemas.AGREEMENT, (*GROUP, "measure"), "score --truth", "run, layer, epoch, measure"),
    "layout": Kind(
        schemas.LAYOUT, ("kind", *UNIT_KEYS, "concept"), "embed", "anchor; and run, layer, epoch, unit"
    ),
    "fidelity": Kind(schemas.FIDELITY, ("seed", "epoch", "measure"), "embed", "layout seed, measure, epoch"),
    "costs": Kind(schemas.COSTS, ("stage",), "extract", "stage"),
}
"""By name: the file `NAME.parquet`, or the folder `NAME` of files."""
LISTED_IN = {"activations": "shards", "units": "scores", "concepts": "scores"}
"""Of tables that lie in one file for each run, layer and epoch: the table that lists the files."""
