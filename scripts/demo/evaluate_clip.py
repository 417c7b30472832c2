"""How well a CLIP names what drawn pictures show: python -m scripts.demo.evaluate_clip

The model goes through open_clip's public API alone, so that every name open_clip knows can be evaluated:
'local-dir:data/world-clip' as well as 'ViT-B-16:openai'. The pictures are of a world that no training saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Protocol

import click
import numpy as np
import open_clip
import torch
from scripts.demo.draw_world import picture_seed
from PIL import Image
from rich.progress import track
from scripts.demo.world.picture import VOCABULARY, draw

HERE = Path(__file__).resolve().parent
WORLD_CLIP = f"local-dir:{HERE.parents[1] / 'data' / 'world-clip'}"
UNSEEN = 2000  # seed of a world that no training draws
TEMPLATE = "a photo of a {}"

CONCEPTS = tuple((category, word) for category, words in VOCABULARY.items() for word in words)

# Common words for what the drawn world does not hold: none should name a picture before a true one.
STRANGERS = tuple((HERE / "strangers.txt").read_text().split())


@dataclass(frozen=True)
class Row:
    """The figures of one category, or of all."""

    category: str
    concepts: int
    images: int
    """Those with a true concept in the category."""
    chance: float
    top1: float
    """Share of these images whose nearest bare word is a true one."""
    top1_template: float
    """The same with the words in `TEMPLATE`."""
    auroc: float
    """Mean over concepts: how well its cosine tells all the images that show it from those that do not."""
    cosine_true: float
    cosine_false: float


class Encoders(Protocol):
    """What every model of open_clip has: an encoder of images and one of texts."""

    def encode_image(self, image: torch.Tensor, normalize: bool) -> torch.Tensor: ...

    def encode_text(self, text: torch.Tensor, normalize: bool) -> torch.Tensor: ...


@dataclass(frozen=True)
class Model:
    """An open_clip model with unit vectors for images and texts, D wide."""

    clip: Encoders
    preprocess: Callable[[Image.Image], torch.Tensor]
    tokenizer: Callable[[Sequence[str]], torch.Tensor]

    @classmethod
    def load(cls, name: str) -> Model:
        """Load 'local-dir:FOLDER', 'hf-hub:...' or 'ARCHITECTURE:WEIGHTS'."""
        schema, _, weights = name.partition(":")
        architecture, tag = (name, None) if schema in ("local-dir", "hf-hub") else (schema, weights)
        clip, _, preprocess = open_clip.create_model_and_transforms(architecture, pretrained=tag)
        return cls(clip.eval(), preprocess, open_clip.get_tokenizer(architecture))

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image], batch: int = 250) -> torch.Tensor:
        """(len(images), D)"""
        starts = range(0, len(images), batch)
        inputs = (torch.stack([self.preprocess(image) for image in images[at : at + batch]]) for at in starts)
        return torch.cat([self.clip.encode_image(batch, normalize=True) for batch in inputs])

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """(len(texts), D)"""
        return self.clip.encode_text(self.tokenizer(texts), normalize=True)


def unseen_pictures(count: int, world: int = UNSEEN) -> tuple[list[Image.Image], np.ndarray]:
    """The first pictures of a world and what they show, (count, concepts) bool."""
    numbers = track(range(count), "drawing", transient=True)
    pictures = [draw(picture_seed(world, number)) for number in numbers]
    shown = [[word in picture.truth[category] for category, word in CONCEPTS] for picture in pictures]
    return [picture.image for picture in pictures], np.array(shown)


def zero_shot(model: Model, images: torch.Tensor, shown: np.ndarray) -> list[Row]:
    """A row for each category and one for all together; images: (N, D), shown: (N, concepts) bool."""
    categories = np.array([category for category, _ in CONCEPTS])
    words = [word for _, word in CONCEPTS]
    bare = (images @ model.texts(words).T).numpy()
    templated = (images @ model.texts([TEMPLATE.format(word) for word in words]).T).numpy()
    groups = {category: categories == category for category in VOCABULARY}
    groups["all"] = np.ones(len(CONCEPTS), dtype=bool)
    return [_row(name, bare[:, of], templated[:, of], shown[:, of]) for name, of in groups.items()]


def strangers_first(model: Model, images: torch.Tensor, shown: np.ndarray) -> float:
    """Share of images whose nearest text among all concepts and `STRANGERS` is a stranger."""
    words = [word for _, word in CONCEPTS]
    strangers = sorted(set(STRANGERS) - set(words))
    known, strange = (images @ model.texts(texts).T for texts in (words, strangers))
    return float((strange.amax(1) > known.amax(1)).float().mean())


def as_table(rows: Sequence[Row], csv: bool = False) -> str:
    """The rows as Markdown, or as CSV."""
    cells = [[field.name for field in fields(Row)]]
    cells += [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in astuple(row)] for row in rows]
    if csv:
        return "\n".join(",".join(line) for line in cells)
    cells[0] = [name.replace("_", " ") for name in cells[0]]
    cells.insert(1, ["---"] + ["--:"] * (len(cells[0]) - 1))
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def _row(category: str, bare: np.ndarray, templated: np.ndarray, shown: np.ndarray) -> Row:
    """The figures of the concepts of one category; each argument (N, concepts)."""
    some = shown.any(1)
    hits = [np.take_along_axis(shown, c.argmax(1)[:, None], 1)[some].mean() for c in (bare, templated)]
    both = [column for column in range(shown.shape[1]) if 0 < shown[:, column].sum() < len(shown)]
    return Row(
        category=category,
        concepts=shown.shape[1],
        images=int(some.sum()),
        chance=float(shown[some].mean()),
        top1=float(hits[0]),
        top1_template=float(hits[1]),
        auroc=float(np.mean([_auroc(bare[:, column], shown[:, column]) for column in both])),
        cosine_true=float(bare[shown].mean()),
        cosine_false=float(bare[~shown].mean()),
    )


def _auroc(score: np.ndarray, true: np.ndarray) -> float:
    """The chance that a true one scores above a false one; both arguments (N,)."""
    rank = score.argsort().argsort()
    positives = int(true.sum())
    return float((rank[true].sum() - positives * (positives - 1) / 2) / (positives * (len(true) - positives)))


@click.command(context_settings={"show_default": True})
@click.argument("model_name", default=WORLD_CLIP)
@click.option("--images", default=2000, help="How many pictures to draw.")
@click.option("--seed", default=UNSEEN, help="Seed of their world, as in draw_world.py.")
@click.option("--csv", is_flag=True, help="Print CSV instead of Markdown.")
def main(model_name: str, images: int, seed: int, csv: bool) -> None:
    """Print the zero-shot accuracy of MODEL_NAME on drawn pictures it has not seen."""
    pictures, shown = unseen_pictures(images, seed)
    model = Model.load(model_name)
    vectors = model.images(pictures)
    click.echo(as_table(zero_shot(model, vectors, shown), csv))
    if not csv:
        share = strangers_first(model, vectors, shown)
        click.echo(f"\nNearest text is one of {len(STRANGERS)} words absent from the world: {share:.1%}")


if __name__ == "__main__":
    main()
