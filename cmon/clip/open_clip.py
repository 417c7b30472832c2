"""open_clip's models as embedders, with what `weights` says that their weights need."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cmon.clip.missing import missing_package
from cmon.clip.weights import CONFIG, read_config, resolve
from cmon.errors import CmonError

logger = logging.getLogger(__name__)

_HOW_TO_GET_WEIGHTS = (
    f"without a network, give a folder that holds {CONFIG} and the weights (--clip local-dir:FOLDER), weights "
    f"on disk with {CONFIG} beside them (--clip ViT-B-16:/path/weights.safetensors), or copy the cache of a "
    "machine that has them (~/.cache/huggingface)"
)


@dataclass(frozen=True)
class OpenClip:
    """An open_clip model as an `Embedder`."""

    name: str
    preprocess: Callable[[Image.Image], Tensor]
    model: Any
    tokenizer: Callable[..., Tensor]
    device: str
    dtype: torch.dtype

    def encode_images(self, batch: Tensor) -> Tensor:
        return self.model.encode_image(batch.to(self.device, self.dtype))

    def encode_texts(self, texts: list[str]) -> Tensor:
        return self.model.encode_text(self.tokenizer(texts).to(self.device))

    def truncated_lengths(self, texts: Sequence[str]) -> list[int | None]:
        """For each text that is longer than what the model reads, how many tokens it reads; None for the others.

        Tokenizers cut texts silently. With room for one token more, a text that fits gets one more token of padding, a
        text that was cut its next word. That is so for every tokenizer, whatever it puts at the end, and wherever.
        """
        short = self.tokenizer([*texts, ""])
        room = short.shape[1]
        padding = short[-1].mode().values.expand(len(texts), 1)
        padded = torch.cat([short[:-1], padding], dim=1)
        wide = self.tokenizer(list(texts), context_length=room + 1)
        fits = (wide.sort(dim=1).values == padded.sort(dim=1).values).all(dim=1)
        return [None if fit else room for fit in fits.tolist()]


def load(spec: str, device: str, precision: str) -> OpenClip:
    """Load the model that a spec names.

    Raises CmonError when it does not exist, when its weights are not available on this machine, or when they need
    another model than would be built.
    """
    try:
        import open_clip
    except ImportError as error:
        raise _missing(spec, error, str(missing_package(error, {}) or "open_clip_torch")) from error

    wanted = resolve(open_clip, spec)
    preprocessing = {name: value for name, value in wanted.preprocessing.items() if name != "size"}
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        with _silence():
            model = open_clip.create_model(
                wanted.name,
                pretrained=wanted.pretrained,
                device=device,
                precision="pure_bf16" if precision == "bf16" else "fp32",
                force_quick_gelu=wanted.quick_gelu,
                force_preprocess_cfg=preprocessing,
                require_pretrained=True,
            )
            tokenizer = open_clip.get_tokenizer(wanted.name)
    except Exception as error:  # hubs, files and configurations fail in many types
        if package := missing_package(error, _model_config(open_clip, spec)):
            raise _missing(spec, error, package) from error
        misfit = "Error(s) in loading state_dict" in str(error)
        raise CmonError(
            f"--clip {spec}: its weights {'do not fit the model' if misfit else 'cannot be had here'}",
            expected="weights of just this model"
            if misfit
            else "weights on this machine, or a network that reaches them",
            found=_said(error),
            hint=None if misfit else _HOW_TO_GET_WEIGHTS,
        ) from error
    if spec.startswith("hf-hub:"):
        _warn_of_assumed_preprocessing(spec)
    prepared = open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg)
    wanted_size, size = wanted.preprocessing.get("size", prepared.size), prepared.size
    if _pair(wanted_size) != _pair(size):  # open_clip would resize the position embedding silently
        raise CmonError(
            f"--clip {spec}: the model takes images of another size than the weights were trained with",
            expected=f"a model for images of {wanted_size} pixels, as {CONFIG} says",
            found=f"{wanted.name}, for images of {size} pixels",
        )
    preprocess = open_clip.transform.image_transform_v2(prepared, is_train=False)
    return OpenClip(spec, preprocess, model.eval(), tokenizer, device, dtype)


def _missing(spec: str, error: Exception, package: str) -> CmonError:
    return CmonError(
        f"--clip {spec}: this model needs the package {package}, which cannot be imported",
        expected=f"{package}, installed beside cmon",
        found=_said(error),
        hint=f"pip install {package} (with --upgrade if it is there)",
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _model_config(open_clip: Any, spec: str) -> dict[str, Any]:
    """The model_cfg as far as it is known without a network."""
    kind, _, rest = spec.partition(":")
    if kind == "local-dir":
        return read_config(spec, Path(rest) / CONFIG).get("model_cfg", {})
    return open_clip.get_model_config(kind) or {} if kind in open_clip.list_models() else {}


def _warn_of_assumed_preprocessing(spec: str) -> None:
    """Nobody can correct somebody else's repository: open_clip's convention is used, with a warning."""
    from open_clip.pretrained import download_pretrained_from_hf

    with _silence():
        path = download_pretrained_from_hf(spec.partition(":")[2], filename=CONFIG)
    stated = read_config(spec, Path(path)).get("preprocess_cfg", {})
    if "mean" not in stated or "std" not in stated:
        logger.warning(
            "--clip %s: its %s gives no mean and std of the images; OpenAI's are taken. If it was trained with "
            "others, download it, add them, and give it as local-dir:FOLDER",
            spec,
            CONFIG,
        )


def _pair(size: Any) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, (list, tuple)) else (size, size)


@contextmanager
def _silence() -> Iterator[None]:
    """open_clip logs its errors to the root logger before raising them; the raised ones are enough."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
