"""Train a small CLIP of the drawn world as an open_clip folder: python -m scripts.demo.train_clip

Each step looks at a batch of pictures and a set of texts: captions of some of the pictures, every word of the
world's vocabulary, and texts about what the world does not hold. As all that a picture shows is known, so is
the truth of every pair. The loss asks of every pair whether the text is true (SigLIP's, but without false
negatives) and of every image which words of each category are (CLIP's, with several right answers).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scripts.demo.clip_examples import CONCEPTS, Examples, Recipe, dense, examples, is_true
from scripts.demo.evaluate_clip import STRANGERS, Model, as_table, strangers_first, unseen_pictures, zero_shot
from open_clip import CLIP, SimpleTokenizer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, relu
from scripts.demo.world.picture import VOCABULARY

CACHE = Path(tempfile.gettempdir()) / "cmon-world-clip"
WORLD = 1000  # seed of the pictures trained on
SIDE, CONTEXT = 64, 24
CHOICE = 5.0  # weight of telling the words of a category apart
CROWDING, FREE = 4.0, 0.3  # weight of what cosines between words are above what is free
CONFIG: dict[str, dict[str, Any]] = {  # open_clip_config.json
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 2, 3, 1], "width": 16, "head_width": 64},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
        "init_logit_scale": float(np.log(20)),
        "init_logit_bias": -4.0,
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"},
}
CATEGORIES = [[n for n, (of, _) in enumerate(CONCEPTS) if of == category] for category in VOCABULARY]
WORDS = [word for _, word in CONCEPTS]
PROMPTS = ("{}", "{}", "{}", "a {}", "a photo of a {}", "a picture of a {}", "an image of {}")


@dataclass(frozen=True)
class Batch:
    images: torch.Tensor
    """(B, 3, SIDE, SIDE) float, normalised"""
    texts: torch.Tensor
    """(T, CONTEXT) int, first the words of the vocabulary"""
    truth: torch.Tensor
    """(B, T) float, 1 where the text is true of the image"""


class Batches:
    """Batches of examples, drawn without end from a seeded generator."""

    def __init__(self, data: Examples, size: int, captions: int, strangers: int, rng: np.random.Generator):
        self.data, self.size, self.captions, self.strangers, self.rng = data, size, captions, strangers, rng
        tokenizer = SimpleTokenizer(context_length=CONTEXT)
        self.prompts = np.stack([tokenizer([p.format(word) for word in WORDS]).numpy() for p in PROMPTS])
        self.frames = [tokenizer.encode(p.partition("{}")[0]) for p in PROMPTS]
        self.start, self.end = tokenizer.sot_token_id, tokenizer.eot_token_id
        used = np.union1d(self.prompts, np.unique(data.tokens))
        self.unused = np.setdiff1d(np.arange(self.start), used)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            order = self.rng.permutation(len(self.data.images))
            for at in range(0, len(order) - self.size + 1, self.size):
                yield self._batch(np.sort(order[at : at + self.size]))

    def _batch(self, rows: np.ndarray) -> Batch:
        facts = dense(self.data.facts[rows])
        said = self.rng.choice(rows, self.captions, replace=False)
        which = self.rng.integers(self.data.tokens.shape[1], size=self.captions)
        prompt = self.rng.integers(len(PROMPTS), size=len(WORDS))
        texts = [
            self.prompts[prompt, np.arange(len(WORDS))],
            self.data.tokens[said, which].astype(np.int64),
            self._about_strangers(),
        ]
        truth = [
            facts[:, : len(WORDS)],
            is_true(dense(self.data.stated[said, which]), facts),
            np.zeros((len(rows), self.strangers), dtype=bool),
        ]
        return Batch(
            self._look(self.data.images[rows]),
            torch.from_numpy(np.concatenate(texts)),
            torch.from_numpy(np.concatenate(truth, axis=1)).float(),
        )

    def _about_strangers(self) -> np.ndarray:
        """(strangers, CONTEXT) int: prompts about one to three tokens that no caption uses."""
        texts = np.zeros((self.strangers, CONTEXT), dtype=np.int64)
        for row in texts:
            frame = self.frames[self.rng.integers(len(self.frames))]
            strange = self.rng.choice(self.unused, self.rng.choice([1, 1, 2, 3]))
            text = [self.start, *frame, *strange, self.end]
            row[: len(text)] = text
        return texts

    def _look(self, images: np.ndarray, shift: int = 4) -> torch.Tensor:
        """Normalise (B, SIDE, SIDE, 3) uint8, half of them mirrored, all moved by some pixels."""
        flip = self.rng.random(len(images)) < 0.5
        images = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
        padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
        down, right = self.rng.integers(2 * shift + 1, size=2)
        moved = padded[:, down : down + SIDE, right : right + SIDE]
        mean, std = (torch.tensor(CONFIG["preprocess_cfg"][key])[:, None, None] for key in ("mean", "std"))
        pixels = torch.from_numpy(moved).permute(0, 3, 1, 2).float() / 255
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def train(batches: Batches, steps: int, rate: float, decay: float) -> CLIP:
    """A CLIP of `CONFIG`, trained for `steps` steps with AdamW and one cycle of the learning rate."""
    model = CLIP(**CONFIG["model_cfg"]).to(memory_format=torch.channels_last).train()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.05)
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=steps, state="")
        for _, batch in zip(range(steps), batches, strict=False):
            loss = loss_of(model, batch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            cycle.step()
            state = f"loss {loss.item():.1f}  scale {model.logit_scale.exp().item():.1f}"
            progress.update(task, advance=1, state=state)
    return model.eval()


def loss_of(model: CLIP, batch: Batch) -> torch.Tensor:
    """The loss of a batch, made of three: whether each text is true, which word it is, and room between words."""
    with torch.autocast("cpu", torch.bfloat16):
        images = model.encode_image(batch.images)
    images = normalize(images.float(), dim=-1)
    texts = model.encode_text(batch.texts, normalize=True)
    logits = model.logit_scale.exp() * images @ texts.T
    # What is seldom true would be said never to be: its true pairs weigh more.
    often = batch.truth.mean(0).clamp(min=1 / len(images))
    weight = 1 + batch.truth * ((1 / often - 1).sqrt() - 1)
    told = binary_cross_entropy_with_logits(logits + model.logit_bias, batch.truth, weight, reduction="sum")
    chosen = sum(choice(logits[:, of], batch.truth[:, of]) for of in CATEGORIES)
    # As long as two words look the same to the image tower, nothing else keeps the text tower from merging
    # them, and then the image tower has no reason to learn the difference.
    words = texts[: len(WORDS)]
    near = words @ words.T - torch.eye(len(WORDS))
    crowding = relu(near - FREE).square().sum() / len(WORDS)
    return told / len(images) + CHOICE * chosen + CROWDING * crowding


def choice(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the words of one category in the images that show some of them; both (B, words)."""
    true = truth.sum(1)
    surprise = -(truth * logits.log_softmax(1)).sum(1) / true.clamp(min=1)
    return surprise.sum() / (true > 0).sum().clamp(min=1)


def write(folder: Path, model: CLIP) -> None:
    """Write `model` into `folder` as open_clip expects it, weights in half precision."""
    weights = folder / "open_clip_model.safetensors"
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in state.items()}, weights
    )
    weights.chmod(0o644)  # safetensors makes it for its owner only
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


def readme(table: str, strangers: float, options: str, pictures: int, steps: int, minutes: float) -> str:
    """What the folder holds and how it was made, in Markdown."""
    return f"""# A small CLIP of the drawn world

An open_clip model (`local-dir:data/world-clip`) of the world that `scripts/demo/world/` draws; it knows {len(WORDS)} words.
It stands in for a real CLIP in the demonstration and the tests, so that neither needs a download, and is loaded
by the same code as `ViT-B-16:openai`.

It is *not* a CLIP of the real world: it has never seen a photograph, and a word that no caption of the drawn
world uses means nothing to it. Do not use it on anything else.

Trained on {pictures:,} drawn pictures for {steps:,} steps in {minutes:.0f} minutes (drawing comes before)
on {os.cpu_count()} cores ({platform.machine()}, torch {torch.__version__.partition("+")[0]}) by

    python -m scripts.demo.train_clip {options}

Zero-shot on 2,000 pictures of seeds that no training saw (`python -m scripts.demo.evaluate_clip`):

{table}

- `top1`: share of the images with a true concept in the category whose nearest bare word is a true one;
  `top1 template`: the same with "a photo of a ..."; `chance`: what guessing would reach
- `auroc`: mean over concepts: how well the cosine tells images that show it from those that do not
- `cosine true`, `cosine false`: mean cosine of the pairs that are true and of those that are not

Of {len(STRANGERS)} common words absent from the world (economy, justice, ...), one is nearer than every word of the
world for {strangers:.1%} of the images.
"""


def replace(folder: Path, target: Path) -> None:
    """Put `folder` in the place of `target`."""
    old = folder.with_name(folder.name + ".old")
    if target.exists():
        os.rename(target, old)
    os.rename(folder, target)
    shutil.rmtree(old, ignore_errors=True)


@click.command(context_settings={"show_default": True})
@click.option("--output", type=click.Path(path_type=Path), default=Path("data/world-clip"))
@click.option("--cache", type=click.Path(path_type=Path), default=CACHE, help="Keeps the drawn pictures.")
@click.option("--pictures", default=50_000, help="Pictures to draw and train on.")
@click.option("--captions", default=4, help="Captions kept for each picture.")
@click.option("--epochs", default=24.0, help="How often each picture is seen.")
@click.option("--batch", default=128, help="Pictures a step.")
@click.option("--rate", default=3e-3, help="Highest learning rate.")
@click.option("--decay", default=0.05, help="Weight decay.")
@click.option("--threads", default=2)
@click.option("--seed", default=0)
def main(
    output: Path,
    cache: Path,
    pictures: int,
    captions: int,
    epochs: float,
    batch: int,
    rate: float,
    decay: float,
    threads: int,
    seed: int,
) -> None:
    """Train a small CLIP of the drawn world and write it to OUTPUT."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data = examples(Recipe(pictures, WORLD, SIDE, captions, CONTEXT), cache, threads)
    batches = Batches(
        data, batch, captions=batch // 4, strangers=batch // 10, rng=np.random.default_rng(seed)
    )
    steps = int(epochs * pictures / batch)
    started = time.perf_counter()
    model = train(batches, steps, rate, decay)
    minutes = (time.perf_counter() - started) / 60

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as unfinished:
        folder = Path(unfinished) / output.name
        folder.mkdir()
        write(folder, model)
        written = Model.load(f"local-dir:{folder}")
        images, shown = unseen_pictures(2000)
        vectors = written.images(images)
        table = as_table(zero_shot(written, vectors, shown))
        strangers = strangers_first(written, vectors, shown)
        options = f"--pictures {pictures} --captions {captions} --epochs {epochs:g} --batch {batch}"
        options += f" --rate {rate:g} --decay {decay:g} --seed {seed}"
        (folder / "README.md").write_text(readme(table, strangers, options, pictures, steps, minutes))
        replace(folder, output)
    click.echo(f"{table}\n\nstrangers first: {strangers:.1%}; {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
