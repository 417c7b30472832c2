"""Giving cmon one hostile input, beside a good one, as the commands do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from cmon import concepts
from cmon.checkpoints.checkpoint import read_unchanged
from cmon.errors import CmonError
from cmon.evaluation import annotations, class_names
from cmon.extraction.fitting import fit_networks
from cmon.extraction.settings import ExtractSettings
from cmon.images.files import find_images
from cmon.images.preprocessing import Decoder, ResizeCrop
from cmon.progress import silent
from cmon.reporting import training_log
from tests.hostile.catalogue import Bad
from tests.support.checkpoint_cases import save, state
from tests.support.checkpoints import NETWORK, train_network

SETTINGS = ExtractSettings(NETWORK, ("conv2",))


def write(bad: Bad, folder: Path) -> Path:
    """Write the input, and a good one beside a checkpoint or a picture; gives the folder to read."""
    place = folder / "given"
    place.mkdir()
    bad.write(place)
    if bad.kind == "checkpoint":
        save(state(train_network(0)), place / "epoch_0.pt")
    elif bad.kind == "picture":
        Image.new("RGB", (32, 32), "red").save(place / "good.png")
    return place


def read(bad: Bad, place: Path) -> str | None:
    """Why cmon does not read the input, in its row or its error; None if it does.

    Raises AssertionError where the good one beside it is not read, and whatever is not foreseen.
    """
    logger = logging.getLogger("cmon")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        if bad.kind == "checkpoint":
            return _read_checkpoint(place)
        if bad.kind == "picture":
            return _read_picture(place)
        (path,) = place.glob("bad*")
        _READERS[bad.kind](path)
    except CmonError as error:
        return error.line
    finally:
        logger.setLevel(level)
    return None


def _read_checkpoint(folder: Path) -> str | None:
    found = [one for _, one in fit_networks({"run": folder}, SETTINGS, (), silent).checkpoints]
    good = [one for one in found if one.name == "epoch_0.pt"]
    (bad,) = [one for one in found if one.name != "epoch_0.pt"]
    assert [one.status for one in good] == ["ok"], good
    assert bad.error is not None or (bad.epoch == 1 and read_unchanged(bad))
    return bad.error


def _read_picture(folder: Path) -> str | None:
    files = find_images(folder)
    decoder = Decoder(files, ResizeCrop(256, 224))
    found = {file.name: decoder[position] for position, file in enumerate(files)}
    good = found.pop("good.png")
    assert good.error is None
    (bad,) = found.values()
    assert (bad.array is None) == (bad.error is not None)
    return bad.error


def _read_images(path: Path) -> None:
    for position, _ in enumerate(files := find_images(path)):
        Decoder(files, ResizeCrop(256, 224))[position]


_READERS: dict[str, Callable[[Path], object]] = {
    "concepts": concepts.read,
    "images": _read_images,
    "metrics": lambda path: training_log.read(path, "run"),
    "annotations": annotations.read,
    "classes": class_names.read_names,
}
