"""CLIP: a `--clip` spec to something that embeds images and texts in one space.

Every open_clip model goes the same way, from `ViT-B-16:openai` to a folder on disk; the user's own
embedder comes in by `python:`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from cmon.errors import CmonError, nearest_names
from cmon.models import python_object
from cmon.store import digest, file_digest

_FORMS = "NAME:PRETRAINED, hf-hub:ORG/NAME, local-dir:FOLDER or python:MODULE:FACTORY"
_BRING = (
    "without a network, give a folder that holds open_clip_config.json and the weights "
    "(--clip local-dir:FOLDER), weights on disk (--clip ViT-B-16:/path/weights.safetensors), or copy "
    "the cache of a machine that has them (~/.cache/huggingface, ~/.cache/clip)"
)


class Embedder(Protocol):
    """Embeds images and texts in one space of D dimensions. A user's own object needs just these four."""

    @property
    def name(self) -> str:
        """Identity for the cache: another name, other features."""

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """From an RGB image to a (3,H,W) tensor."""

    def encode_images(self, batch: Tensor) -> Tensor:
        """(B,3,H,W) to (B,D); need not be normalised."""

    def encode_texts(self, texts: list[str]) -> Tensor:
        """C texts to (C,D); need not be normalised."""


@dataclass(frozen=True)
class OpenClip:
    """An open_clip model as an `Embedder`."""

    name: str
    preprocess: Callable[[Image.Image], Tensor]
    model: Any
    tokenizer: Callable[[list[str]], Tensor]
    device: str
    dtype: torch.dtype

    def encode_images(self, batch: Tensor) -> Tensor:
        return self.model.encode_image(batch.to(self.device, self.dtype))

    def encode_texts(self, texts: list[str]) -> Tensor:
        return self.model.encode_text(self.tokenizer(texts).to(self.device))


def identity(spec: str) -> str:
    """What the features depend on, told without loading the model: file contents where there are files.

    Raises CmonError when a named folder is not there.
    """
    kind, _, rest = spec.partition(":")
    if kind == "local-dir":
        folder = _local_folder(rest)
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        return digest("local-dir", [(path.name, file_digest(path)) for path in files])
    if kind == "python":
        return digest(spec, _own(spec, rest).name)
    return digest(spec, file_digest(Path(rest)) if rest and Path(rest).is_file() else None)


def load(spec: str, device: str = "cpu", precision: str = "fp32") -> Embedder:
    """Load the embedder that a spec names.

    Raises CmonError when it does not exist, or when its weights cannot be had on this machine.
    """
    kind, _, rest = spec.partition(":")
    if kind == "python":
        return _own(spec, rest)
    import open_clip

    if kind in ("local-dir", "hf-hub"):
        if kind == "local-dir":
            _local_folder(rest)
        name, pretrained = spec, None
    else:
        name, pretrained = kind, rest
        _check_name(open_clip, spec, name, pretrained)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        with _quietly():
            model, preprocess = open_clip.create_model_from_pretrained(
                name,
                pretrained=pretrained,
                device=device,
                precision="pure_bf16" if precision == "bf16" else "fp32",
                force_quick_gelu=_needs_quick_gelu(open_clip, name, pretrained),
            )
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # hubs, files and configurations fail in many types
        raise CmonError(
            f"--clip {spec}: its weights cannot be had here",
            expected="weights on this machine, or a network that reaches them",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            hint=_BRING,
        ) from error
    return OpenClip(spec, preprocess, model.eval(), tokenizer, device, dtype)


def text_features(embedder: Embedder, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """(C,D) float32 on the CPU, L2-normalised. Raises CmonError where the embedder gives something else."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            part = list(texts[start : start + batch_size])
            parts.append(_normalised(embedder, embedder.encode_texts(part), len(part)))
    return torch.cat(parts)


def image_features(embedder: Embedder, batch: Tensor) -> Tensor:
    """(B,D) float32 on the CPU, L2-normalised, of a preprocessed batch (B,3,H,W)."""
    with torch.inference_mode():
        return _normalised(embedder, embedder.encode_images(batch), len(batch))


def _normalised(embedder: Embedder, features: Tensor, count: int) -> Tensor:
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


def _own(spec: str, reference: str) -> Embedder:
    embedder = python_object(reference, "--clip")()
    for attribute in ("name", "preprocess", "encode_images", "encode_texts"):
        if not hasattr(embedder, attribute):
            raise CmonError(
                f"--clip {spec}: is no embedder",
                expected="an object with name, preprocess, encode_images and encode_texts",
                found=f"a {type(embedder).__name__} without {attribute}",
            )
    return embedder


def _local_folder(name: str) -> Path:
    folder = Path(name)
    if not (folder / "open_clip_config.json").is_file():
        found = "no such folder" if not folder.is_dir() else "no open_clip_config.json in it"
        raise CmonError(
            f"--clip local-dir:{name}: is no open_clip model",
            expected="a folder with open_clip_config.json and open_clip_model.safetensors",
            found=found,
        )
    return folder


def _check_name(open_clip: Any, spec: str, name: str, pretrained: str) -> None:
    known = open_clip.list_models()
    if name not in known:
        raise CmonError(
            f"--clip {spec}: open_clip has no model {name!r}",
            expected=_FORMS,
            hint=nearest_names(name, known),
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained not in tags and not Path(pretrained).is_file():
        raise CmonError(
            f"--clip {spec}: {name} has no pretrained weights {pretrained!r}",
            expected="one of open_clip's tags, or a file of weights",
            hint=nearest_names(pretrained, tags),
        )


def _needs_quick_gelu(open_clip: Any, name: str, pretrained: str | None) -> bool:
    """OpenAI's weights were trained with QuickGELU; the plain model names would only warn and be wrong."""
    published = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    return bool(published.get("quick_gelu", False))


class _quietly:
    """open_clip logs its errors to the root logger before raising them; the raised ones are enough."""

    def __enter__(self) -> None:
        self.warnings = warnings.catch_warnings()
        self.warnings.__enter__()
        warnings.simplefilter("ignore")
        self.disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)

    def __exit__(self, *error: Any) -> None:
        logging.disable(self.disabled)
        self.warnings.__exit__(*error)
