from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.scoring.status import count_units, unit_statuses, warn_of_one_label
from cmon.workspace import schemas
from cmon.workspace.status import STATUSES
from tests.support.synthetic_tables import World
from tests.support.synthetic_tables import rows as synthetic_rows


def literal_status(activations: list[float], top: int | None) -> str:
    """From the words of `STATUSES`, for one unit."""
    if not np.isfinite(activations).all():
        return "non-finite"
    if len(set(activations)) == 1:
        return "dead" if activations[0] == 0 else "constant"
    shown = sorted(activations, reverse=True)[:top]
    most = max(shown.count(value) for value in shown)
    return "tied" if top and most > len(shown) / 2 and most > 1 else "ok"


def statuses(activations: np.ndarray, top_values: np.ndarray | None) -> list[str]:
    finite = np.isfinite(activations).all(axis=0)
    known = np.nan_to_num(activations)
    return unit_statuses(finite, known.min(axis=0), known.max(axis=0), top_values).tolist()


def test_statuses_say_why_a_unit_has_no_label() -> None:
    activations = np.tile(np.arange(20.0)[:, None], (1, 8))
    activations[3, 0] = np.nan
    activations[:, 1] = -2
    activations[:, 2] = 0
    activations[4, 2] = 1  # one image, and 0 for all others
    activations[:, 3] //= 4
    activations[:, 5] = 0
    activations[:, 6] = [0.0, -0.0] * 10
    activations[:, 7] = np.inf
    top = -np.sort(-np.nan_to_num(activations), axis=0)[:10].T
    always = ["non-finite", "constant", "ok", "ok", "ok", "dead", "dead", "non-finite"]
    assert statuses(activations, None) == always
    always[2] = "tied"
    assert statuses(activations, top) == always


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, -1.0, np.nan, np.inf]), min_size=1, max_size=9),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_a_units_status_is_what_the_words_say(activations: list[float], top: int | None) -> None:
    column = np.array(activations, dtype=np.float32)[:, None]
    values = -np.sort(-np.nan_to_num(column, posinf=0), axis=0)[:top].T if top else None
    assert statuses(column, values) == [literal_status(activations, top)]


@pytest.mark.parametrize("dead", [0.0, 0.3])
def test_counts_are_those_of_the_table(dead: float) -> None:
    rows = synthetic_rows(World(units=30, epochs=(0.0, 1.5), dead=dead))["units"]
    for key in {(row["run"], row["layer"], row["epoch"]) for row in rows}:
        own = [one for one in rows if (one["run"], one["layer"], one["epoch"]) == key]
        row = count_units(pa.Table.from_pylist(own, schemas.UNITS))
        assert (row["run"], row["layer"], row["epoch"]) == key
        assert row["units"] == len(own) == sum(row[status] for status in STATUSES)
        for status in STATUSES:
            assert row[status] == sum(one["status"] == status for one in own)
        labels = [one["label"] for one in own if one["interpretable"]]
        assert row["interpretable"] == len(labels)
        assert row["its units"] == max(map(labels.count, labels), default=0)
        if labels:
            assert labels.count(row["most frequent label"]) == row["its units"]


@pytest.mark.parametrize(
    ("labels", "most", "times"),
    [(["dog", "cat", "cat", "dog", "ant"], "cat", 2), ([None], None, 0), ([None, "ant"], "ant", 1)],
)
def test_of_equally_frequent_labels_the_first_by_name_counts(
    labels: list[str | None], most: str | None, times: int
) -> None:
    rows = [
        {
            "run": "a", "layer": "b", "epoch": 0.5, "unit": unit, "status": "ok" if label else "constant",
            "label": label, "interpretable": bool(label), "top_images": [], "top_activations": [],
            "shared": 0.5 if label else None,
        }
        for unit, label in enumerate(labels)
    ]  # fmt: skip
    found = count_units(pa.Table.from_pylist(rows, schemas.UNITS))
    assert (found["most frequent label"], found["its units"]) == (most, times)
    assert found["overlap"] == (0.5 if most else None)


def test_one_label_on_over_a_third_of_a_layer_is_warned_of_with_the_overlap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def row(epoch: float, count: int) -> dict[str, object]:
        found = {"run": "a", "layer": "late", "epoch": epoch, "units": 30, "most frequent label": "white"}
        return {**found, "its units": count, "overlap": 0.271, "overlap by chance": 0.05}

    with caplog.at_level(logging.WARNING, logger="cmon"):
        warn_of_one_label([row(0, 10), row(1, 1)])
        assert not caplog.records, "a third is not over a third"
        warn_of_one_label([row(0, 11), row(1, 29), row(2, 3)])
    (record,) = caplog.records
    text = record.getMessage()
    assert "in 2 of 3 layers and epochs: 'white' on 29 of 30 units of late of a at epoch 1" in text
    assert "share 27% of their top images (chance 5%)" in text
    assert text.index("epoch 1") < text.index("epoch 0")


def test_a_layer_of_one_unit_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    alone = {
        "run": "a",
        "layer": "fc",
        "epoch": 0.0,
        "units": 1,
        "most frequent label": "dog",
        "its units": 1,
    }
    with caplog.at_level(logging.WARNING, logger="cmon"):
        warn_of_one_label([{**alone, "overlap": None, "overlap by chance": None}])
    assert not caplog.records
