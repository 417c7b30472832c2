"""Classes that programs store beside the weights and that hold data: read without running any code of theirs."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import types
from functools import cache
from typing import Any


class Inert:
    """In place of an object that is not looked at: takes whatever a pickle gives it and keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


_UNREAD = (
    "mmengine.logging.history_buffer.HistoryBuffer",  # MMEngine's message_hub
    "mmengine.config.config.ConfigDict",
    "builtins.getattr",  # the methods of a HistoryBuffer; what takes its place gets no attribute of anything
    "fastcore.foundation.L",  # fastai's optimizer
    "numpy.ndarray",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__generator_ctor",
)
"""Names of classes, and of functions that make one, whose objects become `Inert`."""


@cache
def plain_data_classes() -> list[Any]:
    """What may stand in a pickle besides tensors, in the form that `torch.serialization.safe_globals` takes.

    That is a class, or a class with the name that a pickle knows it by.
    """
    import numpy as np

    dtypes = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    # The function that makes a numpy scalar has another module in numpy 1 and 2; a file may name either.
    make_scalar = np.float64(0).__reduce__()[0]
    scalars = [(make_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    paths = [
        (pathlib.PurePosixPath, f"{module}.{name}Path")
        for module in ("pathlib", "pathlib._local")
        for name in ("Posix", "Windows", "PurePosix", "PureWindows")
    ]
    times = [datetime.timedelta, datetime.datetime, datetime.date, datetime.time, datetime.timezone]
    unread = [(type("Unread", (Inert,), {}), name) for name in _UNREAD]
    return [argparse.Namespace, types.SimpleNamespace, np.dtype, *dtypes, *scalars, *paths, *times, *unread]
