"""One explicit Parquet schema per table of a workspace.

`run, layer, epoch, unit` are the keys everywhere. `epoch` is a float because some programs save in the
middle of an epoch (Hugging Face's Trainer saves by steps); it is whole in nearly every folder.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

VERSION = 1
"""Raised when a table changes so that an older cmon could misread it; part of every freshness key."""

_UNIT_KEYS = [
    pa.field("run", pa.string(), nullable=False),
    pa.field("layer", pa.string(), nullable=False),
    pa.field("epoch", pa.float64(), nullable=False),
    pa.field("unit", pa.int32(), nullable=False),
]

CHECKPOINTS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("checkpoint", pa.string(), nullable=False),  # path relative to the run's folder
        pa.field("epoch", pa.float64()),
        pa.field("step", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("kind", pa.string()),  # 'torch', 'safetensors', 'hugging face' or 'distributed'
        pa.field("wrapper", pa.string()),  # under which key the weights lay: 'plain', 'state_dict', ...
        pa.field("weights", pa.string()),  # 'raw' or 'ema', as asked for
        pa.field("epoch_from", pa.string()),  # 'stored', 'name', or 'step' where the step counts as epoch
        pa.field("prefix", pa.string()),  # in front of the network's keys: '', 'module.', 'model.', ...
        pa.field("keys", pa.int32()),  # of the network
        pa.field("keys_matched", pa.int32()),
        pa.field("signature", pa.string()),  # hash of the tensors' names and shapes
        pa.field("status", pa.string(), nullable=False),  # 'ok' or 'skipped'
        pa.field("error", pa.string()),  # why it was skipped
    ]
)

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # relative to the probe folder
        pa.field("sha256", pa.string()),
        pa.field("status", pa.string(), nullable=False),  # 'ok' or 'skipped'
        pa.field("error", pa.string()),
    ]
)

SHARDS = pa.schema(  # which activation files belong to the workspace as it is now
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("layer", pa.string(), nullable=False),
        pa.field("epoch", pa.float64(), nullable=False),
        pa.field("units", pa.int32(), nullable=False),
        pa.field(
            "layout", pa.string(), nullable=False
        ),  # how the layer's output was read, see hooks.LayerOutput
        pa.field("pooling", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),  # the activation file's key
    ]
)

UNITS = pa.schema(
    [
        *_UNIT_KEYS,
        pa.field("status", pa.string(), nullable=False),  # one of statuses.STATUSES
        pa.field("label", pa.string()),  # null unless status is 'ok'
        pa.field("category", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("margin", pa.float32()),  # score minus the second concept's score
        pa.field("p_value", pa.float64()),
        pa.field("interpretable", pa.bool_(), nullable=False),
        pa.field("top_images", pa.list_(pa.int32()), nullable=False),  # image_id, most activating first
        pa.field("top_activations", pa.list_(pa.float32()), nullable=False),
    ]
)

CONCEPTS = pa.schema(
    [
        *_UNIT_KEYS,
        pa.field("rank", pa.int32(), nullable=False),  # 0 is the label
        pa.field("concept", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("score", pa.float32(), nullable=False),
    ]
)

LAYOUT = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # 'unit' or 'anchor'
        pa.field("run", pa.string()),  # run, layer, epoch and unit are null for anchors
        pa.field("layer", pa.string()),
        pa.field("epoch", pa.float64()),
        pa.field("unit", pa.int32()),
        pa.field("concept", pa.string()),  # the anchor's word; null for units
        pa.field("category", pa.string()),
        pa.field("status", pa.string(), nullable=False),  # the unit's status; units not 'ok' have no place
        pa.field("x", pa.float64()),  # anchors' RMS distance from their centroid is 1
        pa.field("y", pa.float64()),
        pa.field("nearest_anchor", pa.string()),
        pa.field("distance", pa.float64()),  # to nearest_anchor, in the plane
        pa.field("nearest_anchor_clip", pa.string()),
        pa.field("distance_clip", pa.float64()),  # to nearest_anchor_clip, between unit vectors: 0 to 2
    ]
)

COSTS = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("item", pa.string(), nullable=False),  # what was counted: 'images x checkpoints', 'units'
        pa.field("items_per_second", pa.float64(), nullable=False),
        pa.field("peak_memory_mb", pa.float64(), nullable=False),  # resident, of the whole process
        pa.field("written_mb", pa.float64(), nullable=False),
    ]
)

_GROUP_KEYS = _UNIT_KEYS[:3]

D_ANCHOR = pa.schema(  # of the report; what each column means: distances.d_anchor
    [
        *_GROUP_KEYS,
        *[
            pa.field(f"{kind}{bound}", pa.float64())  # null where no unit is live
            for kind in ("d_anchor", "d_anchor_clip")
            for bound in ("", "_low", "_high")
        ],
        *[
            pa.field(name, pa.int32(), nullable=False)
            for name in ("n_units", "n_live", "n_dead", "n_interpretable")
        ],
    ]
)

COMPARISON = pa.schema(  # of the report; what each column means: distances.comparison
    [
        pa.field("reference", pa.string(), nullable=False),
        *_GROUP_KEYS,
        *[
            pa.field(f"{name}{bound}", pa.float64())  # null where a run has no live unit
            for space in ("", "_clip")
            for name, bounds in ((f"difference{space}", ("", "_low", "_high")), (f"d_prime{space}", ("",)))
            for bound in bounds
        ],
        pa.field("n_reference", pa.int32(), nullable=False),
        pa.field("n_run", pa.int32(), nullable=False),
        pa.field("paired", pa.bool_(), nullable=False),
    ]
)

MOVEMENT = pa.schema(  # of the report; what each column means: movement.of_layers
    [
        *_GROUP_KEYS,
        *[pa.field(name, pa.float64()) for name in ("step", "from_first", "path_length", "spread")],
        pa.field("labels", pa.int32(), nullable=False),
        pa.field("entropy", pa.float64(), nullable=False),
        *[pa.field(name, pa.int32()) for name in ("born", "lost", "relabelled")],
        pa.field("settled", pa.int32(), nullable=False),
    ]
)

UNIT_MOVEMENT = pa.schema(  # of the report; what each column means: movement.of_units
    [
        *[_UNIT_KEYS[at] for at in (0, 1, 3)],
        pa.field("epochs", pa.int32(), nullable=False),
        *[pa.field(name, pa.float64()) for name in ("displacement", "path_length", "straightness")],
        pa.field("named", pa.int32(), nullable=False),
        pa.field("relabelled", pa.int32(), nullable=False),
        pa.field("settled", pa.float64()),  # an epoch
        pa.field("label", pa.string()),
        pa.field("category", pa.string()),
    ]
)

DIVERSITY = pa.schema(  # of the report; what each column means: diversity.of_layers
    [
        *_GROUP_KEYS,
        pa.field("n_interpretable", pa.int32(), nullable=False),
        pa.field("labels", pa.int32(), nullable=False),
        pa.field("entropy", pa.float64(), nullable=False),  # bits
        pa.field("effective_labels", pa.float64(), nullable=False),
        pa.field("n_anchors", pa.int32(), nullable=False),
        *[pa.field(name, pa.float64()) for name in ("labelled_anchors", "covered", "covered_clip")],
    ]
)

FIDELITY = (
    pa.schema(  # how far a layout keeps what CLIP's space says; what each measure means: fidelity.Fidelity
        [
            pa.field("seed", pa.int64(), nullable=False),  # of the layout
            pa.field("epoch", pa.float64()),  # null for a measure over all epochs
            pa.field("measure", pa.string(), nullable=False),
            pa.field("value", pa.float64()),  # null where there is nothing to compare
        ]
    )
)


def epoch_text(epoch: float) -> str:
    """'10' for 10.0 and '0.5' for 0.5: how an epoch is named in paths, tables and figures."""
    return str(int(epoch)) if float(epoch).is_integer() else repr(float(epoch))


def activations(units: int) -> pa.Schema:
    """Rows are probe images; `activations` is the row of all units' pooled activations, (units,) float32."""
    return pa.schema(
        [
            pa.field("image_id", pa.int32(), nullable=False),
            pa.field("activations", pa.list_(pa.float32(), units), nullable=False),
        ]
    )


def image_features(width: int) -> pa.Schema:
    """CLIP's vector of each probe image, (width,) float32, L2-normalised."""
    return pa.schema([pa.field("image_id", pa.int32(), nullable=False), _vector(width)])


def text_features(width: int) -> pa.Schema:
    """CLIP's vector of each text, (width,) float32, L2-normalised."""
    return pa.schema(
        [
            pa.field("text", pa.string(), nullable=False),
            pa.field("cut_after", pa.int32()),  # tokens that the model read of it; null if all, or unknown
            _vector(width),
        ]
    )


def vocabulary(width: int) -> pa.Schema:
    """The concepts in the order they were given, with CLIP's text vector, (width,) float32, L2-normalised."""
    return pa.schema(
        [
            pa.field("concept", pa.string(), nullable=False),
            pa.field("category", pa.string()),
            _vector(width),
        ]
    )


def vectors(matrix: np.ndarray) -> pa.FixedSizeListArray:
    """(rows, width) float32 as a column of vectors."""
    column = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1]
    )
    return column.cast(_vector(matrix.shape[1]).type)


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of vectors as (rows, width) float32."""
    width = column.type.list_size
    return column.combine_chunks().flatten().to_numpy().reshape(-1, width).copy()


def _vector(width: int) -> pa.Field:
    return pa.field("vector", pa.list_(pa.float32(), width), nullable=False)
