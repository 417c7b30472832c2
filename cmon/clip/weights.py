"""What the weights of a `--clip` need: the model's activation function, and how images are prepared.

Weights do not show these two, and with the wrong one nothing fails: the features are only worse. So nothing is guessed,
and every source of weights must say them:

- *QuickGELU*, x * sigmoid(1.702 x), which OpenAI trained with, or GELU (mlfoundations/open_clip, issue 771);
- how images are prepared: for a file of weights, open_clip takes OpenAI's mean and standard deviation, whatever
  the weights were trained with (issue 920).

    NAME:TAG           open_clip's list of published weights says both
    NAME:FILE          open_clip_config.json beside the file must say both
    local-dir:FOLDER   open_clip_config.json in the folder, where no quick_gelu means GELU
    hf-hub:ORG/NAME    the same, in the repository

open_clip loads all of them with strict keys, and an error where there are no weights.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmon.errors import CmonError, nearest_names
from cmon.workspace.files import digest, file_digest

CONFIG = "open_clip_config.json"
_FORMS = "NAME:PRETRAINED, hf-hub:ORG/NAME, local-dir:FOLDER or python:MODULE:FACTORY"
_WHO_NEEDS_QUICK_GELU = (
    "'quick_gelu': true if the weights are OpenAI's, DFN's or MetaCLIP's, or were fine-tuned from them"
)


@dataclass(frozen=True)
class ModelRequest:
    """The model that open_clip shall build."""

    name: str
    pretrained: str | None
    quick_gelu: bool = False
    """Whether to build the model with QuickGELU, whatever its name says."""
    preprocessing: dict[str, Any] = field(default_factory=dict)
    """What the weights were trained with, where open_clip would not know; 'size', if given, is to be checked."""


def identity(spec: str) -> str:
    """A hash of what the features depend on, without loading the model: file contents where there are files.

    Raises CmonError when a named folder is not an open_clip model.
    """
    kind, _, rest = spec.partition(":")
    if kind == "local-dir":
        folder = _local_folder(rest)
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        return digest("local-dir", [(path.name, file_digest(path)) for path in files])
    if rest and Path(rest).is_file():
        files = [path for path in (Path(rest), Path(rest).with_name(CONFIG)) if path.is_file()]
        return digest(kind, [file_digest(path) for path in files])
    return digest(spec, None)


def resolve(open_clip: Any, spec: str) -> ModelRequest:
    """The model to build for a spec. open_clip: the module, which takes seconds to import.

    Raises CmonError when the model or its weights do not exist, or the weights do not say what they need or need
    another model.
    """
    kind, _, rest = spec.partition(":")
    if kind == "hf-hub":
        return ModelRequest(spec, None)
    if kind == "local-dir":
        path = _local_folder(rest) / CONFIG
        config = read_config(spec, path)
        _stated_preprocessing(spec, path, config)
        _check_against_transformers(spec, path, bool(config.get("model_cfg", {}).get("quick_gelu")))
        return ModelRequest(spec, None)
    _check_name(open_clip, spec, kind, rest)
    built = bool(open_clip.get_model_config(kind).get("quick_gelu"))
    published = open_clip.get_pretrained_cfg(kind, rest)
    if not published:
        return _resolve_file(open_clip, spec, kind, Path(rest), built)
    needed = bool(published.get("quick_gelu"))
    if built and not needed:
        repository = published.get("hf_hub", "").strip("/")
        raise CmonError(
            f"--clip {spec}: {kind} computes with QuickGELU, and open_clip's list says that these weights do not",
            expected="a model with the activation function that the weights were trained with",
            found="quick_gelu: true in the model's configuration, and not for the weights",
            hint=f"--clip hf-hub:{repository} takes what the weights' own repository says"
            if repository
            else None,
        )
    return ModelRequest(kind, rest, quick_gelu=needed)


def _resolve_file(open_clip: Any, spec: str, name: str, file: Path, built: bool) -> ModelRequest:
    """The model for a file of weights, from what `open_clip_config.json` beside it says."""
    if zipfile.is_zipfile(file) and _is_torchscript(file):
        raise CmonError(
            f"--clip {spec}: is a TorchScript archive, the form in which OpenAI published its weights",
            expected="a state dict (.safetensors, .pt, .bin)",
            hint=f"--clip {name}:openai fetches the same weights as a state dict; or make one with open_clip: "
            f"torch.save(open_clip.load_openai_model({str(file)!r}).state_dict(), 'weights.pt')",
        )
    path = file.with_name(CONFIG)
    if not path.is_file():
        example = {
            "model_cfg": {"quick_gelu": built},
            "preprocess_cfg": {
                "mean": open_clip.OPENAI_DATASET_MEAN,
                "std": open_clip.OPENAI_DATASET_STD,
            },
        }
        raise CmonError(
            f"--clip {spec}: the weights do not say how their images are prepared, nor whether they need QuickGELU",
            expected=f"{path}, with preprocess_cfg (mean and std of each channel, from 0 to 1) and model_cfg "
            "(quick_gelu)",
            found="no such file",
            hint=f"write what they were trained with, for example {json.dumps(example)}; {_WHO_NEEDS_QUICK_GELU}",
        )
    config = read_config(spec, path)
    preprocessing = _stated_preprocessing(spec, path, config)
    model = config.get("model_cfg", {})
    if "quick_gelu" not in model and "vision_cfg" not in model:  # a whole configuration would name it
        raise CmonError(
            f"--clip {spec}: {path} does not say whether the weights need QuickGELU",
            expected="quick_gelu, true or false, in model_cfg",
            found=json.dumps(model),
            hint=_WHO_NEEDS_QUICK_GELU,
        )
    needed = bool(model.get("quick_gelu"))
    _check_against_transformers(spec, path, needed)
    if needed != built:
        other = f"{name}-quickgelu" if needed else name.removesuffix("-quickgelu")
        raise CmonError(
            f"--clip {spec}: the weights were trained {'with' if needed else 'without'} QuickGELU, and {name} "
            f"computes {'with' if built else 'without'} it",
            expected=f"a model with quick_gelu: {str(needed).lower()}, as {path} says of the weights",
            found=f"{name}, with quick_gelu: {str(built).lower()}",
            hint=f"--clip {other}:{file}"
            if other != name and other in open_clip.list_models()
            else f"--clip local-dir:{file.parent}, with the whole model_cfg in {CONFIG}, and the weights there as "
            "open_clip_model.safetensors or open_clip_pytorch_model.bin",
        )
    return ModelRequest(name, str(file), preprocessing=preprocessing)


def read_config(spec: str, path: Path) -> dict[str, Any]:
    """open_clip's configuration. Raises CmonError when it cannot be read."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(config.get(part, {}), dict) for part in ("model_cfg", "preprocess_cfg")):
            raise ValueError("model_cfg and preprocess_cfg must be objects")
    except (OSError, ValueError, AttributeError) as error:
        raise CmonError(
            f"--clip {spec}: {path} cannot be read",
            expected="an object with model_cfg and preprocess_cfg, in JSON",
            found=str(error),
        ) from error
    return config


def _stated_preprocessing(spec: str, path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What the configuration says. Mean and std must be there: open_clip would take OpenAI's."""
    stated = config.get("preprocess_cfg", {})
    for name in ("mean", "std"):
        numbers = stated.get(name)
        if not (
            isinstance(numbers, list)
            and len(numbers) == 3
            and all(isinstance(number, (int, float)) for number in numbers)
            and (name == "mean" or min(numbers) > 0)
        ):
            raise CmonError(
                f"--clip {spec}: {path} does not say how images are prepared for the weights",
                expected='mean and std of each channel, from 0 to 1, for example {"preprocess_cfg": {"mean": '
                '[0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}',
                found=f"preprocess_cfg.{name}: {json.dumps(numbers)}"
                if numbers is not None
                else f"no {name} in preprocess_cfg",
                hint="write what they were trained with; OpenAI's and most of open_clip's: mean 0.48145466, "
                "0.4578275, 0.40821073, std 0.26862954, 0.26130258, 0.27577711",
            )
    return stated


def _check_against_transformers(spec: str, path: Path, quick_gelu: bool) -> None:
    """Repositories often hold the model for transformers too, whose config.json names the activation function."""
    other = path.with_name("config.json")
    if not other.is_file():
        return
    try:
        activation = json.loads(other.read_text(encoding="utf-8"))["vision_config"]["hidden_act"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # another program's file, which need not say it
    if activation in ("gelu", "quick_gelu") and (activation == "quick_gelu") != quick_gelu:
        raise CmonError(
            f"--clip {spec}: two files beside the weights disagree about QuickGELU",
            expected=f"model_cfg.quick_gelu in {path.name} as vision_config.hidden_act in {other.name}",
            found=f"quick_gelu: {str(quick_gelu).lower()}, and hidden_act: {activation}",
            hint=f"correct the wrong one in {path.parent}; {_WHO_NEEDS_QUICK_GELU}",
        )


def _local_folder(name: str) -> Path:
    folder = Path(name)
    if not (folder / CONFIG).is_file():
        found = "no such folder" if not folder.is_dir() else f"no {CONFIG} in it"
        raise CmonError(
            f"--clip local-dir:{name}: is no open_clip model",
            expected=f"a folder with {CONFIG} and open_clip_model.safetensors",
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


def _is_torchscript(file: Path) -> bool:
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
