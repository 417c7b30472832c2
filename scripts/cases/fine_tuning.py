"""A trained network learns a new task, and beside it one from scratch."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from scripts.cases.setup import Setup
from scripts.cases.standard import base, from_scratch, standard
from scripts.cases.trainer import Start, Training, load_weights

RATE = 0.1
"""Of the standard rate, for all layers."""


def scratch(setup: Setup, seed: int) -> Training:
    """The new task from the weights of the seed, at the standard rate."""
    return from_scratch("scratch", setup, seed, setup.new_task)


def given_recipe(setup: Setup) -> str:
    """The recipe of the network that is fine-tuned."""
    return "standard" if setup.data is None else "base"


def fine_tuned(setup: Setup, seed: int) -> Training:
    """The new task from the last weights of a network of the old one; only the head is new, drawn from the seed."""
    pictures = setup.new_task
    given = (standard if given_recipe(setup) == "standard" else base)(setup, seed)
    folder = setup.folder(given_recipe(setup), seed)
    settings = setup.settings(seed)

    def start() -> Start:
        network = setup.untrained(len(pictures.names), seed)
        return Start(with_weights(network, load_weights(folder, given.settings.epochs)))

    return Training(
        "fine-tuned",
        replace(settings, learning_rate=RATE * settings.learning_rate),
        pictures,
        start,
        setup.made_from(given=given.digest),
    )


def with_weights(network: nn.Module, given: dict[str, Tensor]) -> nn.Module:
    """The network with all given weights but those of the head, the last linear layer."""
    head = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    own = network.state_dict()
    kept = {name: own[name] if name.rpartition(".")[0] == head else tensor for name, tensor in given.items()}
    network.load_state_dict(kept)
    return network
