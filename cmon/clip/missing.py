"""Which package an error is about that open_clip raises for want of it: in many types, and not always by name.

open_clip and transformers import what only some models need (transformers, timm, sentencepiece, ...) where they need
it. What fails then is an ImportError, a RuntimeError or ValueError that wraps it, or a use of None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "google": "protobuf",
    "open_clip": "open_clip_torch",
}
"""Modules whose package on PyPI is called otherwise."""
_INSTALL = re.compile(r"pip install (?:-U |--upgrade )?['\"`]?([A-Za-z][\w.-]*)")
_NEEDS = re.compile(
    r"(?:requires the|need to have|needs the) `?([A-Za-z][\w-]*)`?(?: library| package| or | installed)"
)


def missing_package(error: BaseException, model: Mapping[str, Any]) -> str | None:
    """The name with which to install what is missing; None if the error is about something else.

    model: the model_cfg that was to be built, or nothing where it is not known.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, ImportError) and one.name:
            return _distribution(one.name)
    for one in chain:
        for pattern in (_INSTALL, _NEEDS):
            for name in pattern.findall(str(one)):
                if name != "git" and not _is_there(name.lower().replace("-", "_")):
                    return _distribution(name.lower())
    return next((name for name in _needed(model) if not _is_there(name)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _needed(model: Mapping[str, Any]) -> list[str]:
    """Modules that a model of this configuration is built with, beside open_clip's own."""
    text, vision = (model.get(part) or {} for part in ("text_cfg", "vision_cfg"))
    needed = ["transformers"] if text.get("hf_tokenizer_name") or text.get("hf_model_name") else []
    return needed + (["timm"] if vision.get("timm_model_name") else [])


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return _DISTRIBUTIONS.get(top, top)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
