"""The kinds of objects of the drawn world, by name."""

from . import creatures, household, mammals, nature, vehicles
from .kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind for family in (mammals, creatures, vehicles, household, nature) for kind in family.KINDS
}
PARTS: tuple[str, ...] = tuple(sorted({part for kind in KINDS.values() for part in kind.parts}))

__all__ = ["KINDS", "PARTS", "Kind"]
