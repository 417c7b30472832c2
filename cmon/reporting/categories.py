"""The categories of concepts, in the one order in which tables, figures and the page list them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

BRODEN = ("object", "part", "scene", "material", "texture", "color")
"""The categories of Broden (Bau et al. 2017), in the order in which figures stack them."""
NO_CATEGORY = "no category"
"""Of a label for which the concept list gives no category."""


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once: those of BRODEN first, then others alphabetically, NO_CATEGORY last."""
    found = set(names)
    others = sorted(found - {*BRODEN, NO_CATEGORY})
    return [name for name in (*BRODEN, *others, NO_CATEGORY) if name in found]


def label_categories(units: pd.DataFrame) -> pd.Series:
    """The category of each row's label, NO_CATEGORY for a label without; NaN if the unit is not interpretable."""
    return units["category"].fillna(NO_CATEGORY).where(units["interpretable"])


def interpretable_categories(units: pd.DataFrame) -> list[str]:
    """The categories of interpretable units' labels, in order."""
    return in_order(label_categories(units).dropna())
