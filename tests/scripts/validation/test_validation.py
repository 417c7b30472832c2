"""Honest about chance, on the drawn world: its pictures, its CLIP, units whose concept is known; and the program that
makes the tables of data/validation.md from a workspace."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from cmon.cli.main import main as cmon
from cmon.embedding.distances import nearest
from cmon.embedding.vectors import vectors_from_scores
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.wpmi import SoftWPMI
from scripts.demo.draw_world import draw_world, write_concepts
from scripts.demo.evaluate_clip import CONCEPTS, WORLD_CLIP, Model, unseen_pictures
from scripts.validation import chance
from scripts.validation import ground as measured_on
from scripts.validation.ground import SOFT, Evidence, Ground, labelled, passing
from scripts.validation.labels import main as validate
from scripts.validation.tables import Tables
from scripts.validation.weights import WAYS, d_prime, distances
from tests.support import planted_network

FDR = 0.05
FEW = SoftWPMI(top_k=20)
"""Of 300 pictures, 100 would be a third."""


@pytest.fixture(scope="module")
def ground() -> Ground:
    """300 unseen pictures and the concepts that at least 10 of them show."""
    model = Model.load(WORLD_CLIP)
    pictures, shown = unseen_pictures(300, world=3001)
    kept = np.flatnonzero(shown.sum(axis=0) >= 10)
    names, categories = [CONCEPTS[c][1] for c in kept], np.array([CONCEPTS[c][0] for c in kept])
    images, texts = model.images(pictures).clone(), model.texts(names).clone()
    return Ground(None, np.arange(300), images, texts, names, categories, shown[:, kept], None)  # type: ignore[arg-type]


@pytest.mark.parametrize("prior", ["null", "standardized"])
@pytest.mark.parametrize(("noise", "pass_", "right"), [(0, 0.95, 0.9), (0.25, 0.95, 0.9), (0.5, 0.7, 0.75)])
def test_planted_detectors_pass_and_get_their_concept(
    ground: Ground, noise: float, pass_: float, right: float, prior: str
) -> None:
    units = np.tile(np.arange(len(ground.names)), 4)
    activations = ground.planted(ground.present[:, units].astype(float), noise, seed=1)
    (labels,) = labelled(ground, FEW, prior, [activations])
    found = passing(labels.scores[:, 0].numpy(), labels.null_best.numpy(), FDR)
    assert found.mean() >= pass_
    hit = ground.same[units, labels.concepts[:, 0].numpy()]
    assert hit[found].mean() >= right


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_of_shuffled_units_at_most_the_promised_share_passes(ground: Ground, name: str, prior: str) -> None:
    """10 layers of 40 units each, real detectors before their activations were dealt out anew."""
    function = FEW if name == "soft_wpmi" else SIMILARITIES[name]()
    units = ground.planted(ground.present[:, np.arange(40) % len(ground.names)].astype(float), 0.2, seed=1)
    layers = [chance._dealt_out(units, seed) for seed in range(10)]
    found = labelled(ground, function, prior, layers, count=1000)
    shares = [passing(one.scores[:, 0].numpy(), one.null_best.numpy(), FDR).mean() for one in found]
    assert np.mean(shares) <= FDR / 2
    assert np.count_nonzero(shares) <= 2  # where nothing is true, any discovery at all is false


@pytest.mark.parametrize("prior", ["null", "standardized"])
def test_beside_detectors_few_discoveries_are_false(ground: Ground, prior: str) -> None:
    units = np.tile(np.arange(len(ground.names)), 3)
    rates = []
    for seed in range(8):
        planted = ground.planted(ground.present[:, units].astype(float), 0.25, seed)
        both = np.hstack([planted, chance._dealt_out(planted, seed), chance._dealt_out(planted, 100 + seed)])
        (labels,) = labelled(ground, FEW, prior, [both], seed=seed)
        found = passing(labels.scores[:, 0].numpy(), labels.null_best.numpy(), FDR)
        rates.append(found[len(units) :].sum() / found.sum())
    assert np.mean(rates) <= FDR


def test_evidence_standardized_is_what_the_stage_scores_by(ground: Ground) -> None:
    activations = ground.planted(ground.present[:, :20].astype(float), 0.5, seed=1)
    source = Evidence(ground)
    null = source.of_orders(500, seed=3)
    scores = (source.of(activations) - null.mean(dim=0)) / null.std(dim=0, correction=0)
    (labels,) = labelled(ground, SOFT, "standardized", [activations], count=500, seed=3)
    torch.testing.assert_close(labels.scores[:, 0], scores.amax(dim=1), rtol=1e-4, atol=1e-3)


def test_distances_by_softmax_are_those_of_cmons_vectors(ground: Ground) -> None:
    (labels,) = labelled(
        ground, FEW, "null", [ground.planted(ground.present[:, :30].astype(float), 0.5, seed=1)]
    )
    texts = ground.texts.double().numpy()
    vectors = vectors_from_scores(
        labels.scores[:, :10].double().numpy(), texts[labels.concepts[:, :10].numpy()]
    )
    found = distances(labels, texts, texts[:5], "softmax, top 10")
    np.testing.assert_allclose(found, nearest(vectors, texts[:5])[1])
    alone = distances(labels, texts, texts, "top concept alone")
    np.testing.assert_allclose(alone, 0, atol=1e-6)  # every concept is an anchor
    assert all(np.isfinite(distances(labels, texts, texts[:5], way)).all() for way in WAYS)


def test_d_prime_is_the_fall_over_the_deviation() -> None:
    random = np.random.default_rng(0)
    before, after = random.normal(1.0, 0.1, 5000), random.normal(0.7, 0.1, 5000)
    value, error = d_prime(before, after)
    assert value == pytest.approx(3, abs=4 * error)
    assert error == pytest.approx(math.sqrt(2 / 5000 + 9 / 20_000), rel=0.05)
    again = [d_prime(random.normal(1.0, 0.1, 50), random.normal(0.7, 0.1, 50)) for _ in range(300)]
    assert np.std([one[0] for one in again]) == pytest.approx(np.mean([one[1] for one in again]), rel=0.2)


def test_a_share_has_wilsons_interval(capsys: pytest.CaptureFixture[str]) -> None:
    tables = Tables()
    assert tables.share("right", 75, 100, of="them") == "0.75±.08"
    assert tables.share("right", 0, 0, of="none") == ""
    assert tables.numbers[0]["low"] == pytest.approx(0.657, abs=1e-3)
    assert tables.numbers[0]["high"] == pytest.approx(0.825, abs=1e-3)


def invoked(command: object, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result


def test_the_program_answers_every_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a workspace too small to mean anything."""
    draw_world(tmp_path / "probe", 160, seed=12)
    write_concepts(tmp_path)
    for run, shares in (("standard", (0.0, 0.5, 1.0)), ("poor", (0.0, 0.0, 0.0))):
        (tmp_path / run).mkdir()
        for epoch, share in enumerate(shares):
            torch.save(planted_network.state(share, epoch), tmp_path / run / f"epoch_{epoch}.pt")
    runs = [word for run in ("standard", "poor") for word in ("--run", f"{run}={tmp_path / run}")]
    model = ["--model", f"python:{planted_network.__file__}:factory", "--layer", "detectors"]
    work, probe = tmp_path / "work", tmp_path / "probe"
    invoked(cmon, "extract", work, *runs, *model, "--probe", probe / "images", "--workers", 0)
    invoked(cmon, "score", work, "--clip", WORLD_CLIP, "--concepts", tmp_path / "world.csv", "--workers", 0)
    monkeypatch.setattr(chance, "COUNTS", (64, 256))
    monkeypatch.setattr(chance, "OWN", 64)
    monkeypatch.setattr(measured_on, "PSEUDO_UNITS", 64)
    options = ["--truth", probe / "truth.csv", "--each", 1, "--seeds", 2, "--out", tmp_path / "out"]
    result = invoked(validate, work, *options)
    text = (tmp_path / "out/validation.md").read_text()
    assert text.strip() == result.stdout.strip()
    assert text.count("\n## ") == 11
    for function in SIMILARITIES:
        for prior in PRIORS:  # planted units, three measures, shuffled units; and with closer cosines
            closer = function == "soft_wpmi" and prior != "layer"
            assert text.count(f"| {function} | {prior} |") == 5 + closer
    with (tmp_path / "out/validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 700
    for row in rows:
        if row["low"] and row["value"] != "nan":
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
