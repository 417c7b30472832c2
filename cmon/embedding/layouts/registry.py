"""All layouts by name: what `--layout` offers. A new layout is a file here and a line below.

Importing this costs nothing, so that `cmon --help` can list them: a layout's own file is imported when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cmon.errors import OptionError, require_known

if TYPE_CHECKING:
    from cmon.embedding.layouts.base import Layout

DEFAULT = "umap"


@dataclass(frozen=True)
class Entry:
    """Where a layout is to be found, and what to say of it."""

    path: str
    """FILE:CLASS, in this folder."""
    summary: str
    """A few words for the help."""

    def load(self) -> type[Layout]:
        module, name = self.path.split(":")
        return getattr(import_module(f"cmon.embedding.layouts.{module}"), name)


LAYOUTS = {
    "umap": Entry("umap:Umap", "one UMAP aligned over all epochs, the concepts fixed"),
    "anchored": Entry("anchored:Anchored", "each unit between the concepts it resembles, at once"),
    "joint": Entry("joint:Joint", "one UMAP of all units and anchors, none fixed"),
    "aligned": Entry("aligned:Aligned", "umap-learn's AlignedUMAP"),
    "pca": Entry("pca:Pca", "the principal plane"),
}


def create_layout(name: str, **options: Any) -> Layout:
    """The layout of that name, with options of its own. Raises OptionError if there is no such layout or option."""
    require_known("--layout", name, LAYOUTS)
    layout = LAYOUTS[name].load()
    for option in options:
        if option not in option_names(layout):
            owners = [other for other in LAYOUTS if option in option_names(LAYOUTS[other].load())]
            if not owners:
                raise OptionError(f"--{option}: no layout has this option")
            raise OptionError(f"--{option} is of --layout {' or '.join(owners)} only")
    return layout(**options)


def option_names(layout: Layout | type[Layout]) -> list[str]:
    return [field.name for field in fields(layout)]
