"""The small CLIP of the drawn world names what pictures of unseen seeds show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.demo.evaluate_clip import CONCEPTS, WORLD_CLIP, Model, Row, strangers_first, unseen_pictures, zero_shot

FOLDER = Path(WORLD_CLIP.removeprefix("local-dir:"))
PROMISED = {"object": 0.90, "scene": 0.90, "texture": 0.90, "color": 0.90, "part": 0.80, "material": 0.80}
WORLD = 3000  # neither the training's nor the evaluation's


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(WORLD_CLIP)


@pytest.fixture(scope="module")
def pictures(model: Model) -> tuple[torch.Tensor, np.ndarray]:
    """Image vectors (N, D) and what the images show (N, concepts)."""
    images, shown = unseen_pictures(240, WORLD)
    return model.images(images), shown


def by_category(rows: list[Row]) -> dict[str, Row]:
    return {row.category: row for row in rows}


def sampling_error(share: float, images: int) -> float:
    """Three standard errors of a share."""
    return 3 * (share * (1 - share) / images) ** 0.5


def test_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 10_000_000


def test_preprocessing_is_the_models_own(model: Model) -> None:
    cfg = model.clip.visual.preprocess_cfg
    assert cfg["size"] == model.clip.visual.image_size
    assert tuple(cfg["mean"]) == (0.5, 0.5, 0.5)


def test_names_what_unseen_pictures_show(model: Model, pictures: tuple[torch.Tensor, np.ndarray]) -> None:
    rows = by_category(zero_shot(model, *pictures))
    assert set(rows) == {category for category, _ in CONCEPTS} | {"all"}
    for category, promised in PROMISED.items():
        row = rows[category]
        least = promised - sampling_error(promised, row.images)
        assert row.top1 >= least, f"{category}: {row.top1:.3f} of {row.images} images, wanted {least:.3f}"
        assert row.top1_template >= least, f"{category} in a template: {row.top1_template:.3f}"
        assert row.cosine_true > row.cosine_false + 0.1


def test_is_at_chance_on_shuffled_pictures(model: Model, pictures: tuple[torch.Tensor, np.ndarray]) -> None:
    images, shown = pictures
    for row in zero_shot(model, images, np.roll(shown, 1, axis=0)):
        # A model that prefers frequent concepts beats the even chance without looking, but not by much.
        assert row.top1 < 0.5 * (1 + row.chance), f"{row.category}: {row.top1:.3f} with the images of others"
        assert abs(row.auroc - 0.5) < 0.1


def test_strangers_are_no_magnets(model: Model, pictures: tuple[torch.Tensor, np.ndarray]) -> None:
    assert strangers_first(model, *pictures) < 0.05
