"""torch's optimizers by name and options: AdamW, or SGD:momentum=0.9,weight_decay=5e-4."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import click
import torch
from torch import nn


def build_optimizer(
    spec: str, parameters: Iterable[nn.Parameter], learning_rate: float
) -> torch.optim.Optimizer:
    """The optimizer that `spec` names. Raises click.UsageError for a name or an option that torch does not have."""
    name, _, listed = spec.partition(":")
    found = getattr(torch.optim, name, None)
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise click.UsageError(f"--optimizer {spec}: torch.optim has no optimizer {name!r}")
    builder: Any = found  # each has its own options
    try:
        call: Any = ast.parse(f"dict({listed})", mode="eval").body
        if call.args:
            raise ValueError(f"{ast.unparse(call.args[0])} has no value")
        options = {str(given.arg): ast.literal_eval(given.value) for given in call.keywords}
        optimizer: torch.optim.Optimizer = builder(parameters, lr=learning_rate, **options)
    except (SyntaxError, TypeError, ValueError) as error:
        raise click.UsageError(
            f"--optimizer {spec}: expected NAME:OPTION=NUMBER,OPTION=NUMBER with options of torch.optim.{name}; {error}"
        ) from error
    return optimizer
