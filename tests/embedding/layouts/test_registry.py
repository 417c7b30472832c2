"""Every layout is what the registry says, and the list of them costs nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from cmon.embedding.layouts.anchored import Anchored
from cmon.embedding.layouts.base import UpdatableLayout
from cmon.embedding.layouts.registry import DEFAULT, LAYOUTS, create_layout, option_names
from cmon.embedding.layouts.umap import Umap
from cmon.errors import OptionError
from tests.support.directions import directions, training


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_the_name_that_it_is_listed_under_and_only_defaults(name: str) -> None:
    layout = create_layout(name)
    assert layout.name == name
    assert LAYOUTS[name].summary
    assert is_dataclass(layout)
    assert layout == type(layout)(), "equal options, equal layouts"
    assert hash(layout) == hash(type(layout)()), "frozen"


@pytest.mark.parametrize("name", LAYOUTS)
def test_points_that_are_too_few_for_a_neighbourhood_have_places(name: str) -> None:
    anchors = directions(1)
    found = create_layout(name).fit(training(anchors, 1, 2, still=0), anchors, np.empty((0, 24)), 0)
    assert (found.points.shape, found.anchors.shape) == ((2, 2), (1, 2))
    assert np.isfinite(found.points).all()


def test_all_but_the_aligned_layout_can_grow() -> None:
    able = [name for name in LAYOUTS if isinstance(create_layout(name), UpdatableLayout)]
    assert able == ["umap", "anchored", "joint", "pca"]


def test_options_belong_to_their_layout() -> None:
    assert create_layout("anchored", temperature=0.3) == Anchored(0.3)
    assert option_names(Anchored) == [field.name for field in fields(Anchored)] == ["temperature"]
    with pytest.raises(OptionError, match="--temperature is of --layout anchored only"):
        create_layout("pca", temperature=0.3)
    with pytest.raises(OptionError, match="--colour: no layout has this option"):
        create_layout("pca", colour="red")
    with pytest.raises(OptionError, match=r"(?s)--layout umapp.*one of umap, anchored, joint, aligned, pca"):
        create_layout("umapped")
    assert create_layout(DEFAULT) == Umap()


def test_the_list_is_cheap_and_a_layout_imports_only_what_it_needs() -> None:
    program = (
        "import sys\n"
        "def heavy(): return sorted({'numpy', 'torch', 'scipy', 'sklearn', 'umap', 'pandas'} & set(sys.modules))\n"
        "from cmon.embedding.layouts import registry; print(heavy())\n"
        "for name in registry.LAYOUTS: registry.create_layout(name)\n"
        "print(heavy())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['numpy']"]
