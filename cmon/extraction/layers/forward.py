"""A forward pass with hooks that live only as long as it, and that a network's own code cannot get in the way of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]
"""Of (module, positional arguments, keyword arguments, output)."""
BeforeHook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]


class Stop(BaseException):
    """Ends a forward pass once all that is wanted was seen.

    Not an Exception, so that a network with `except Exception` around its blocks does not keep it for itself.
    """


@contextmanager
def hooked(
    after: Mapping[nn.Module, Hook], before: Mapping[nn.Module, BeforeHook] | None = None
) -> Iterator[None]:
    """Context in which the hooks are called after, or before, their modules run.

    They come after the hooks that a module has already, and so see what it passes on. TorchScript takes no hooks, and
    gets none.
    """
    with ExitStack() as handles:
        for module, hook in after.items():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        for module, before_hook in (before or {}).items():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.callback(module.register_forward_pre_hook(before_hook, with_kwargs=True).remove)
        yield


def run(network: nn.Module, batch: Tensor) -> None:
    """One forward pass without gradients, to its end or until a hook raises `Stop`.

    Raises whatever the network raises.
    """
    # `no_grad` and not `inference_mode`, in which networks fail that keep a tensor or take a gradient inside.
    with torch.no_grad(), uncompiled(), suppress(Stop):
        network(batch)


def give(network: nn.Module, batch: Tensor) -> Any:
    """What a forward pass without gradients gives. Raises whatever the network raises."""
    with torch.no_grad(), uncompiled():
        return network(batch)


def unwrapped(network: nn.Module) -> nn.Module:
    """The network inside torch.compile's, DataParallel's and DistributedDataParallel's wrappers."""
    while True:
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            break
    for module in network.modules():
        if isinstance(module, nn.DataParallel):  # inside: copies on several devices would hide from hooks
            module.device_ids = []
    return network


def uncompiled() -> AbstractContextManager[Any]:
    """Context in which compiled code runs as it was written: hooks of compiled modules may not be called."""
    # Not imported for it: where nothing has loaded the compiler, nothing is compiled.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
