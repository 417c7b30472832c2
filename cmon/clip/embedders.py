"""From a `--clip` spec to an embedder, which embeds images and texts in one space.

All open_clip models are loaded by `open_clip`, from `ViT-B-16:openai` to a folder on disk; `python:` names the user's
own embedder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from cmon.clip import open_clip, weights
from cmon.errors import CmonError
from cmon.user_code import python_object
from cmon.workspace.files import digest


class Embedder(Protocol):
    """Embeds images and texts in one space of D dimensions. A user's own object needs just these four."""

    @property
    def name(self) -> str:
        """Identifies the features in the cache: another name, other features."""

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """From an RGB image to a (3,H,W) tensor."""

    def encode_images(self, batch: Tensor) -> Tensor:
        """(B,3,H,W) to (B,D); need not be normalized."""

    def encode_texts(self, texts: list[str]) -> Tensor:
        """C texts to (C,D); need not be normalized."""


def identity(spec: str) -> str:
    """A hash of what the features depend on, without loading the model: file contents where there are files.

    Raises CmonError when a named folder is not there.
    """
    kind, _, rest = spec.partition(":")
    return digest(spec, _load_user_embedder(spec, rest).name) if kind == "python" else weights.identity(spec)


def load(spec: str, device: str = "cpu", precision: str = "fp32") -> Embedder:
    """Load the embedder that a spec names.

    Raises CmonError when it does not exist, when its weights are not available on this machine, or when they need
    another model or do not say what they need (`weights`).
    """
    kind, _, rest = spec.partition(":")
    return _load_user_embedder(spec, rest) if kind == "python" else open_clip.load(spec, device, precision)


def text_features(embedder: Embedder, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """(C,D) float32 on the CPU, L2-normalized. Raises CmonError where the embedder gives something else."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            part = list(texts[start : start + batch_size])
            parts.append(_normalize(embedder, embedder.encode_texts(part), len(part)))
    return torch.cat(parts)


def truncated_lengths(embedder: Embedder, texts: Sequence[str]) -> list[int | None]:
    """For each text that the model does not read to its end, how many tokens it reads; None for the others.

    None also for a user's own embedder, which shows no tokenizer.
    """
    if isinstance(embedder, open_clip.OpenClip) and texts:
        return embedder.truncated_lengths(texts)
    return [None] * len(texts)


def image_features(embedder: Embedder, batch: Tensor) -> Tensor:
    """(B,D) float32 on the CPU, L2-normalized, of a preprocessed batch (B,3,H,W)."""
    with torch.inference_mode():
        return _normalize(embedder, embedder.encode_images(batch), len(batch))


def _normalize(embedder: Embedder, features: Tensor, count: int) -> Tensor:
    if not (isinstance(features, Tensor) and features.ndim == 2 and len(features) == count):
        raise CmonError(
            f"--clip {embedder.name}: gave no features",
            expected=f"a tensor of shape ({count}, dimensions)",
            found=str(tuple(features.shape)) if isinstance(features, Tensor) else type(features).__name__,
        )
    features = features.float().cpu()
    if not features.isfinite().all():
        raise CmonError(
            f"--clip {embedder.name}: gave features that are not finite",
            hint="try --precision fp32, or check the weights",
        )
    return torch.nn.functional.normalize(features, dim=1)


def _load_user_embedder(spec: str, reference: str) -> Embedder:
    embedder = python_object(reference, "--clip")()
    for attribute in ("name", "preprocess", "encode_images", "encode_texts"):
        if not hasattr(embedder, attribute):
            raise CmonError(
                f"--clip {spec}: is no embedder",
                expected="an object with name, preprocess, encode_images and encode_texts",
                found=f"a {type(embedder).__name__} without {attribute}",
            )
    return embedder
