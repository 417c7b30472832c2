"""Where a network cannot be captured it runs all the same; what can is tested on a GPU, in tests/test_gpu.py."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from cmon.extraction.fused.capture import CapturedNetwork
from cmon.extraction.fused.recording import FusedNetwork
from cmon.extraction.layers.output import LayerOutput


def test_a_network_that_cannot_be_captured_runs_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    outputs = [LayerOutput("2", (4, 6, 6), "channels first")]
    fused = FusedNetwork(network, outputs, outputs, "avg", network.state_dict(), 4)
    captured = CapturedNetwork(fused, 4)
    batch = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            torch.testing.assert_close(captured.record(batch)["2"], fused.record(batch)["2"])
        torch.testing.assert_close(captured.record(batch[:1])["2"], fused.record(batch)["2"][:1])
    assert not captured.is_captured
    assert [record.getMessage() for record in caplog.records] == [
        "the network runs without a CUDA graph, which is slower, since it cannot be captured: "
        "there are no CUDA graphs on cpu"
    ]
