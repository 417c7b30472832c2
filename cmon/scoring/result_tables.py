"""The tables `vocabulary`, and `units` and `concepts` of a population that has its labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cmon.concepts import Concept
from cmon.scoring import significance
from cmon.scoring.first_epoch import FirstEpoch
from cmon.scoring.populations import Population
from cmon.workspace import schemas

_LABEL_COLUMNS = ("label", "category", "score", "p_value", "margin", "shared", "fit")
"""Columns of the table `units` that only live units have."""


def vocabulary_table(concepts: Sequence[Concept], vectors: np.ndarray) -> pa.Table:
    """vectors: (C,D) float32."""
    return pa.Table.from_arrays(
        [*_names_and_categories(concepts), schemas.vectors(vectors)],
        schema=schemas.vocabulary(vectors.shape[1]),
    )


def units_table(
    population: Population,
    concepts: Sequence[Concept],
    fdr: float,
    fit: np.ndarray,
    first: FirstEpoch | None = None,
) -> pa.Table:
    """A row for every unit; a unit that is not live has no label.

    fdr: share of false ones among the interpretable. fit: of the live units with their labels, what `fit.fits` gives.
    first: the layer's first epoch, whose units make the null distribution; None: pseudo-units do.
    """
    names, categories = _names_and_categories(concepts)
    units, live, labels = len(population.statuses), population.live, population.labels
    columns = {
        "status": pa.array(population.statuses),
        "interpretable": pa.array(np.zeros(units, dtype=bool)),
        "top_images": pa.array(list(population.shown_images)),
        "top_activations": pa.array(list(population.shown_activations)),
        **{name: pa.nulls(units, schemas.UNITS.field(name).type) for name in _LABEL_COLUMNS},
    }
    if labels:
        scores, best = labels.scores.numpy(), labels.concepts[:, 0].numpy()
        if first is None:
            p_values = significance.p_values(scores[:, 0], labels.null_best.numpy())
        else:
            p_values = first.p_values(scores[:, 0], best)
        interpretable = live[significance.discoveries(p_values, fdr)]
        columns["interpretable"] = pa.array(np.isin(np.arange(units), interpretable))
        of_live = {
            "label": names.take(best),
            "category": categories.take(best),
            "score": pa.array(scores[:, 0]),
            "p_value": pa.array(p_values),
            "shared": pa.array(population.shared(), from_pandas=True),  # NaN of a single unit is no value
            "fit": pa.array(fit),
        }
        if len(concepts) > 1:
            of_live["margin"] = pa.array(scores[:, 0] - scores[:, 1])
        columns |= {name: _spread(values, live, units) for name, values in of_live.items()}
    return _with_keys(population, np.arange(units), columns, schemas.UNITS)


def concepts_table(population: Population, concepts: Sequence[Concept]) -> pa.Table:
    """A row for every live unit and each of its best concepts."""
    labels = population.labels
    if labels is None:
        return schemas.CONCEPTS.empty_table()
    names, categories = _names_and_categories(concepts)
    kept = labels.scores.shape[1]
    best = labels.concepts.numpy().ravel()
    columns = {
        "rank": pa.array(np.tile(np.arange(kept), len(population.live))),
        "concept": names.take(best),
        "category": categories.take(best),
        "score": pa.array(labels.scores.numpy().ravel()),
    }
    return _with_keys(population, np.repeat(population.live, kept), columns, schemas.CONCEPTS)


def _names_and_categories(concepts: Sequence[Concept]) -> tuple[pa.Array, pa.Array]:
    names = pa.array([concept.name for concept in concepts], pa.string())
    return names, pa.array([concept.category for concept in concepts], pa.string())


def _spread(values: pa.Array, live: np.ndarray, units: int) -> pa.Array:
    """Values of the live units as a column over all units, null elsewhere."""
    position = np.full(units, -1)
    position[live] = np.arange(len(live))
    return values.take(pa.array(position, mask=position < 0))


def _with_keys(
    population: Population, units: np.ndarray, columns: dict[str, pa.Array], schema: pa.Schema
) -> pa.Table:
    """The columns with run, layer, epoch and unit, in the schema's order and types."""
    columns = {
        "run": pa.array([population.run] * len(units), pa.string()),
        "layer": pa.array([population.layer] * len(units), pa.string()),
        "epoch": pa.array([population.epoch] * len(units), pa.float64()),
        "unit": pa.array(units),
        **columns,
    }
    return pa.Table.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)
