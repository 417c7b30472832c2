"""Train the tiny network by MMEngine: python train_by_mmengine.py FOLDER AVERAGED BY_EPOCH.

FOLDER/run is MMEngine's folder; FOLDER/expected has the raw and averaged state dicts when each file was saved.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from tests.support import tiny_models


class Classifier(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.net = tiny_models.network()

    def forward(self, images: Tensor, labels: Tensor, mode: str = "tensor") -> Any:
        return {"loss": nn.functional.cross_entropy(self.net(images), labels)}


class Keep(Hook):
    """Keeps what is trained just before each file is saved."""

    priority = "LOW"

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        number = checkpoint["meta"]["epoch" if by_epoch else "iter"]
        (folder / "expected").mkdir(exist_ok=True)
        torch.save(runner.model.net.state_dict(), folder / "expected" / f"raw-{number}.state")
        for hook in runner.hooks:
            if hasattr(hook, "ema_model"):
                state = hook.ema_model.module.net.state_dict()
                torch.save(state, folder / "expected" / f"ema-{number}.state")


folder, averaged, by_epoch = Path(sys.argv[1]), sys.argv[2] == "True", sys.argv[3] == "True"
torch.manual_seed(0)
pairs = [(torch.randn(3, 16, 16), index % 5) for index in range(6)]
runner = Runner(
    model=Classifier(),
    work_dir=str(folder / "run"),
    train_dataloader=torch.utils.data.DataLoader(pairs, batch_size=2),
    train_cfg={"by_epoch": True, "max_epochs": 2} if by_epoch else {"by_epoch": False, "max_iters": 6},
    optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.3}},
    default_hooks={"checkpoint": CheckpointHook(interval=1 if by_epoch else 3, by_epoch=by_epoch)},
    custom_hooks=[Keep()] + ([{"type": "EMAHook", "momentum": 0.3}] if averaged else []),
)
runner.train()
