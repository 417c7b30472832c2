"""One explicit Parquet schema per table of a workspace; each column says what it holds.

`run, layer, epoch, unit` are the keys everywhere. `epoch` is a float because some programs save in the
middle of an epoch (Hugging Face's Trainer saves by steps); it is whole in nearly every folder.

What a column holds, with its unit and range, is metadata of its field: so it goes into every Parquet file, and
docs/reference/tables.md is made from it. The report's schemas are beside their makers, in `reporting/tables`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from cmon.workspace.status import STATUSES

VERSION = 4
"""Raised when a table changes so that an older cmon could misread it; part of every origin."""

_MEANING, _WITHIN, _ONE_OF, _INFINITE = b"description", b"within", b"one of", b"not finite"
Bounds = tuple[float | None, float | None]


def column(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    null: bool = False,
    within: Bounds | None = None,
    one_of: Iterable[str] = (),
    finite: bool = True,
) -> pa.Field:
    """A column and what it holds.

    null: whether a cell can be empty. within: the least and the largest value, None for no limit. one_of: the words
    that it can hold, if only these. finite: whether a number can be neither NaN nor an infinity.
    """
    said = {
        _MEANING: meaning,
        _WITHIN: json.dumps(within) if within else "",
        _ONE_OF: json.dumps(list(one_of)) if one_of else "",
        _INFINITE: "" if finite else "yes",
    }
    metadata = {key: value.encode() for key, value in said.items() if value}
    return pa.field(name, kind, nullable=null, metadata=metadata)


def meaning(field: pa.Field) -> str:
    """What `column` was told that the column holds."""
    return (field.metadata or {}).get(_MEANING, b"").decode()


def within(field: pa.Field) -> Bounds | None:
    """The least and the largest value, None for no limit; None where neither has one."""
    found = (field.metadata or {}).get(_WITHIN)
    return tuple(json.loads(found)) if found else None


def one_of(field: pa.Field) -> list[str]:
    """The words that the column can hold; none if it can hold any."""
    return json.loads((field.metadata or {}).get(_ONE_OF, b"[]"))


def may_be_infinite(field: pa.Field) -> bool:
    """Whether NaN and infinities are among its values."""
    return _INFINITE in (field.metadata or {})


_COUNT: Bounds = (0, None)
_SHARE: Bounds = (0, 1)
_DISTANCE: Bounds = (0, 2.0001)
"""Euclidean, between unit vectors in float32."""
RUN = column("run", pa.string(), "training run, as `--run` named it")
LAYER = column("layer", pa.string(), "layer, by its name in the network")
EPOCH = column(
    "epoch", pa.float64(), "epoch of the checkpoint; 0 is the untrained network where it was saved"
)
UNIT = column("unit", pa.int32(), "number of the unit in its layer, from 0", within=_COUNT)
GROUP_FIELDS = [RUN, LAYER, EPOCH]
UNIT_FIELDS = [*GROUP_FIELDS, UNIT]

CHECKPOINTS = pa.schema(
    [
        RUN,
        column("checkpoint", pa.string(), "path relative to the run's folder"),
        column("epoch", pa.float64(), "as stored inside, or else as the name says", null=True),
        column("step", pa.int64(), "optimizer steps, if stored", null=True),
        column("sha256", pa.string(), "of the file, or of the files of a folder", null=True),
        column(
            "kind",
            pa.string(),
            "`torch`, `safetensors`, `hugging face`, `deepspeed`, ...",
            null=True,
        ),
        column(
            "wrapper", pa.string(), "under which key the weights lay: `plain`, `state_dict`, ...", null=True
        ),
        column(
            "weights",
            pa.string(),
            "`raw`, or `ema` for averaged ones, also where they are all there is",
            null=True,
        ),
        column(
            "epoch_from", pa.string(), "`stored`, `name`, or `step` where the step counts as epoch", null=True
        ),
        column(
            "prefix",
            pa.string(),
            "in front of the network's names: none, `module.`, `model.`, ...",
            null=True,
        ),
        column("tensors", pa.int32(), "number of the network's tensors", null=True),
        column("tensors_matched", pa.int32(), "how many of them the checkpoint has", null=True),
        column("signature", pa.string(), "hash of the tensors' names and shapes", null=True),
        column(
            "status",
            pa.string(),
            "`ok`, `redundant` (another file gives its epoch), `left out` (by `--epoch`), `gone` (no longer there, but "
            "its activations are), or `skipped`",
            one_of=("ok", "redundant", "left out", "gone", "skipped"),
        ),
        column("error", pa.string(), "why it was not read", null=True),
    ]
)

IMAGES = pa.schema(
    [
        column("image_id", pa.int32(), "number of the probe image, from 0", within=_COUNT),
        column(
            "path",
            pa.string(),
            "of the file, absolute; bytes that are not UTF-8 and control characters as `\\xe9`, and in such a path "
            "a backslash as two",
        ),
        column(
            "from_workspace",
            pa.string(),
            "the same relative to the workspace, by which the file is found when both are moved together; empty if "
            "they have no folder in common",
            null=True,
        ),
        column("sha256", pa.string(), "of the file's bytes", null=True),
        column("status", pa.string(), "`ok` or `skipped`", one_of=("ok", "skipped")),
        column("error", pa.string(), "why it was skipped", null=True),
        column(
            "notes",
            pa.string(),
            "what was decided to read it: the range of its values, its first picture, no orientation",
            null=True,
        ),
    ]
)

SHARDS = pa.schema(
    [
        *GROUP_FIELDS,
        column("units", pa.int32(), "number of the layer's units", within=(1, None)),
        column(
            "axes",
            pa.string(),
            "how the layer's output was read: `flat`, `channels first`, `channels last` or `tokens`",
        ),
        column("pooling", pa.string(), "how a unit's map became one activation: `avg`, `max` or `cls`"),
        column("origin", pa.string(), "hash of all that the activations depend on"),
    ]
)

SCORES = pa.schema(
    [
        *GROUP_FIELDS,
        column("units", pa.int32(), "number of the layer's units", within=(1, None)),
        *[
            column(status, pa.int32(), f"units with status `{status}`: {words}", within=_COUNT)
            for status, words in STATUSES.items()
        ],
        column("interpretable", pa.int32(), "interpretable units", within=_COUNT),
        column(
            "most frequent label",
            pa.string(),
            "of the interpretable units; of equally frequent ones the first by name",
            null=True,
        ),
        column("its units", pa.int32(), "interpretable units that have it", within=_COUNT),
        column(
            "overlap",
            pa.float64(),
            "redundancy: mean of `shared` over the live units; empty for fewer than two",
            null=True,
            within=_SHARE,
        ),
        column(
            "overlap by chance",
            pa.float64(),
            "of units that order the images at random; empty where `overlap` is",
            null=True,
            within=_SHARE,
        ),
        column("activations", pa.string(), "origin of the activation file that was scored"),
        column("origin", pa.string(), "hash of all that the files of `units` and `concepts` depend on"),
    ]
)

UNITS = pa.schema(
    [
        *UNIT_FIELDS,
        column(
            "status",
            pa.string(),
            "`ok`; `dead` (0 for every image); `constant` (the same for every image, but not 0); `tied` (which "
            "images are its top ones is arbitrary); or `non-finite`",
            one_of=STATUSES,
        ),
        column("label", pa.string(), "concept with the best score; empty unless status is `ok`", null=True),
        column("category", pa.string(), "of the label; empty where the concept list gives none", null=True),
        column("score", pa.float32(), "of the label, in the similarity function's own unit", null=True),
        column("margin", pa.float32(), "score minus the second concept's score", null=True, within=_COUNT),
        column(
            "p_value",
            pa.float64(),
            "share of pseudo-units (random image orders) whose best score is as good, 0 to 1; with `--baseline first` "
            "share of the layer's units at its first epoch whose label stands out as far from what that epoch's units "
            "get for it",
            null=True,
            within=_SHARE,
        ),
        column(
            "interpretable",
            pa.bool_(),
            "whether the score beats `--baseline` at the false discovery rate of `--fdr`, per run, layer and epoch",
        ),
        column(
            "shared",
            pa.float64(),
            "mean share of the unit's 100 most activating images (of a twentieth, where there are fewer than 2,000) "
            "that another live unit of the layer has among its own; empty unless status is `ok`, and for a unit that "
            "is alone",
            null=True,
            within=_SHARE,
        ),
        column(
            "fit",
            pa.float64(),
            "share of the same 100 images that are among the tenth of the probe images that CLIP finds most similar to "
            "the label: 0.1 by chance; empty unless status is `ok`",
            null=True,
            within=_SHARE,
        ),
        column(
            "top_images",
            pa.list_(pa.int32()),
            "`image_id`s of the 100 most activating images (of a twentieth, where there are fewer than 2,000, but at "
            "least of ten), most activating first",
            within=_COUNT,
        ),
        column(
            "top_activations",
            pa.list_(pa.float32()),
            "the unit's activations on the first ten of them",
            finite=False,
        ),
    ]
)

CONCEPTS = pa.schema(
    [
        *UNIT_FIELDS,
        column("rank", pa.int32(), "0 for the label, 1 for the second concept, ...", within=_COUNT),
        column("concept", pa.string(), "as the concept list spells it"),
        column("category", pa.string(), "of the concept", null=True),
        column("score", pa.float32(), "of the concept, in the similarity function's own unit"),
    ]
)

_MEASURE = column(
    "measure", pa.string(), "`auprc`, `auprc over chance` or `correlation` (no unit, at most 1)"
)

DETECTIONS = pa.schema(
    [
        *UNIT_FIELDS,
        _MEASURE,
        column("concept", pa.string(), "the annotated concept that the unit detects best"),
        column("value", pa.float64(), "of the measure, for that concept"),
        column("label", pa.string(), "the unit's label"),
        column(
            "value_of_label",
            pa.float64(),
            "of the measure, for the label; empty if it is not among the compared concepts",
            null=True,
        ),
        column(
            "rank",
            pa.int32(),
            "of `concept` among the unit's top concepts, 0 for its label; empty if it is not among them",
            null=True,
        ),
        column("clear", pa.bool_(), "whether the unit's correlation with some concept is over 0.3"),
    ]
)

AGREEMENT = pa.schema(
    [
        *GROUP_FIELDS,
        _MEASURE,
        column("n_units", pa.int32(), "all units of the layer"),
        column("n_live", pa.int32(), "units with status `ok`"),
        column(
            "n_clear", pa.int32(), "units that clearly detect an annotated concept: only these are compared"
        ),
        *[
            column(f"{name}{bound}", pa.float64(), f"{words}; empty where no unit is clear", null=True)
            for name, whose in (
                ("top1", "whose label is the concept they detect best"),
                ("top5", "that have it among their five best concepts"),
            )
            for bound, words in (
                ("", f"share of the clear units {whose}, 0 to 1"),
                ("_low", f"lower end of the interval of `{name}`"),
                ("_high", f"upper end of the interval of `{name}`"),
            )
        ],
        column(
            "value", pa.float64(), "mean over the clear units of the measure for the best concept", null=True
        ),
        column("value_of_label", pa.float64(), "the same for the label", null=True),
    ]
)

LAYOUT = pa.schema(
    [
        column("kind", pa.string(), "`unit` or `anchor`", one_of=("unit", "anchor")),
        *[column(key.name, key.type, f"{meaning(key)}; empty for anchors", null=True) for key in UNIT_FIELDS],
        column("concept", pa.string(), "the anchor's word; empty for units", null=True),
        column("category", pa.string(), "of the anchor; empty for units", null=True),
        column("status", pa.string(), "the unit's status; units that are not `ok` have no place"),
        column(
            "placed",
            pa.string(),
            "`fitted`, or `placed` later among others that stayed",
            null=True,
            one_of=("fitted", "placed"),
        ),
        column(
            "x",
            pa.float64(),
            "place in the plane; 1 is the anchors' RMS distance from their centroid",
            null=True,
        ),
        column("y", pa.float64(), "the same, upwards", null=True),
        column("nearest_anchor", pa.string(), "in the plane", null=True),
        column(
            "distance",
            pa.float64(),
            "to `nearest_anchor`, in the plane, in lengths of `x`",
            null=True,
            within=_COUNT,
        ),
        column("nearest_anchor_clip", pa.string(), "in CLIP's text space", null=True),
        column(
            "distance_clip",
            pa.float64(),
            "to `nearest_anchor_clip`, Euclidean between unit vectors: 0 to 2",
            null=True,
            within=_DISTANCE,
        ),
        column(
            "step_clip",
            pa.float64(),
            "between its vector and that at the last epoch at which it had one, in CLIP's text space: 0 to 2",
            null=True,
            within=_DISTANCE,
        ),
        column(
            "from_first_clip",
            pa.float64(),
            "the same, from the first epoch at which it had one",
            null=True,
            within=_DISTANCE,
        ),
    ]
)

COSTS = pa.schema(
    [
        column(
            "stage", pa.string(), "`extract`, `score`, `embed` or `report`, at its last run that did anything"
        ),
        column("seconds", pa.float64(), "wall time", within=_COUNT),
        column("items", pa.int64(), "how many were worked on", within=_COUNT),
        column("item", pa.string(), "what was counted: `images x checkpoints`, `units`, ..."),
        column("items_per_second", pa.float64(), "throughput"),
        column("peak_memory_mb", pa.float64(), "largest resident size of the process, in 10^6 bytes"),
        column("written_mb", pa.float64(), "written to disk, in 10^6 bytes"),
    ]
)

FIDELITY = pa.schema(
    [
        column("seed", pa.int64(), "of the layout"),
        column("epoch", pa.float64(), "empty for a measure over all epochs", null=True),
        column(
            "measure",
            pa.string(),
            "`trustworthiness`, `continuity`, ...: see docs/layouts.md",
        ),
        column(
            "value",
            pa.float64(),
            "of the measure, without unit; empty where there is nothing to compare",
            null=True,
        ),
    ]
)

PIXELS = pa.schema(
    [
        column("sha256", pa.string(), "of the image file's bytes", null=True),
        column("crc32", pa.int64(), "of its pixels; empty if it could not be read", null=True),
        column("error", pa.string(), "why it was skipped", null=True),
        column("notes", pa.string(), "as in `images`", null=True),
    ]
)

SHARED = pa.schema(
    [
        column("part", pa.string(), "`products` of all images and concepts, or `null`, of pseudo-units"),
        column("name", pa.string(), "of the numbers"),
        column("shape", pa.list_(pa.int64()), "of the array that they are"),
        column("values", pa.list_(pa.float32()), "the numbers, row by row", finite=False),
    ]
)


TOP_IMAGES = pa.schema(
    [
        column("finite", pa.bool_(), "whether all activations of the unit are finite numbers"),
        column("least", pa.float32(), "its smallest activation"),
        column("images", pa.list_(pa.int32()), "rows of the activations, its most activating image first"),
        column("values", pa.list_(pa.float32()), "its activations for them"),
    ]
)


def activations(units: int) -> pa.Schema:
    """Rows are probe images; `activations` is the row of all units' pooled activations, (units,) float32."""
    return pa.schema(
        [
            column("image_id", pa.int32(), "of the table `images`", within=_COUNT),
            column(
                "activations",
                pa.list_(pa.float32(), units),
                "pooled activation of each of the layer's units",
                finite=False,
            ),
        ]
    )


def image_features(width: int) -> pa.Schema:
    """CLIP's vector of each image, (width,) float32, L2-normalised."""
    return pa.schema([column("sha256", pa.string(), "of the image file's bytes"), _vector(width, "image")])


def text_features(width: int) -> pa.Schema:
    """CLIP's vector of each text, (width,) float32, L2-normalised."""
    return pa.schema(
        [
            column("text", pa.string(), "as CLIP was given it"),
            column(
                "cut_after",
                pa.int32(),
                "tokens that the model read of it; empty if all, or unknown",
                null=True,
            ),
            _vector(width, "text"),
        ]
    )


def vocabulary(width: int) -> pa.Schema:
    """The concepts in the order they were given, with CLIP's text vector, (width,) float32, L2-normalised."""
    return pa.schema(
        [
            column("concept", pa.string(), "as the concept list spells it"),
            column("category", pa.string(), "as the concept list gives it", null=True),
            _vector(width, "concept"),
        ]
    )


def vectors(matrix: np.ndarray) -> pa.FixedSizeListArray:
    """(rows, width) float32 as a column of vectors."""
    stacked = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1]
    )
    return stacked.cast(_vector(matrix.shape[1]).type)


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of vectors as (rows, width) float32."""
    width = column.type.list_size
    found, row = np.empty((len(column), width), np.float32), 0
    for chunk in column.chunks:
        found[row : row + len(chunk)] = chunk.flatten().to_numpy().reshape(-1, width)
        row += len(chunk)
    return found


def _vector(width: int, of: str = "row") -> pa.Field:
    return column("vector", pa.list_(pa.float32(), width), f"CLIP's vector of the {of}, of length 1")
