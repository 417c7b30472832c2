"""The lottery ticket (Frankle & Carbin 2018, arXiv 1803.03635): magnitude pruning with rewinding, three rounds.

A round removes the smallest weights of what the last one trained, in all convolutions and linear layers together,
sets what is left back to the standard training's initial weights, and trains it. The last mask is the winning ticket.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from scripts.cases.setup import Setup
from scripts.cases.standard import standard
from scripts.cases.trainer import MASK, Start, Training, load_weights, train

ROUNDS = 3
KEPT = 0.15
"""Share of the weights that the winning ticket keeps: each round keeps the same share of what there is."""


def winning(setup: Setup, seed: int) -> Training:
    """The winning ticket from the initial weights. Its start trains what the rounds before it need."""
    return replace(_round(setup, seed, ROUNDS), name="winning")


def random_mask(setup: Setup, seed: int) -> Training:
    """The same initial weights under a mask that keeps as many in every layer, but by chance."""
    ticket = winning(setup, seed)

    def start() -> Start:
        mask = torch.load(setup.folder("winning", seed) / MASK, weights_only=True)
        return _rewound(setup, seed, shuffled(mask, seed))

    made_from = setup.made_from(ticket=ticket.digest)
    return replace(ticket, name="random-mask", start=start, made_from=made_from)


def pruned(network: nn.Module, mask: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The mask that keeps the largest weights, `share` of all in convolutions and linear layers together.

    network: trained; it is left as it was.
    mask: of the round before, empty for the first: what was removed stays so.
    Returns bool tensors by the names of the network's parameters.
    """
    copied = copy.deepcopy(network)
    layers = {
        f"{name}.weight": module
        for name, module in copied.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    for name, module in layers.items():
        prune.custom_from_mask(module, "weight", mask.get(name, torch.ones_like(module.weight)))
    masks = {name: module.get_buffer("weight_mask") for name, module in layers.items()}
    left = sum(int(kept.sum()) for kept in masks.values())
    total = sum(kept.numel() for kept in masks.values())
    parameters = [(module, "weight") for module in layers.values()]
    prune.global_unstructured(parameters, prune.L1Unstructured, amount=left - round(share * total))
    return {name: module.get_buffer("weight_mask").bool() for name, module in layers.items()}


def shuffled(mask: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Masks that keep as many weights of every tensor, at places that chance chooses."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: kept.flatten()[torch.randperm(kept.numel(), generator=generator)].view(kept.shape)
        for name, kept in mask.items()
    }


def _round(setup: Setup, seed: int, number: int) -> Training:
    """The training after `number` prunings; after none it is the standard training."""
    dense = standard(setup, seed)
    if not number:
        return dense
    before = _round(setup, seed, number - 1)

    def start() -> Start:
        folder = _folder(setup, seed, number - 1)
        if number > 1:
            train(before, folder)
        network = setup.untrained(len(before.pictures.names), seed)
        network.load_state_dict(load_weights(folder, before.settings.epochs))
        mask = torch.load(folder / MASK, weights_only=True) if number > 1 else {}
        return _rewound(setup, seed, pruned(network, mask, KEPT ** (number / ROUNDS)))

    return replace(
        dense,
        name=f"round-{number}",
        settings=replace(dense.settings, examiner=None),
        start=start,
        made_from=setup.made_from(before=before.digest, kept=str(KEPT ** (number / ROUNDS))),
    )


def _folder(setup: Setup, seed: int, number: int) -> Path:
    """Of a round's training. Those between the standard training and the winning ticket are no runs of a study."""
    if not number:
        return setup.folder("standard", seed)
    return setup.out / "lottery" / "rounds" / f"round-{number}@{seed}"


def _rewound(setup: Setup, seed: int, mask: Mapping[str, Tensor]) -> Start:
    """The standard training's first weights where the mask keeps them, and zero elsewhere."""
    weights = load_weights(setup.folder("standard", seed), 0)
    for name, kept in mask.items():
        weights[name] = weights[name] * kept
    network = setup.untrained(len(setup.task.names), seed)
    network.load_state_dict(weights)
    return Start(network, mask)
