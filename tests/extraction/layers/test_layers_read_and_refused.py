"""Every case of tests/support/layer_cases: read as said, with the values of plain torch, or refused in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cmon.errors import CmonError
from cmon.extraction.conditions import Conditions, find_conditions
from cmon.extraction.layers.forward import unwrapped
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.layers.trace import trace, trace_all
from cmon.images.preprocessing import ResizeCrop
from cmon.images.trial import trial_pictures
from tests.support.layer_cases import CASES, LayerCase

READ = [case for case in CASES if case.reads]
REFUSED = [case for case in CASES if case.refuses]


def network_of(case: LayerCase) -> nn.Module:
    return unwrapped(case.make()).eval()


def pictures(case: LayerCase, conditions: Conditions, count: int = 3) -> Tensor:
    own = ResizeCrop(case.side, case.side)
    return conditions.batch(own, np.stack([own.pixels(picture) for picture in trial_pictures(count)]))


def looked_at(case: LayerCase, network: nn.Module) -> tuple[LayerOutput, Conditions]:
    own = ResizeCrop(case.side, case.side)
    conditions = find_conditions(network, [case.layer], own, "cpu", torch.float32)
    (output,) = trace(network, [case.layer], pictures(case, conditions))
    return output, conditions


def alone(case: LayerCase, network: nn.Module, output: LayerOutput, image: Tensor) -> Tensor:
    """A picture's activations by a hook of the test's own, on the picture alone, pooled literally."""
    if case.value is not None:
        with torch.no_grad():
            return case.value(network, image)
    kept: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, value: object) -> None:
        while not isinstance(value, Tensor):
            value = next(iter(value.values())) if isinstance(value, dict) else value[0]  # type: ignore[index]
        kept.append(value.clone())

    handle = network.get_submodule(case.layer).register_forward_hook(hook)
    with torch.no_grad():
        network(image)
    handle.remove()
    value = kept[-1].select(output.batch_axis, 0)
    if output.axes == "flat":
        return value
    if output.axes == "channels first":
        return torch.stack([unit.sum() / unit.numel() for unit in value])
    rows = value.reshape(-1, value.shape[-1])
    taken = [row for position, row in enumerate(rows) if position not in output.special.positions]
    return torch.stack(taken).sum(0) / len(taken)


@pytest.mark.parametrize("case", READ, ids=lambda case: case.what)
def test_a_layer_is_read_as_said_and_gives_the_values_of_each_picture_alone(case: LayerCase) -> None:
    network = network_of(case)
    output, conditions = looked_at(case, network)
    assert f"{output.axes}: {output.pooled('avg')}" == case.reads
    batch = pictures(case, conditions, 5)
    with record_activations(network, [output], "avg") as record:
        for size in (5, 1):  # a batch, and one that is left over at a probing set's end
            found = record(batch[:size])[case.layer]
            wanted = [alone(case, network, output, image.contiguous()) for image in batch[:size].split(1)]
            torch.testing.assert_close(found, torch.stack(wanted), equal_nan=True, atol=1e-5, rtol=1e-4)
    assert found.shape == (1, output.units)
    if "NaN" not in case.what:  # a negative control: other pictures have other activations
        assert not torch.allclose(wanted[0], alone(case, network, output, batch[1:2].contiguous()))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_a_layer_is_refused_in_one_sentence_and_not_listed(case: LayerCase) -> None:
    network = network_of(case)
    with pytest.raises(CmonError) as caught:
        looked_at(case, network)
    assert case.refuses is not None
    assert case.refuses in caught.value.problem
    assert caught.value.problem.startswith(f"--layer {case.layer}: ")
    outputs, refused = trace_all(network, pictures(case, Conditions(channels_last=False)))
    assert case.layer not in [output.name for output in outputs]
    if case.layer in refused:
        assert refused[case.layer].problem == caught.value.problem


def test_every_case_is_read_or_refused() -> None:
    assert len(READ) + len(REFUSED) == len(CASES) == len({case.what for case in CASES})
