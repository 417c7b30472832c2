"""What counts as the epoch over a whole run, and that no checkpoint with other weights is lost or mistaken."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cmon.errors import CmonError
from tests.support.checkpoint_cases import save, state
from tests.support.checkpoints import check_folder, train_network


def write(folder: Path, files: dict[str, int], **beside: Any) -> dict[int, nn.Module]:
    """Save a network for each name, of the given seed; beside it, what the functions in `beside` make of the seed."""
    networks = {seed: train_network(seed) for seed in files.values()}
    for name, seed in files.items():
        notes = {key: value(seed) if callable(value) else value for key, value in beside.items()}
        save({"model": state(networks[seed]), **notes} if notes else state(networks[seed]), folder / name)
    return networks


@pytest.mark.parametrize(
    "name",
    [
        "resnet18_lr1e-4_{}.pt",
        "wd0.05_bs256_{}_seed1.pt",
        "model_e100_{}.pt",
        "vit_b_16_{}.pt",
        "resnet50_224_{}.pt",
        "{}_20240517_103000.pt",
        "checkpoint_7_{}.pt",
        "fold_2/net-{}.pt",
        "cifar_{}.pt",
        "exp_epochs90/model_{:03}.pt",
        "epoch_100_rank0_it_x/{}.pt",
        "run3/{}/weights.pt",
    ],
)
def test_the_number_that_differs_counts(tmp_path: Path, name: str) -> None:
    networks = write(tmp_path, {name.format(epoch): epoch for epoch in (1, 2, 10)})
    check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})


@pytest.mark.parametrize(
    "names",
    [
        ["seed1.pt", "seed2.pt"],
        ["lr_1e-3.pt", "lr_1e-4.pt"],
        ["rank0.pt", "rank1.pt"],
        ["2024-05-17.pt", "2024-05-18.pt"],
        ["ckpt_20240517_103000.pt", "ckpt_20240517_113000.pt"],
        ["model_224x224.pt", "model_256x256.pt"],
        ["model_v1.pt", "model_v2.pt"],
        ["resnet18.pt", "resnet34.pt"],
        ["acc_91.pt", "acc_92.pt"],
        ["top5_91.pt", "top5_92.pt"],
        ["model-5c106cde.pth", "model-11ad3fa6.pth"],
        ["part-00001-of-00002.pt", "part-00002-of-00002.pt"],
        ["fold_1/final.pt", "fold_2/final.pt"],
        ["1700000000.pt", "1700003600.pt"],
        ["epoch_-1.pt", "epoch_-2.pt"],
        ["0.91.pt", "0.92.pt"],
        ["best_91.pt", "best_92.pt"],
    ],
)
def test_numbers_that_are_no_epochs_are_none(tmp_path: Path, names: list[str]) -> None:
    write(tmp_path, {name: position for position, name in enumerate(names)})
    with pytest.raises(CmonError, match="no epoch: "):
        check_folder(tmp_path, {})


def test_a_constant_epoch_in_a_name_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    networks = write(tmp_path, {f"epoch100_{epoch}.pt": epoch for epoch in (1, 2)})
    with caplog.at_level(logging.WARNING, "cmon"):
        check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    assert caplog.messages == [
        "run: the number 100 in epoch100_1.pt is the same in all names; 1 is used as the epoch"
    ]


def test_a_constant_stored_epoch_gives_way_to_the_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    networks = write(tmp_path, {f"epoch_{epoch}.pt": epoch for epoch in (1, 2)}, epoch=100)
    with caplog.at_level(logging.WARNING, "cmon"):
        found = check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    assert {one.epoch_from for one in found} == {"name"}
    assert caplog.messages == [
        "run: epoch 100 in all of its checkpoints, as stored; the one in their names is used"
    ]


def test_several_saves_in_each_epoch_are_told_by_their_steps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {f"epoch={step // 3}-step={step}.ckpt": step for step in range(6)}
    networks = write(tmp_path, files, epoch=lambda step: step // 3, global_step=lambda step: step)
    with caplog.at_level(logging.WARNING, "cmon"):
        check_folder(tmp_path, {float(step): network for step, network in networks.items()})
    assert "the step is used as the epoch" in caplog.text


def test_a_few_saves_within_epochs_do_not_change_what_counts(tmp_path: Path) -> None:
    files = {f"epoch={epoch}-step={10 * epoch + 9}.ckpt": epoch for epoch in range(5)}
    networks = write(tmp_path, files, epoch=lambda epoch: epoch)
    write(tmp_path, {"epoch=3-step=33.ckpt": 33}, epoch=3)
    found = check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    (lost,) = [one for one in found if one.error]
    assert (lost.name, lost.error) == (
        "epoch=3-step=33.ckpt",
        "epoch 3 is already given by epoch=3-step=39.ckpt",
    )


@pytest.mark.parametrize(
    "names",
    [
        ("netG_{}.pth", "netD_{}.pth"),
        ("model_a_{}.pt", "model_b_{}.pt"),
        ("fold0/epoch_{}.pt", "fold1/epoch_{}.pt"),
        ("version_0/checkpoints/epoch={}.ckpt", "version_1/checkpoints/epoch={}.ckpt"),
        ("epoch={}-step=9.ckpt", "epoch={}-step=9-v1.ckpt"),
        ("{}_net_G.pth", "{}_net_F.pth"),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_two_trainings_in_one_folder_are_not_mixed(
    tmp_path: Path, names: tuple[str, str], stored: bool
) -> None:
    for position, name in enumerate(names):
        files = {name.format(epoch): 10 * position + epoch for epoch in range(3)}
        write(tmp_path, files, **({"epoch": lambda seed: seed % 10} if stored else {}))
    with pytest.raises(
        CmonError, match=r"several trainings or networks(.|\n)*--run|several trainings(.|\n)*move them"
    ):
        check_folder(tmp_path, {})


def test_of_two_networks_the_one_that_fits_is_read(tmp_path: Path) -> None:
    networks = write(tmp_path, {f"netG_{epoch}.pth": epoch for epoch in range(2)})
    for epoch in range(2):
        save({"other.weight": torch.ones(3)}, tmp_path / f"netD_{epoch}.pth")
    found = check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    assert {one.status for one in found if "netD" in one.name} == {"skipped"}


def test_the_same_weights_twice_are_one(tmp_path: Path) -> None:
    networks = write(tmp_path, {f"a/epoch_{epoch}.pt": epoch for epoch in range(2)})
    write(tmp_path, {f"b/epoch_{epoch}.pt": epoch for epoch in range(2)}, note="another file")
    found = check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    assert [one.error for one in found if one.error] == [
        f"the same weights as a/epoch_{epoch}.pt" for epoch in range(2)
    ]


def test_a_special_file_with_other_weights_is_no_silent_loss(tmp_path: Path) -> None:
    networks = write(tmp_path, {"epoch_3.pt": 3, "epoch_4.pt": 4})
    write(tmp_path, {"best_epoch_3.pt": 9})
    found = check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    (lost,) = [one for one in found if one.error]
    assert (lost.status, lost.error) == ("skipped", "epoch 3 is also that of epoch_3.pt, with other weights")


def test_best_and_last_of_one_stored_epoch_count_once(tmp_path: Path) -> None:
    networks = write(tmp_path, {"epoch_3.pt": 3, "epoch_4.pt": 4}, epoch=lambda seed: seed)
    write(tmp_path, {"last.pt": 9}, epoch=4)
    found = check_folder(tmp_path, {float(epoch): network for epoch, network in networks.items()})
    assert [one.status for one in found] == ["ok", "ok", "redundant"]


def test_steps_alone_outweigh_a_few_epochs(tmp_path: Path) -> None:
    networks = write(tmp_path, {f"step_{step}.pt": step for step in (1, 2, 3, 4)})
    write(tmp_path, {"epoch_1.pt": 9})
    found = check_folder(tmp_path, {float(step): network for step, network in networks.items()})
    (lost,) = [one for one in found if one.error]
    assert (lost.status, lost.error) == ("skipped", "no step, where others of the run have no epoch")


@pytest.mark.parametrize("stored", [-1, 20240517, float("nan"), True, "3"])
def test_what_is_stored_and_cannot_be_an_epoch_gives_way_to_the_name(tmp_path: Path, stored: object) -> None:
    networks = write(tmp_path, {"epoch_5.pt": 5}, epoch=stored)
    check_folder(tmp_path, {5.0: networks[5]})


def test_epochs_may_jump_and_be_fractions(tmp_path: Path) -> None:
    networks = write(tmp_path, {"epoch_000.pt": 0, "epoch_0.5.pt": 1, "epoch_007.pt": 7, "epoch_1000.pt": 8})
    check_folder(tmp_path, {0.0: networks[0], 0.5: networks[1], 7.0: networks[7], 1000.0: networks[8]})
