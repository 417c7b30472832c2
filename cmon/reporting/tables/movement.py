"""How units move in the plane and change their labels: per run, layer and epoch, and per unit.

DataFrames in the order of `keys.sort_rows` in, the same order out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from cmon import trajectories
from cmon.reporting.tables.columns import PLANE_UNIT
from cmon.reporting.tables.diversity import label_diversity
from cmon.workspace.keys import GROUP, TRAJECTORY, UNIT_KEYS
from cmon.workspace.schemas import GROUP_FIELDS, LAYER, RUN, UNIT, column

MOVEMENT = pa.schema(
    [
        *GROUP_FIELDS,
        column(
            "step",
            pa.float64(),
            f"mean displacement in the plane since the previous epoch, {PLANE_UNIT}",
            null=True,
        ),
        column("from_first", pa.float64(), "mean displacement since the first epoch", null=True),
        column("path_length", pa.float64(), "mean length of the units' trajectories so far", null=True),
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
            f"distance in the plane from its first to its last place, {PLANE_UNIT}; empty with fewer than two places",
            null=True,
        ),
        column("path_length", pa.float64(), "length of its trajectory through all its places", null=True),
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
            "first epoch from which its label stays; empty if it has none at the last epoch",
            null=True,
        ),
        column("label", pa.string(), "that label", null=True),
        column("category", pa.string(), "of that label", null=True),
    ]
)

_BLOCK = 2**17
"""Distances held at a time: they fit a core's own cache."""


def layer_movement(units: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    """How the units move and how their labels change: one row per run, layer, epoch. MOVEMENT.

    units, layout: the tables of those names, layout's units only. Lengths are in units of the anchors' RMS radius.

    `step`, `from_first`: mean distance in the plane to the place at the previous and at the first epoch of the run
    and layer, over the units live at both; 0 or more.
    `path_length`: mean length of the units' trajectories so far, the sum of the distances from each place to
    the next one, over the units that are live now and were before; a unit's epochs without a place are passed over. For
    a unit that is live throughout it is at least its distance from the first epoch.
    `step_clip`, `from_first_clip`, `path_length_clip`: the same between unit vectors in CLIP's space, over the same
    units; NaN where the layout lacks them (one made by an earlier cmon).
    `spread`: mean distance between two live units; NaN if fewer than two are live.
    `labels`: distinct labels among interpretable units; `entropy`: of these labels, in bits; see `diversity`.
    `born`, `lost`, `relabelled`: units that became interpretable, ceased to be, or are so at both epochs with
    another label, since the previous epoch, of the units that are in the table at both.
    `settled`: units for which this is the first epoch from which their label stays; see `settled_epochs`.

    At the first epoch, what compares epochs is NaN; later means are NaN where they are over no unit.
    """
    keyed = _with_places(units, layout)
    links = trajectories.links(keyed)
    place = keyed[["x", "y"]].to_numpy()
    start = keyed.groupby(["run", "layer"], sort=False)["epoch"].transform("min").to_numpy()
    later = keyed["epoch"].to_numpy() > start
    since_first = np.where(later & (keyed["epoch"].to_numpy()[links.first] == start), links.first, -1)
    lengths_so_far = _lengths_so_far(keyed)
    step, from_first = trajectories.lengths(place, links.adjacent), trajectories.lengths(place, since_first)
    each = keyed[GROUP].assign(
        step=step,
        from_first=from_first,
        path_length=lengths_so_far["path_length"],
        # The layout's are since any epoch with a vector: they hold where that is the epoch asked for.
        step_clip=keyed["step_clip"].where(np.isfinite(step)),
        from_first_clip=keyed["from_first_clip"].where(np.isfinite(from_first)),
        path_length_clip=lengths_so_far["path_length_clip"],
        later=later,
        **_label_changes(keyed, links),
    )
    grouped = each.groupby(GROUP, sort=False)
    lengths = ["step", "from_first", "path_length"]
    table = grouped[[*lengths, *[f"{name}_clip" for name in lengths]]].mean()
    table["spread"] = [_spread(place[grouped.indices[key]]) for key in table.index]
    table = table.join(label_diversity(keyed))
    changed = grouped[["born", "lost", "relabelled"]].sum()
    table[changed.columns] = changed.where(grouped["later"].any())
    settled = settled_epochs(units).groupby(GROUP).size()
    table["settled"] = settled.reindex(table.index, fill_value=0)
    return table.reset_index()


def unit_movement(units: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    """What each unit did over all epochs: one row per run, layer, unit. UNIT_MOVEMENT.

    units, layout: as for `layer_movement`. `epochs`: at how many it has a place.
    `displacement`: distance in the plane from its first to its last place. `path_length`: sum of the distances from
    each of its places to the next one, at least the displacement. `straightness`: their ratio, 0 to 1; NaN if the
    unit has not moved. All three are NaN with fewer than two places. `displacement_clip`, `path_length_clip`: the
    same in CLIP's space.
    `named`: at how many epochs it is interpretable. `relabelled`: how often, among these, its label is not what it
    was the time before; at most named - 1, 0 if it never was.
    `settled`: the first epoch from which its label stays (see `settled_epochs`), `label` and `category` that label;
    all three missing where it is not interpretable at the last epoch of its run and layer.
    """
    keyed = _with_places(units, layout)
    codes = np.where(keyed["interpretable"], pd.factorize(keyed["label"])[0], -1)
    named = np.flatnonzero(codes >= 0)
    links = trajectories.links(keyed.iloc[named])
    changed = np.zeros(len(keyed), dtype=np.int64)
    own = codes[named]
    changed[named] = (links.previous >= 0) & (own[links.previous] != own)
    each = keyed[TRAJECTORY].assign(
        epochs=keyed["x"].notna(), named=codes >= 0, relabelled=changed, **_lengths_so_far(keyed)
    )
    grouped = each.groupby(TRAJECTORY, sort=False)
    table = grouped[["epochs", "named", "relabelled"]].sum()
    columns = ["displacement", "path_length", "displacement_clip", "path_length_clip"]
    moved = grouped[columns].last()  # of those that are known
    # No trajectory is shorter than its displacement; rounding may make a straight one so.
    ratio = (moved["displacement"] / moved["path_length"].where(moved["path_length"] > 0)).clip(upper=1)
    table = table.join(moved.assign(straightness=ratio))
    final = settled_epochs(units).set_index(TRAJECTORY).rename(columns={"epoch": "settled"})
    return table.join(final).reset_index()[UNIT_MOVEMENT.names]


def settled_epochs(units: pd.DataFrame) -> pd.DataFrame:
    """First epoch from which a unit is interpretable under its final label for good.

    Columns run, layer, unit, epoch, label, category; units that are not interpretable at the last epoch of their run
    and layer are left out. With one epoch that is the epoch of all others.
    """
    links = trajectories.links(units)
    codes = np.where(units["interpretable"], pd.factorize(units["label"])[0], -1)
    position = np.empty_like(links.order)
    position[links.order] = np.arange(len(units))
    # A label stays from the row after the last one that has another, or from the first.
    stays = np.where(codes != codes[links.last], position + 1, position[links.first])
    rows = links.order[pd.Series(stays).groupby(links.unit).max().to_numpy(dtype=np.intp)]
    end = units.groupby(["run", "layer"], sort=False)["epoch"].transform("max").to_numpy()
    last = links.last[rows]
    rows = rows[(codes[last] >= 0) & (units["epoch"].to_numpy()[last] == end[last])]
    return units.iloc[rows][[*TRAJECTORY, "epoch", "label", "category"]].reset_index(drop=True)


def _with_places(units: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    """units' keys and labels with x, y and the two lengths in CLIP's space, NaN where a unit is not live."""
    columns = [*UNIT_KEYS, "x", "y", "step_clip", "from_first_clip"]
    places = layout[layout["status"] == "ok"].reindex(columns=columns)
    return units[[*UNIT_KEYS, "label", "category", "interpretable"]].merge(places, on=UNIT_KEYS, how="left")


def _label_changes(keyed: pd.DataFrame, links: trajectories.Links) -> dict[str, npt.NDArray[np.bool_]]:
    """(P,) whether each row's unit is born, lost or relabelled there, since its row at the previous epoch."""
    codes = pd.factorize(keyed["label"].where(keyed["interpretable"]))[0]  # -1: not interpretable
    before = np.where(links.adjacent >= 0, codes[links.adjacent], -2)  # -2: has no such row
    return {
        "born": (before == -1) & (codes >= 0),
        "lost": (before >= 0) & (codes == -1),
        "relabelled": (before >= 0) & (codes >= 0) & (before != codes),
    }


def _lengths_so_far(keyed: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """(P,) of a unit from its first place to each row's; NaN without an earlier place."""
    live = np.flatnonzero(keyed["x"].notna())
    links = trajectories.links(keyed.iloc[live])
    place = keyed[["x", "y"]].to_numpy()[live]
    clip = keyed[["step_clip", "from_first_clip"]].to_numpy(dtype=np.float64)[live].T
    later, known = links.previous >= 0, np.isfinite(clip[0])
    found = {
        "displacement": np.where(later, trajectories.lengths(place, links.first), np.nan),
        "path_length": np.where(
            later, trajectories.sums(trajectories.lengths(place, links.previous), links), np.nan
        ),
        "displacement_clip": clip[1],
        "path_length_clip": np.where(known, trajectories.sums(clip[0], links), np.nan),
    }
    whole = {name: np.full(len(keyed), np.nan) for name in found}
    for name, values in found.items():
        whole[name][live] = values
    return whole


def _spread(places: npt.NDArray[np.float64]) -> float:
    """Mean distance between two of the (P,2) places that are known."""
    x, y = places[np.isfinite(places[:, 0])].T
    n, total = len(x), 0.0
    if n < 2:
        return float("nan")
    step = max(1, _BLOCK // n)
    for start in range(0, n, step):  # a block with itself and with all that come after it
        end = min(start + step, n)
        dx, dy = x[start:end, None] - x[start:], y[start:end, None] - y[start:]
        distances = np.sqrt(dx * dx + dy * dy)
        total += distances[:, : end - start].sum() / 2 + distances[:, end - start :].sum()
    return total / (n * (n - 1) / 2)
