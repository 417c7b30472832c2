"""A setup of the case studies that trains in a second."""

from __future__ import annotations

from pathlib import Path

from scripts.cases.setup import Setup


def tiny_setup(photographs: Path, out: Path, **changed: object) -> Setup:
    """For the fixture `photographs`: 16 pixels, 4 to 32 channels, 2 epochs of 20 batches; convolutions in fp32."""
    (out / "runs").mkdir(parents=True, exist_ok=True)
    (out / "runs" / "arithmetic.json").write_text('{"bf16": false}')
    given: dict[str, object] = {
        "data": photographs / "train",
        "test": photographs / "test",
        "network": "narrow-resnet18-4",
        "side": 16,
        "epochs": 2,
        "learning_rate": 3e-3,
        "optimizer": "AdamW:weight_decay=0.05",
        "batch_size": 8,
        "radius": 8 / 255,
        "workers": 0,
    }
    return Setup(out=out, **(given | changed))
