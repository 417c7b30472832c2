"""The similarity functions of `cmon score`, by name: a line for each.

The classes need torch, the command line's help must not: so a line says what the help says, and where the class is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from cmon.errors import OptionError

if TYPE_CHECKING:
    from cmon.scoring.similarity.base import Similarity


@dataclass(frozen=True)
class Entry:
    """A similarity function, as it can be described without torch."""

    module: str
    """In this folder."""
    class_name: str
    summary: str
    """One line."""
    top_k: int | None = None
    """The default of its parameter `top_k`; None if it looks at no fixed number of top images."""


ENTRIES = {
    "soft_wpmi": Entry("wpmi", "SoftWPMI", "soft weighted pointwise mutual information", top_k=100),
    "wpmi": Entry("wpmi", "WPMI", "weighted pointwise mutual information", top_k=28),
    "rank_reorder": Entry("rank_reorder", "RankReorder", "how well the concept orders a unit's top images"),
    "cos_similarity": Entry("cosine", "CosSimilarity", "cosine of activations and similarities"),
    "cos_similarity_cubed": Entry("cosine", "CosSimilarityCubed", "the same, centred and cubed"),
}


class _Classes(Mapping[str, "type[Similarity]"]):
    """From a name to its class, imported when it is asked for."""

    def __getitem__(self, name: str) -> type[Similarity]:
        entry = ENTRIES[name]
        found: type[Similarity] = getattr(import_module(f"{__package__}.{entry.module}"), entry.class_name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


SIMILARITIES: Mapping[str, type[Similarity]] = _Classes()


def create(name: str, top_k: int | None = None) -> Similarity:
    """The function of that name with CLIP-Dissect's parameters, except for the number of top images if it is given.

    Raises OptionError for a number of top images where the function has none.
    """
    if not top_k:
        return SIMILARITIES[name]()
    if ENTRIES[name].top_k is None:
        raise OptionError(f"--top-k: {name} has no fixed number of top images")
    return SIMILARITIES[name](top_k=top_k)  # type: ignore[call-arg]  # which of the classes is not known here
