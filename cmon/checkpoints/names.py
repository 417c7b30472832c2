"""The epoch and step in the names of a run's checkpoints, and which of them were saved in the middle of an epoch.

What a number counts is told by the word beside it (`numbers`). Where several may be the epoch, the names of the
run are looked at together: the number that differs from file to file counts, one that never varies does not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cmon.checkpoints.formats.registry import SUFFIXES
from cmon.checkpoints.numbers import Kind, Number, find_numbers

_WITHIN = re.compile(r"(?<![a-z])it[-_=]?(\d+)(?![a-z\d])", re.IGNORECASE)  # open_lth: model_ep3_it40.pth
_RECOVERY = re.compile(r"recovery-(\d+)-(\d+)$")  # timm: epoch and batch
_VERSION = re.compile(r"-v(\d+)$")  # Lightning, where a file of that name existed
_SPECIAL = re.compile(r"(?<![a-z])(best|last|latest|newest|final|recovery|milestone)(?![a-z])", re.I)
_AVERAGED = re.compile(r"[-_.]?(?<![a-z\d])(?:model)?(?:ema|swa|averaged?)(?![a-z\d])", re.IGNORECASE)
_SAYS_NOTHING = re.compile(
    r"checkpoint|ckpt|model|weights|network|net|pytorch|state|dict|training|snapshot|rank0|[-_. ]", re.I
)
_ONLY_COUNTS = re.compile(
    r"checkpoint|ckpt|model|weights|epochs?|ep|e|global|steps?|iter(ation)?s?|it|ba|rank0|[-_=. \d]", re.I
)


@dataclass(frozen=True)
class ParsedName:
    """What one name says; None where it says nothing."""

    epoch: float | None = None
    step: int | None = None
    """Counted over the whole training."""
    partial: bool = False
    """Saved in the middle of its epoch."""
    version: int = 0
    """Lightning's `-v1`: saved later than the file of the same name without it."""
    unlabelled: bool = field(default=False, compare=False)
    """Whether no word says that the number is an epoch: it is the step if it equals a stored step."""
    ambiguous: tuple[float, ...] = field(default=(), compare=False)
    """Numbers of which any could be the epoch, where it cannot be told which."""
    constant: str | None = field(default=None, compare=False)
    """A number that looked more like the epoch, but is the same in all names."""
    series: str = field(default="", compare=False)
    """The name without what differs between the checkpoints of one training: `fold1/epoch_*.pt`."""
    special: bool = field(default=False, compare=False)
    """Whether it is one of a kind, such as `best` or `last`, or says nothing, as `checkpoint.pth`."""


@dataclass(frozen=True)
class _Place:
    """One number of a name, and where it stands."""

    number: Number
    depth: int
    """0 in the file's own name, 1 in that of its folder, ..."""
    part: str

    def rank(self, varies: bool) -> int | None:
        """How likely it is the epoch, 0 the most; None where it cannot be."""
        kind, in_file = self.number.kind, self.depth == 0
        whole = not _ONLY_COUNTS.sub("", self.part)
        if kind is Kind.EPOCH:
            if self.number.total:
                return 4
            return 0 if in_file else 1 if whole else 5
        if kind is Kind.SAVED:
            return 2 if in_file else 6
        if kind is Kind.BARE:
            return 3 if in_file else 7 if self.part.isdecimal() else None
        if kind is Kind.DOUBTFUL:
            return 8 if in_file and varies else None
        return None


def parse_names(names: Mapping[str, bool]) -> dict[str, ParsedName]:
    """What the names of one run's checkpoints say.

    names: paths relative to the run's folder, with forward slashes; for each, whether the number in `checkpoint-500`
    is a step (see `Format.counts_steps`).
    """
    places = {name: _find_places(name) for name in names}
    groups: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for name, counts_steps in names.items():
        groups[_series(name, places[name], lambda _: True), counts_steps].append(name)
    found = {}
    for (_, counts_steps), members in groups.items():
        varying = [
            len({place.number.value for place in column}) > 1
            for column in zip(*(places[name] for name in members), strict=True)
        ]
        for name in members:
            found[name] = _parse(name, places[name], varying, counts_steps)
    return found


def parse_name(name: str, counts_steps: bool = False) -> ParsedName:
    """What one name says, with no others to compare it with; see `parse_names`."""
    return parse_names({name: counts_steps})[name]


def averaged_twin(name: str) -> str | None:
    """The name of the raw weights' file beside one of averaged weights: `epoch_3.pth` for `epoch_3_ema.pth`."""
    folder, slash, file = name.rpartition("/")
    twin = _AVERAGED.sub("", file).lstrip("-_.")
    return folder + slash + twin if twin != file else None


def _find_places(name: str) -> list[_Place]:
    """The numbers of all parts, those of the file first."""
    found = []
    for depth, part in enumerate(reversed(name.split("/"))):
        stem = _stem(part)
        found += [_Place(number, depth, stem) for number in find_numbers(stem)]
    return found


def _stem(part: str) -> str:
    for suffix in SUFFIXES:
        if part.endswith(suffix):
            part = part.removesuffix(suffix)
            break
    return _VERSION.sub("", part)


def _series(name: str, places: Sequence[_Place], is_left_out: object) -> str:
    """The name with `*` in place of numbers."""
    parts = name.split("/")
    assert callable(is_left_out)
    for depth in range(len(parts)):
        part = parts[-1 - depth]
        for place in sorted(places, key=lambda place: -place.number.start):
            if place.depth == depth and is_left_out(place):
                start, text = place.number.start, place.number.text
                part = part[:start] + "*" + part[start + len(text) :]
        parts[-1 - depth] = re.sub(r"-v\d+(?=\.\w+$)", "", part)
    return "/".join(parts)


def _parse(name: str, places: Sequence[_Place], varying: Sequence[bool], counts_steps: bool) -> ParsedName:
    """What one name says, where it is known which of its numbers differ from file to file."""
    file = name.rpartition("/")[2]
    recovery = _RECOVERY.search(_stem(file))
    version = _VERSION.search(_remove_suffix(file))
    steps = [place for place in places if place.number.kind is Kind.STEP]
    ranked = _rank(places, varying)
    found = ParsedName(version=int(version[1]) if version else 0)
    if recovery:
        found = replace(found, epoch=float(recovery[1]), partial=True)
    elif counts_steps and not steps and (saved := [p for p, _ in ranked if p.number.kind is Kind.SAVED]):
        found, steps = replace(found, step=int(saved[0].number.value)), [saved[0]]
    else:
        found = _choose(found, ranked, steps)
    within = _WITHIN.search(_stem(file))
    if within and found.epoch is not None:
        found = replace(found, partial=int(within[1]) > 0)
    counted = [place for place, _ in ranked[:1]] + steps

    def is_left_out(place: _Place) -> bool:
        return place in counted or place.number.varies or place.number.kind in (Kind.EPOCH, Kind.STEP)

    numbered = found.epoch is not None or found.step is not None
    return replace(
        found,
        series=_series(name, places, is_left_out),
        special=bool(_SPECIAL.search(file)) or not (numbered or _SAYS_NOTHING.sub("", _stem(file))),
    )


def _remove_suffix(part: str) -> str:
    return next((part.removesuffix(suffix) for suffix in SUFFIXES if part.endswith(suffix)), part)


def _rank(places: Sequence[_Place], varying: Sequence[bool]) -> list[tuple[_Place, bool]]:
    """What may be the epoch, the likeliest first, each with whether it varies."""
    ranked = [
        (rank, place, varies)
        for place, varies in zip(places, varying, strict=True)
        if (rank := place.rank(varies)) is not None
    ]
    ranked.sort(key=lambda entry: entry[0])
    if any(varies for *_, varies in ranked) and not ranked[0][2]:
        ranked.sort(key=lambda entry: (not entry[2], entry[0]))
    return [(place, varies) for _, place, varies in ranked]


def _choose(found: ParsedName, ranked: Sequence[tuple[_Place, bool]], steps: Sequence[_Place]) -> ParsedName:
    """The name's epoch and step."""
    step = int(steps[0].number.value) if steps else None
    if not ranked:
        return replace(found, step=step)
    first, varies = ranked[0]
    labelled = first.number.kind is Kind.EPOCH
    if step is not None and not labelled:
        return replace(found, step=step)
    rivals = [
        place.number.value
        for place, other_varies in ranked
        if place.depth == first.depth and other_varies == varies and _is_rival(first, place)
    ]
    if len(set(rivals)) > 1:
        return replace(found, ambiguous=tuple(rivals), step=step)
    better = [place for place, other in ranked if place.rank(other) < first.rank(varies)]  # type: ignore[operator]
    constant = better[0].number.text if better and varies else None
    return replace(found, epoch=first.number.value, step=step, unlabelled=not labelled, constant=constant)


def _is_rival(first: _Place, other: _Place) -> bool:
    """Whether another number may as well be the epoch: of the same kind, or all epochs beside a number alone."""
    kinds = {first.number.kind, other.number.kind}
    if first.number.kind is other.number.kind:
        return first.number.total == other.number.total
    return kinds <= {Kind.EPOCH, Kind.BARE} and (first.number.total or other.number.total)
