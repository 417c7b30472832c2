"""From a `--clip` spec to an embedder, which embeds images and texts in one space.

All open_clip models are loaded by `open_clip`, from `ViT-B-16:openai` to a folder on disk; `python:` names the user's
own embedder (`own`). What either gives is checked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmon.clip import open_clip, own, weights
from cmon.clip.own import Embedder
from cmon.errors import CmonError
from cmon.images import preprocessing
from cmon.images.trial import trial_pictures
from cmon.workspace.files import digest

__all__ = [
    "Embedder",
    "identity",
    "image_features",
    "load",
    "prepared_shape",
    "text_features",
    "truncated_lengths",
]


def identity(spec: str, memory: Path | None = None) -> str:
    """A hash of what the features depend on, without loading the model: file contents where there are files.

    memory: a file in which the name of a user's own embedder is kept; see `own.name`. Raises CmonError when a named
    folder is not there.
    """
    kind, _, rest = spec.partition(":")
    return digest(spec, own.name(spec, rest, memory)) if kind == "python" else weights.identity(spec)


def load(spec: str, device: str = "cpu", precision: str = "fp32") -> Embedder:
    """Load the embedder that a spec names.

    Raises CmonError when it does not exist, when its weights are not available on this machine, or when they need
    another model or do not say what they need (`weights`).
    """
    kind, _, rest = spec.partition(":")
    return own.load(spec, rest) if kind == "python" else open_clip.load(spec, device, precision)


def text_features(embedder: Embedder, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """(C,D) float32 on the CPU, L2-normalized. Raises CmonError where the embedder gives something else."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            part = list(texts[start : start + batch_size])
            parts.append(_normalize(embedder, "encode_texts", embedder.encode_texts(part), part))
    return torch.cat(parts)


def truncated_lengths(embedder: Embedder, texts: Sequence[str]) -> list[int | None]:
    """For each text that the model does not read to its end, how many tokens it reads; None for the others.

    None also for a user's own embedder, which shows no tokenizer.
    """
    if isinstance(embedder, open_clip.OpenClip) and texts:
        return embedder.truncated_lengths(texts)
    return [None] * len(texts)


def prepared_shape(embedder: Embedder) -> tuple[int, ...]:
    """The shape of what `preprocess` makes of an image: (3,H,W).

    Raises CmonError where it makes something else, or of the same image something else each time.
    """
    picture = trial_pictures(1)[0]
    custom = preprocessing.CustomPreprocess(embedder.preprocess)
    try:
        prepared = embedder.preprocess(picture)
        if fits := isinstance(prepared, Tensor) and prepared.ndim == 3 and prepared.shape[0] == 3:
            first, second = custom.pixels(picture), custom.pixels(picture)
        found = _in_words(prepared)
    except Exception as error:  # a user's function can fail in any way
        fits, found = False, f"{type(error).__name__}: {error}"
    if not fits:
        raise CmonError(
            f"--clip {embedder.name}: its preprocess makes no picture for it",
            expected="a tensor of shape (3, height, width) of an RGB image of Pillow's",
            found=found,
            hint="torchvision.transforms.functional.to_tensor makes one of an image, torch.from_numpy of an array",
        )
    if not np.array_equal(first, second, equal_nan=True):
        raise CmonError(
            f"--clip {embedder.name}: its preprocess gives the same picture other values each time",
            hint="leave out random crops, flips and other augmentation",
        )
    return first.shape


def image_features(embedder: Embedder, batch: Tensor, names: Sequence[str] = ()) -> Tensor:
    """(B,D) float32 on the CPU, L2-normalized, of a preprocessed batch (B,3,H,W).

    names: of the images, for an error. Raises CmonError where the embedder gives something else.
    """
    with torch.inference_mode():
        features = embedder.encode_images(batch)
    return _normalize(
        embedder, "encode_images", features, names or [f"image {row}" for row in range(len(batch))]
    )


def _normalize(embedder: Embedder, function: str, features: Tensor, of: Sequence[str]) -> Tensor:
    if not (
        isinstance(features, Tensor)
        and features.ndim == 2
        and len(features) == len(of)
        and features.shape[1]
        and features.is_floating_point()
    ):
        raise CmonError(
            f"--clip {embedder.name}: {function} gave no features",
            expected=f"a tensor of floats of shape ({len(of)}, dimensions), a row for each",
            found=_in_words(features),
            hint=f"try {function} in Python with {len(of)} at once",
        )
    values = features.cpu().double()  # so that no length overflows
    lengths = values.norm(dim=1)
    for fault, wrong, hint in (
        ("numbers that are not finite", ~lengths.isfinite(), "try --precision fp32, or check the weights"),
        (
            "only zeros",
            lengths == 0,
            "a vector without a direction is near to nothing; is that input known to it?",
        ),
    ):
        if wrong.any():
            rows = wrong.nonzero().flatten().tolist()
            raise CmonError(
                f"--clip {embedder.name}: {function} gave {fault}",
                expected="vectors of finite numbers, of any length but 0",
                found=f"{fault} for {len(rows)} of {len(of)}: "
                + ", ".join(repr(of[row]) for row in rows[:3]),
                hint=hint,
            )
    return (values / lengths[:, None]).float()


def _in_words(found: object) -> str:
    if isinstance(found, Tensor):
        return f"a tensor of shape {tuple(found.shape)}, {str(found.dtype).removeprefix('torch.')}"
    shape = getattr(found, "shape", None)
    return f"{type(found).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}"
