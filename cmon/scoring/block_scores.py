"""The scores of all units and pseudo-units for one block of concepts, some units at a time, and the best of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cmon.scoring.first_epoch import Moments
from cmon.scoring.priors import Baseline, Chance, Prior, PriorInputs
from cmon.scoring.pseudo_units import random_orders
from cmon.scoring.similarity.base import Similarity, Units, concatenate
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.room import Room, make_room
from cmon.top_k import TopK, top_k


@dataclass(frozen=True)
class Method:
    """How units are scored."""

    similarity: Similarity
    prior: Prior
    pseudo_units: int
    """How many; for each layer, where layers do not share them."""
    seed: int = 0
    """Of the pseudo-units."""
    kept: int = 10
    """Best concepts kept of each unit."""


@dataclass(frozen=True)
class LayerUnits:
    """The units of one run, layer and epoch that are to be scored: at least one."""

    units: Units
    """What the similarity function keeps of them."""
    pseudo: Units | None
    """The layer's own pseudo-units; None where the function sees only orders, and all layers share them."""

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.units, *(self.pseudo or ())))

    def __len__(self) -> int:
        return len(self.units[0])


@dataclass
class BlockScores:
    """What one block of concepts tells: nothing in it is of the size of units times concepts."""

    best: TopK
    """Of all layers' units, with positions in the whole list of concepts."""
    null_best: list[Tensor]
    """(M,), pseudo-units' best scores over the block's concepts: of each layer, one for all, or none if known."""
    null: dict[str, Tensor] = field(default_factory=dict)
    """What `Shared.null` is made of, for the block's concepts; empty if known."""
    moments: dict[int, Moments] = field(default_factory=dict)
    """Of the layers, by their number, that they were asked of."""


class BlockScorer(ABC):
    """All units and pseudo-units, ready to be scored against one block of concepts after the other."""

    def __init__(
        self, method: Method, layers: Sequence[LayerUnits], described: Sequence[bool], room: Room
    ) -> None:
        self.function, self.prior, self.kept = method.similarity, method.prior, method.kept
        self.layers, self.described = layers, described
        self.room = room

    @abstractmethod
    def score(self, concepts: slice, block: Block) -> BlockScores:
        """The block's scores."""

    def baseline(self, chance: Callable[[], Chance], evidence: Tensor) -> Baseline:
        """evidence: (K,C') of a layer's units."""
        return self.prior.baseline(
            PriorInputs(chance=chance, layer_prior=lambda: self.function.layer_prior(evidence))
        )

    def best(self, scores: Tensor, concepts: slice) -> TopK:
        """Of (k,C') scores for the block's concepts."""
        return top_k(scores, self.kept, start=concepts.start)


def make_scorer(
    method: Method,
    images: Tensor,
    layers: Sequence[LayerUnits],
    null: dict[str, Tensor],
    described: Sequence[bool],
) -> BlockScorer:
    """null: of `Shared`. described: of which layers moments are asked for."""
    device = images.device
    together = method.prior.from_layer or any(
        described
    )  # what is made of a layer needs all of its units at once
    least = max(len(layer) for layer in layers) if together else 1
    if not method.similarity.order_only:
        return _OwnNullScorer(method, layers, described, make_room(len(images), 0, device, least))
    top_images = method.similarity.top_images(len(images)) or len(images)
    orders = None
    if not null:
        orders = random_orders(len(images), method.pseudo_units, top_images, method.seed).int().to(device)
    room = make_room(len(images), method.pseudo_units, device, least)
    known = {name: tensor.to(device) for name, tensor in null.items()}
    return _SharedNullScorer(method, layers, described, room, known, orders, whole=together)


class _SharedNullScorer(BlockScorer):
    """Where only orders count: pseudo-units that all layers share, unless they are known."""

    def __init__(
        self,
        method: Method,
        layers: Sequence[LayerUnits],
        described: Sequence[bool],
        room: Room,
        null: dict[str, Tensor],
        orders: Tensor | None,
        *,
        whole: bool,
    ) -> None:
        super().__init__(method, layers, described, room)
        self.null, self.orders = null, orders
        self.pieces = pieces([len(layer) for layer in layers], room.units, whole=whole)

    def score(self, concepts: slice, block: Block) -> BlockScores:
        pseudo = self._pseudo(concepts, block)
        if self.prior.from_layer:
            return self._score_by_layer(concepts, block, pseudo)
        if self.null:
            chance = Chance(self.null["mean"][concepts], self.null["deviation"][concepts], sampled=True)
        else:
            chance = self.function.chance(block, (), pseudo)
        baseline = self.baseline(lambda: chance, pseudo)
        best, moments = [], {}
        for parts, evidence in self._evidence(block):
            scores = baseline.score(evidence)
            best.append(self.best(scores, concepts))
            for (number, _), own in zip(parts, scores.split([_rows(part) for part in parts]), strict=True):
                if self.described[number]:
                    moments[number] = Moments.of(own.cpu().numpy())
        null_best = [] if self.null else [baseline.score(pseudo).amax(dim=1)]
        null = {} if self.null else {"mean": chance.mean, "deviation": chance.deviation}
        return BlockScores(_stack(best), null_best, null, moments)

    def _score_by_layer(self, concepts: slice, block: Block, pseudo: Tensor) -> BlockScores:
        best, null_best, moments = [], [], {}
        for parts, evidence in self._evidence(block):
            for (number, _), own in zip(parts, evidence.split([_rows(part) for part in parts]), strict=True):
                baseline = self.baseline(lambda: Chance.estimate(pseudo), own)
                scores = baseline.score(own)
                best.append(self.best(scores, concepts))
                null_best.append(baseline.score(pseudo).amax(dim=1))
                if self.described[number]:
                    moments[number] = Moments.of(scores.cpu().numpy())
        return BlockScores(_stack(best), null_best, {} if self.null else {"evidence": pseudo}, moments)

    def _pseudo(self, concepts: slice, block: Block) -> Tensor:
        """(M,C') evidence of the pseudo-units, or of none where what chance gives is known."""
        if self.orders is not None:
            return self.function.evidence(block, (self.orders,))
        if self.prior.from_layer:
            return self.null["evidence"][:, concepts]
        return self.null["mean"].new_empty(0, concepts.stop - concepts.start)

    def _evidence(self, block: Block) -> Iterator[tuple[list[tuple[int, slice]], Tensor]]:
        """(the layers' numbers and rows, their evidence), some units at a time."""
        for parts in self.pieces:
            units = [_cut(self.layers[number].units, rows) for number, rows in parts]
            yield parts, self.function.evidence(block, units[0] if len(units) == 1 else concatenate(units))


class _OwnNullScorer(BlockScorer):
    """Where activations count: each layer with its own pseudo-units, whose chance has a closed form."""

    def score(self, concepts: slice, block: Block) -> BlockScores:
        best, null_best, moments = [], [], {}
        for number, layer in enumerate(self.layers):
            baseline = None
            for units in self._cuts(layer.units, whole=self.prior.from_layer or self.described[number]):
                evidence = self.function.evidence(block, units)
                baseline = self._of(block, units, evidence)
                scores = baseline.score(evidence)
                best.append(self.best(scores, concepts))
                if self.described[number]:
                    moments[number] = Moments.of(scores.cpu().numpy())
            found = []
            for units in self._cuts(layer.pseudo or (), whole=False):
                evidence = self.function.evidence(block, units)
                of_layer = baseline if self.prior.from_layer else None
                found.append((of_layer or self._of(block, units, evidence)).score(evidence).amax(dim=1))
            null_best.append(torch.cat(found))
        return BlockScores(_stack(best), null_best, moments=moments)

    def _cuts(self, units: Units, *, whole: bool) -> Iterator[Units]:
        for ((_, rows),) in pieces([len(units[0])], self.room.units, whole=whole):
            yield _cut(units, rows)

    def _of(self, block: Block, kept: Units, evidence: Tensor) -> Baseline:
        return self.baseline(lambda: self.function.chance(block, kept, evidence), evidence)


def pieces(sizes: Sequence[int], most: int, *, whole: bool) -> list[list[tuple[int, slice]]]:
    """The rows of consecutive layers, `most` at a time: (the layer's number, rows of it) in order.

    whole: no layer is cut, and one of more rows than `most` is a piece of its own.
    """
    found: list[list[tuple[int, slice]]] = []
    room = 0
    for number, size in enumerate(sizes):
        start = 0
        while start < size:
            if room <= 0 or (whole and size > room):
                found.append([])
                room = max(1, most, size if whole else 1)
            stop = min(size, start + room)
            found[-1].append((number, slice(start, stop)))
            room -= stop - start
            start = stop
    return found


def _rows(part: tuple[int, slice]) -> int:
    return part[1].stop - part[1].start


def _cut(units: Units, rows: slice) -> Units:
    return tuple(tensor[rows] for tensor in units)


def _stack(parts: Sequence[TopK]) -> TopK:
    """Of the rows of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return TopK(
        torch.cat([one.values for one in parts]), torch.cat([one.indices for one in parts]), parts[0].k
    )
