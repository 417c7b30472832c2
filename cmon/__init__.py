"""cmon shows what the neurons of an image network learn while it trains.

    import cmon

    cmon.extract("work", {"standard": "runs/standard"}, "images", model="torchvision:resnet18", layers=["layer4"])
    cmon.score("work", "concepts.csv")
    cmon.embed("work")
    cmon.report("work")
    cmon.Workspace("work").frame("d_anchor")

The commands `cmon extract`, `score`, `embed`, `report` and `watch` call these same functions. Importing cmon loads
nothing else: each function loads what it needs when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmon.api import drop, embed, extract, plan, report, score
    from cmon.errors import CmonError
    from cmon.watching.watch import watch
    from cmon.workspace.workspace import Workspace

__version__ = "0.3.0"
__all__ = [
    "CmonError",
    "Workspace",
    "__version__",
    "drop",
    "embed",
    "extract",
    "plan",
    "report",
    "score",
    "watch",
]

_WHERE = {
    **dict.fromkeys(("extract", "plan", "score", "embed", "report", "drop"), "cmon.api"),
    "watch": "cmon.watching.watch",
    "CmonError": "cmon.errors",
    "Workspace": "cmon.workspace.workspace",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cmon' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
