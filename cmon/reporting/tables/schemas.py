"""One explicit schema per table of the report; each column says what it holds, see `schemas.column`."""

from __future__ import annotations

import pyarrow as pa

from cmon.workspace.schemas import (
    COSTS as COSTS,  # these two are the workspace's own tables, shown in the report too
)
from cmon.workspace.schemas import FIDELITY as FIDELITY
from cmon.workspace.schemas import GROUP_FIELDS, LAYER, RUN, UNIT, column


def _bounds(name: str, meaning: str) -> list[pa.Field]:
    return [
        column(name, pa.float64(), f"{meaning}; empty where no unit is live", null=True),
        column(f"{name}_low", pa.float64(), f"lower end of the bootstrap interval of `{name}`", null=True),
        column(f"{name}_high", pa.float64(), f"upper end of the bootstrap interval of `{name}`", null=True),
    ]


_N_UNITS = column("n_units", pa.int32(), "all units of the layer, dead ones included")

D_ANCHOR = pa.schema(
    [
        *GROUP_FIELDS,
        *_bounds(
            "d_anchor",
            "mean distance from the live units to their nearest anchor, in the plane, where 1 is the anchors' "
            "RMS distance from their centroid",
        ),
        *_bounds("d_anchor_clip", "the same between unit vectors of CLIP's text space, 0 to 2"),
        _N_UNITS,
        column("n_live", pa.int32(), "units with status `ok`"),
        column(
            "n_dead", pa.int32(), "units with status `dead`; constant, tied and non-finite ones are the rest"
        ),
        column("n_interpretable", pa.int32(), "units whose label beats chance"),
    ]
)

INTERPRETABLE = pa.schema(
    [
        *GROUP_FIELDS,
        column("category", pa.string(), "of the label; `no category` where the concept list gives none"),
        column("units", pa.int32(), "interpretable units whose label is of this category"),
        _N_UNITS,
        column("share", pa.float64(), "`units` / `n_units`, 0 to 1"),
    ]
)

CONCEPT_COUNTS = pa.schema(
    [
        *GROUP_FIELDS,
        column("concept", pa.string(), "a label of interpretable units"),
        column("category", pa.string(), "of the concept", null=True),
        column("units", pa.int32(), "interpretable units with this label"),
        _N_UNITS,
        column("share", pa.float64(), "`units` / `n_units`, 0 to 1"),
    ]
)

CONCEPT_DIFFERENCES = pa.schema(
    [
        LAYER,
        column("kind", pa.string(), "`concept`, `category`, or `all`: interpretable units under any label"),
        column("name", pa.string(), "the concept or the category"),
        column("run", pa.string(), "the one side: a run"),
        column("epoch", pa.float64(), "and its epoch: the last that all runs have, or else its own last"),
        column("other_run", pa.string(), "the other side: the first run, or with a single run itself"),
        column("other_epoch", pa.float64(), "and its epoch; with a single run its first"),
        column("units", pa.int32(), "interpretable units of `run` under this concept or category"),
        column("n_units", pa.int32(), "all units of the layer in `run`"),
        column("share", pa.float64(), "`units` / `n_units`, 0 to 1"),
        column("other_units", pa.int32(), "`units` on the other side"),
        column("other_n_units", pa.int32(), "`n_units` on the other side"),
        column("other_share", pa.float64(), "`share` on the other side, 0 to 1"),
        column("p_value", pa.float64(), "of Fisher's exact test, two-sided, that the two shares are equal"),
        column("q_value", pa.float64(), "smallest false discovery rate, over all rows, at which it differs"),
        column("differs", pa.bool_(), "whether `q_value` is at most 0.05"),
    ]
)

_LENGTH = "where 1 is the anchors' RMS distance from their centroid"

COMPARISON = pa.schema(
    [
        column("reference", pa.string(), "the run that was given first"),
        column("run", pa.string(), "the other run"),
        *GROUP_FIELDS[1:],
        column(
            "difference",
            pa.float64(),
            "d_anchor of `run` minus d_anchor of `reference`; empty where a run has no live unit",
            null=True,
        ),
        column("difference_low", pa.float64(), "lower end of its bootstrap interval", null=True),
        column("difference_high", pa.float64(), "upper end of its bootstrap interval", null=True),
        column(
            "d_prime", pa.float64(), "the difference over the standard deviation between units", null=True
        ),
        column("difference_clip", pa.float64(), "the same difference of d_anchor_clip", null=True),
        column("difference_clip_low", pa.float64(), "lower end of its bootstrap interval", null=True),
        column("difference_clip_high", pa.float64(), "upper end of its bootstrap interval", null=True),
        column(
            "d_prime_clip",
            pa.float64(),
            "the difference over the standard deviation between units",
            null=True,
        ),
        column("n_reference", pa.int32(), "live units of `reference`"),
        column("n_run", pa.int32(), "live units of `run`"),
        column(
            "paired",
            pa.bool_(),
            "whether both runs started from the same weights, and so are compared unit by unit",
        ),
    ]
)

MOVEMENT = pa.schema(
    [
        *GROUP_FIELDS,
        column(
            "step",
            pa.float64(),
            f"mean displacement in the plane since the previous epoch, {_LENGTH}",
            null=True,
        ),
        column("from_first", pa.float64(), "mean displacement since the first epoch", null=True),
        column("path_length", pa.float64(), "mean length of the units' ways so far", null=True),
        column("step_clip", pa.float64(), "as `step`, in CLIP's text space between unit vectors", null=True),
        column("from_first_clip", pa.float64(), "as `from_first`, in CLIP's text space", null=True),
        column("path_length_clip", pa.float64(), "as `path_length`, in CLIP's text space", null=True),
        column("spread", pa.float64(), "mean distance between two live units", null=True),
        column("labels", pa.int32(), "distinct labels of interpretable units"),
        column("entropy", pa.float64(), "of those labels, in bits"),
        column("born", pa.int32(), "units that became interpretable since the previous epoch", null=True),
        column("lost", pa.int32(), "units that ceased to be", null=True),
        column(
            "relabelled", pa.int32(), "units interpretable at both epochs, under another label", null=True
        ),
        column("settled", pa.int32(), "units for which this is the first epoch from which their label stays"),
    ]
)

UNIT_MOVEMENT = pa.schema(
    [
        RUN,
        LAYER,
        UNIT,
        column("epochs", pa.int32(), "at how many epochs it has a place"),
        column(
            "displacement",
            pa.float64(),
            f"distance in the plane from its first to its last place, {_LENGTH}; empty with fewer than two places",
            null=True,
        ),
        column("path_length", pa.float64(), "length of its way through all its places", null=True),
        column(
            "straightness",
            pa.float64(),
            "`displacement` / `path_length`, 0 to 1; empty if it has not moved",
            null=True,
        ),
        column(
            "displacement_clip",
            pa.float64(),
            "as `displacement`, in CLIP's text space between unit vectors",
            null=True,
        ),
        column("path_length_clip", pa.float64(), "as `path_length`, in CLIP's text space", null=True),
        column("named", pa.int32(), "at how many epochs it is interpretable"),
        column("relabelled", pa.int32(), "how often, among these, its label changed"),
        column(
            "settled",
            pa.float64(),
            "first epoch from which its label stays; empty if it ends without",
            null=True,
        ),
        column("label", pa.string(), "that label", null=True),
        column("category", pa.string(), "of that label", null=True),
    ]
)

DIVERSITY = pa.schema(
    [
        *GROUP_FIELDS,
        column("n_interpretable", pa.int32(), "units whose label beats chance"),
        column("labels", pa.int32(), "how many distinct labels they have"),
        column("entropy", pa.float64(), "of their labels, in bits"),
        column(
            "effective_labels", pa.float64(), "2 to the power of `entropy`: as many equally frequent labels"
        ),
        column("n_anchors", pa.int32(), "how many anchors there are"),
        column("labelled_anchors", pa.float64(), "share of the anchors that are a label, 0 to 1", null=True),
        column(
            "covered",
            pa.float64(),
            "share of the anchors that are a unit's nearest in the plane, 0 to 1",
            null=True,
        ),
        column("covered_clip", pa.float64(), "the same in CLIP's text space", null=True),
    ]
)

STATUS = pa.schema(
    [
        *GROUP_FIELDS,
        _N_UNITS,
        column("n_ok", pa.int32(), "units that are scored"),
        column("n_dead", pa.int32(), "units with activation 0 for every image"),
        column("n_constant", pa.int32(), "units with the same activation, not 0, for every image"),
        column("n_tied", pa.int32(), "units of which it is arbitrary which images are their top ones"),
        column("n_non_finite", pa.int32(), "units with a NaN or an infinity among their activations"),
    ]
)

TRAINING = pa.schema(
    [
        RUN,
        column("epoch", pa.float64(), "as the file given by `--metrics` has it"),
        column("metric", pa.string(), "a numeric column of that file"),
        column("value", pa.float64(), "the last one that the file has for the epoch"),
    ]
)
