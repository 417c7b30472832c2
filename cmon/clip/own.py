"""The user's own embedders: what one must have, and when its factory must be called.

The factory is called once in a process. Its embedder's `name` is part of the identity of all that it makes, and is
needed before it is known whether there is anything to do. A name that stands in the module as plain text is the same
as long as the module is: then the factory need not be called to learn it. A name that is computed can depend on
anything (the weights' content, ideally), so that the factory must be asked.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from cmon.errors import CmonError
from cmon.user_code import python_object
from cmon.workspace.files import atomic_write


class Embedder(Protocol):
    """Embeds images and texts in one space of D dimensions. A user's own object needs just these four."""

    @property
    def name(self) -> str:
        """Identifies the features in the cache: another name, other features."""

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """From an RGB image to a (3,H,W) tensor, of one size for all images."""

    def encode_images(self, batch: Tensor) -> Tensor:
        """(B,3,H,W) float32 to (B,D) of floats; need not be normalized."""

    def encode_texts(self, texts: list[str]) -> Tensor:
        """C texts to (C,D) of floats; need not be normalized."""


_made: dict[tuple[str, str | None], Embedder] = {}
"""By the spec and the content of the module, which a user of a notebook may have changed."""


def load(spec: str, reference: str) -> Embedder:
    """The embedder of `python:REFERENCE`, the same object as long as its module is the same.

    Raises CmonError when the factory cannot be found or fails, or gives something else.
    """
    key = (spec, _digest(_source(reference)))
    if key not in _made:
        _made[key] = _checked(spec, _call(spec, reference))
    return _made[key]


def name(spec: str, reference: str, memory: Path | None) -> str:
    """The embedder's name, without calling the factory where it has once said just what its module says.

    memory: a file in which that is kept. Raises CmonError as `load` does.
    """
    source = _source(reference)
    key = (spec, _digest(source))
    written = None if source is None else written_name(source)
    if key in _made or written is None or memory is None:
        return load(spec, reference).name
    said = {"clip": spec, "module": key[1], "name": written}
    if _remembered(memory) == said:
        return written
    found = load(spec, reference).name
    if found == written:
        _remember(memory, said)
    return found


def forget(memory: Path) -> None:
    """Have the factory asked again."""
    with suppress(OSError):
        memory.unlink()


def written_name(source: bytes) -> str | None:
    """What a module's text gives all that is called `name`, where that is one plain text; None where it is not.

    >>> written_name(b"class Mine:\\n    name = 'my net, 2nd training'")
    'my net, 2nd training'
    >>> written_name(b"class Mine:\\n    name = f'my net {VERSION}'") is None
    True
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    given = [value for node in ast.walk(tree) for value in _given_to_name(node)]
    texts = {value.value if isinstance(value, ast.Constant) else None for value in given}
    only = texts.pop() if len(texts) == 1 else None
    return only if isinstance(only, str) else None


def _given_to_name(node: ast.AST) -> list[ast.AST]:
    """What a piece of a program gives to what is called `name`; the piece itself if that is unclear."""
    if isinstance(node, ast.Assign):
        return [node.value if _is_name(target) else node for target in node.targets if _has_name(target)]
    if isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        # With a type it can be the default of a dataclass, which is not what an object of it has.
        return [node] if node.value is not None and _has_name(node.target) else []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "name":
        (first, *more) = node.body
        return [first.value if isinstance(first, ast.Return) and first.value and not more else node]
    if isinstance(node, ast.keyword) and node.arg == "name":
        return [node.value]
    if isinstance(node, ast.Dict):
        keys = zip(node.keys, node.values, strict=True)
        return [value for key, value in keys if isinstance(key, ast.Constant) and key.value == "name"]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
        return [node]
    return []


def _is_name(target: ast.AST) -> bool:
    return getattr(target, "id", None) == "name" or getattr(target, "attr", None) == "name"


def _has_name(target: ast.AST) -> bool:
    return any(_is_name(part) for part in ast.walk(target))


def _source(reference: str) -> bytes | None:
    """The text of the module, found without importing it; None where that cannot be."""
    module, _, _ = reference.rpartition(":")
    try:
        if module.endswith(".py"):
            return Path(module).read_bytes()
        found = importlib.util.find_spec(module)
        return Path(found.origin).read_bytes() if found and found.origin else None
    except Exception:  # packages around it are imported, and can fail in any way; `load` says so
        return None


def _digest(source: bytes | None) -> str | None:
    return None if source is None else sha256(source).hexdigest()


def _remembered(memory: Path) -> Any:
    try:
        return json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remember(memory: Path, said: dict[str, Any]) -> None:
    with (
        suppress(CmonError),
        atomic_write(memory) as aside,
    ):  # where nothing can be written it is asked each time
        aside.write_text(json.dumps(said), encoding="utf-8")


def _call(spec: str, reference: str) -> Any:
    factory = python_object(reference, "--clip")
    try:
        return factory()
    except Exception as error:  # a user's factory can fail in any way
        raise CmonError(
            f"--clip {spec}: its factory failed",
            expected="a function or class that gives an embedder when it is called without arguments",
            found=f"{type(error).__name__}: {error}",
            hint="call it in Python to see where",
        ) from error


def _checked(spec: str, embedder: Any) -> Embedder:
    kinds = {"name": "a text", **dict.fromkeys(("preprocess", "encode_images", "encode_texts"), "a function")}
    for attribute, kind in kinds.items():
        value = getattr(embedder, attribute, None)
        if callable(value) if kind == "a function" else isinstance(value, str) and value.strip():
            continue
        has = (
            f"whose {attribute} is {value!r}, not {kind}"
            if hasattr(embedder, attribute)
            else f"without {attribute}"
        )
        raise CmonError(
            f"--clip {spec}: is no embedder",
            expected="an object with name, preprocess, encode_images and encode_texts",
            found=f"a {type(embedder).__name__} {has}",
        )
    return embedder
