"""What scoring does otherwise on CUDA than on the CPU, against the CPU: run by `pytest -m gpu`; elsewhere skipped."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cmon.scoring import labelling
from cmon.scoring.block_scores import LayerUnits, Method
from cmon.scoring.fit import fits
from cmon.scoring.priors import PRIORS
from cmon.scoring.pseudo_units import random_orders
from cmon.scoring.similarity import table_rows
from cmon.scoring.similarity.rank_reorder import RankReorder, with_ranks
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.wpmi import WPMI, SoftWPMI
from cmon.top_k import top_k

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
CUDA = torch.device("cuda")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def in_a_cone(count: int, width: int = 64) -> Tensor:
    """Unit vectors whose cosines are positive, as CLIP's."""
    return normalize(0.3 * drawn(count, width, seed=count) + 1, dim=1)


def test_top_images_are_those_of_the_cpu_to_the_last_tie() -> None:
    """Whole numbers tie; the values stay on the CPU but for a few rows at a time."""
    values = drawn(3000, 700).mul(20).round().T
    wanted, found = top_k(values, 100), top_k(values, 100, CUDA)
    assert found.values.is_cuda
    assert torch.equal(found.values.cpu(), wanted.values)
    assert torch.equal(found.indices.cpu(), wanted.indices)


@pytest.mark.parametrize("function", [SoftWPMI(), WPMI()], ids=lambda one: one.name)
def test_tables_as_wide_as_a_block_give_the_sums_of_the_cpu(function: SoftWPMI | WPMI) -> None:
    p = torch.rand(5000, 900, generator=torch.Generator().manual_seed(0)) / 2000
    top = random_orders(5000, 300, function.top_k, seed=0).int()
    found = function.evidence((p.cuda(), p.min(), p.max()), (top.cuda(),)).cpu()
    torch.testing.assert_close(found, function.evidence((p, p.min(), p.max()), (top,)), rtol=2e-6, atol=4e-4)


@pytest.mark.parametrize("images", [400, 40_000], ids=["20 images sorted", "2,000 images sorted"])
def test_rank_reorder_sorts_on_the_device_as_the_cpu_counts(images: int) -> None:
    """With cosines that tie."""
    cosines = torch.rand(images, 30, generator=torch.Generator().manual_seed(0))
    cosines[:, :5] = (cosines[:, :5] * 50).round() / 50
    function = RankReorder()
    units = function.units(torch.empty(images, 1), drawn(images, 40))
    nothing = torch.empty(0)
    wanted = function.evidence((*with_ranks(cosines), nothing, nothing), units)
    on_device = function.units(torch.empty(images, 1, device=CUDA), drawn(images, 40).cuda())
    for mine, theirs in zip(units, on_device, strict=True):
        torch.testing.assert_close(theirs.cpu(), mine, rtol=1e-5, atol=1e-6)
    found = function.evidence((*with_ranks(cosines.cuda()), nothing.cuda(), nothing.cuda()), on_device)
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-5)


def test_means_of_rows_are_those_of_the_cpu() -> None:
    table, rows = drawn(3000, 70), random_orders(3000, 50, 100, seed=0).int()
    found = table_rows.row_means(table.cuda(), rows.cuda()).cpu()
    torch.testing.assert_close(found, table_rows.row_means(table, rows), rtol=1e-5, atol=1e-6)


def test_what_looks_at_orders_only_uploads_no_activations() -> None:
    images, activations = in_a_cone(2000).cuda(), drawn(2000, 3000)
    top = top_k(activations.T, 100, CUDA).indices
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = labelling.keep_layer(Method(SoftWPMI(), PRIORS["null"], 10), images, activations, top)
    assert all(tensor.is_cuda for tensor in kept.units)
    assert torch.cuda.max_memory_allocated() - before < activations.nbytes / 4


@pytest.mark.parametrize("name", sorted(SIMILARITIES))
def test_float32_is_float32_also_where_the_program_allows_tf32(name: str) -> None:
    images, texts, activations = in_a_cone(1500).cuda(), in_a_cone(400).cuda(), drawn(1500, 50)
    found = []
    before = torch.get_float32_matmul_precision()
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        try:
            method = Method(SIMILARITIES[name](), PRIORS["null"], 100)
            layer: LayerUnits = labelling.keep_layer(
                method, images, activations, top_k(activations.T, 100, CUDA).indices
            )
            (labels,) = labelling.label(method, images, texts, [layer])
            found.append((labels.scores, torch.from_numpy(
                fits(images, texts, labels.concepts[:, 0], top_k(activations.T, 100).indices.numpy())
            )))  # fmt: skip
            assert torch.get_float32_matmul_precision() == precision
        finally:
            torch.set_float32_matmul_precision(before)
    for exact, allowed in zip(*found, strict=True):
        torch.testing.assert_close(allowed, exact, rtol=1e-6, atol=1e-6)
