from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.checkpoints.names import ParsedName, parse_name
from cmon.workspace.files import natural_key


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("epoch_3.pt", 3),
        ("model_7.pth", 7),  # torchvision's references
        ("model-7.pth", 7),
        ("checkpoint-12.pth.tar", 12),  # timm
        ("checkpoint_0010.pth.tar", 10),
        ("milestone-5.pth.tar", 5),
        ("9_checkpoint.pt", 9),  # robustness
        ("checkpoint.pt.latest", None),
        ("checkpoint.pt.best", None),
        ("resnet18_ep05_acc91.pt", 5),
        ("resnet50_20.pt", 20),
        ("resnet18.pt", None),
        ("mobilenet_v2.pth", None),
        ("best_acc91.pt", None),
        ("best_0.91.pt", None),
        ("val_acc=0.91.ckpt", None),
        ("last.ckpt", None),
        ("010.safetensors", 10),
        ("e5.pt", 5),
        ("Epoch_4/subject_model.pth", 4),
        ("epoch_4/weights.pt", 4),
        ("5/model.pt", 5),
        ("run2/final.pt", None),
        ("seed3/epoch_1.pt", 1),
        ("lr_01/final.pt", None),
        ("final.pt", None),
    ],
)
def test_the_epoch_in_a_name(name: str, epoch: float | None) -> None:
    assert parse_name(name) == ParsedName(epoch)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("epoch=2-step=300.ckpt", ParsedName(2, 300)),
        ("epoch=2-step=300-v1.ckpt", ParsedName(2, 300, version=1)),
        ("epoch=02-val_loss=0.35.ckpt", ParsedName(2)),
        ("resnet-epoch=12-acc=0.910-step=4000.ckpt", ParsedName(12, 4000)),
        ("last-v2.ckpt", ParsedName(version=2)),
        ("step=300.ckpt", ParsedName(step=300)),
        ("step-1000", ParsedName(step=1000)),
        ("iter_5000.pth", ParsedName(step=5000)),
        ("global_step100/model.pt", ParsedName(step=100)),
        ("recovery-3-500.pth.tar", ParsedName(3, partial=True)),
        ("model_ep3_it0.pth", ParsedName(3)),
        ("model_ep3_it40.pth", ParsedName(3, partial=True)),
    ],
)
def test_what_else_a_name_says(name: str, expected: ParsedName) -> None:
    assert parse_name(name) == expected


def test_the_trainers_folders_are_numbered_by_step() -> None:
    assert parse_name("checkpoint-500", counts_steps=True) == ParsedName(step=500)
    assert parse_name("checkpoint-500") == ParsedName(500)


@given(st.lists(st.text(alphabet="a1²٣9_", min_size=1, max_size=6), max_size=6))
def test_any_names_can_be_put_in_order(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


@given(st.text(alphabet="epit1²٣9_-=./v", max_size=12))
def test_any_name_can_be_parsed(name: str) -> None:
    parse_name(name)
