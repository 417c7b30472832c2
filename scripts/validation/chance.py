"""Is *interpretable* honest? Shuffled units, planted units, the number of pseudo-units, and stricter nulls."""

from __future__ import annotations

import time

import numpy as np
import torch

from cmon.scoring import significance
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from scripts.validation.ground import CANDIDATES, SOFT, Evidence, Ground, labelled, passing, scored
from scripts.validation.tables import Row, Tables

OWN = 1024
"""Pseudo-units of functions for which every layer needs its own."""
COUNTS = (256, 1024, 4096, 16384)


def shuffled(tables: Tables, ground: Ground, units: np.ndarray, seeds: int) -> None:
    """Layers of units whose activations were dealt out anew: nothing is true, so every discovery is false."""
    rows = []
    for name, kind in SIMILARITIES.items():
        function = kind()
        layers = [_dealt_out(units, seed) for seed in range(seeds)]
        for prior in PRIORS:
            found = labelled(ground, function, prior, layers, None if function.order_only else OWN)
            shares = [passing(one.scores[:, 0].numpy(), one.null_best.numpy()).mean() for one in found]
            p = [significance.p_values(one.scores[:, 0].numpy(), one.null_best.numpy()) for one in found]
            of: Row = {"function": name, "prior": prior}
            tables.number("shuffled: mean share that passes", float(np.mean(shares)), **of)
            tables.number("shuffled: largest share that passes", float(np.max(shares)), **of)
            some = tables.share("shuffled: layers with a discovery", sum(x > 0 for x in shares), seeds, **of)
            levels = [float((np.concatenate(p) <= level).mean()) for level in (0.05, 0.005)]
            for level, value in zip((0.05, 0.005), levels, strict=True):
                tables.number("shuffled: share with p up to", value, level=level, **of)
            rows.append(
                [
                    name,
                    prior,
                    f"{np.mean(shares):.3f}",
                    f"{np.max(shares):.3f}",
                    some,
                    *map("{:.4f}".format, levels),
                ]
            )
    header = [
        "function",
        "prior",
        "share that passes",
        "at most",
        "layers in which any passes",
        "p ≤ 0.05",
        "p ≤ 0.005",
    ]
    tables.table(header, rows)


def detectors(tables: Tables, ground: Ground, each: int, seed: int) -> None:
    """Planted units beside as many shuffled ones: which pass, what they are called, and which of those are false."""
    units = np.tile(np.arange(len(ground.names)), each)
    rows = []
    for noise in (0, 0.5, 1, 1.5, 2, 3):
        planted = ground.planted(ground.present[:, units].astype(float), noise, seed)
        both = np.hstack([planted, _dealt_out(planted, seed)])
        cells = []
        for prior in PRIORS:
            (labels,) = labelled(ground, SOFT, prior, [both])
            found = passing(labels.scores[:, 0].numpy(), labels.null_best.numpy())
            true, false = found[: len(units)], found[len(units) :]
            right = ground.same[units, labels.concepts[: len(units), 0].numpy()]
            of = {"noise": noise, "prior": prior}
            cells += [
                tables.share("planted: pass", int(true.sum()), len(units), **of),
                tables.share("planted: of those, right", int(right[true].sum()), int(true.sum()), **of),
                tables.share(
                    "planted beside shuffled: false discoveries", int(false.sum()), int(found.sum()), **of
                ),
            ]
        rows.append([f"{noise:g}", *cells])
    header = [
        "noise",
        *(f"{prior}: {what}" for prior in PRIORS for what in ("pass", "of these right", "false")),
    ]
    tables.table(header, rows)


def pseudo_units(tables: Tables, ground: Ground, units: np.ndarray, seeds: int = 4) -> None:
    """How labels and p-values depend on the number of pseudo-units and their seed."""
    source = Evidence(ground)
    evidence, fresh = source.of(units), source.of_orders(20_000, seed=10_000)
    rows = []
    for count in COUNTS:
        start = time.perf_counter()
        nulls = [source.of_orders(count, seed) for seed in range(seeds)]
        seconds = (time.perf_counter() - start) / seeds
        for prior in ("null", "standardized", *CANDIDATES):
            labels = [scored(prior, null, evidence).argmax(dim=1) for null in nulls]
            other = np.mean([(labels[0] != more).float().mean().item() for more in labels[1:]])
            p = [
                significance.p_values(
                    scored(prior, null, fresh).amax(dim=1).numpy(),
                    scored(prior, null, null).amax(dim=1).numpy(),
                )
                for null in nulls
            ]
            levels = [float(np.mean([(one <= level).mean() for one in p])) for level in (0.05, 0.01, 0.001)]
            of: Row = {"pseudo-units": count, "prior": prior}
            tables.number("labels that another seed changes", float(other), **of)
            for level, value in zip((0.05, 0.01, 0.001), levels, strict=True):
                tables.number("fresh random orders with p up to", value, level=level, **of)
            rows.append(
                [f"{count:,}", prior, f"{other:.3f}", *(f"{x:.4f}" for x in levels), f"{seconds:.2f}"]
            )
    header = [
        "pseudo-units",
        "prior",
        "labels another seed changes",
        "p ≤ 0.05",
        "p ≤ 0.01",
        "p ≤ 0.001",
        "seconds",
    ]
    tables.table(header, rows)


def stricter(tables: Tables, ground: Ground, good: str, poor: str, layer: str, seed: int) -> None:
    """The share of units that pass, for nulls that ask for more than an order that is not random.

    Scores against a null are taken concept by concept, in the null's standard deviations, so that what answers to
    a concept anyway (random filters to colors) does not speak for it; but for 'best score', as today.
    """
    source = Evidence(ground)
    random = np.random.default_rng(seed)
    centred = ground.images.double().numpy()
    centred = centred - centred.mean(axis=0)
    axes, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:, sizes > 1e-3 * sizes[0]]
    hidden = np.maximum(axes @ random.normal(size=(axes.shape[1], 2000)), 0)
    first = ground.activations(good, layer, ground.epochs(good)[layer][0])
    base = source.of_orders(None, seed)
    count = len(base)
    nulls = {
        "random image orders, best score (now)": base,
        "random directions of CLIP's space, best score": source.of(
            centred @ random.normal(size=(centred.shape[1], count))
        ),
        "random directions of CLIP's space": source.of(
            centred @ random.normal(size=(centred.shape[1], count))
        ),
        "the same, whitened": source.of(axes @ random.normal(size=(axes.shape[1], count))),
        "random two-layer functions of it": source.of(hidden @ random.normal(size=(hidden.shape[1], count))),
        f"half of the untrained {layer}": source.of(first[:, ::2]),
    }
    units = np.tile(np.arange(len(ground.names)), 3)
    samples = {"shuffled": _dealt_out(first, seed), "untrained": first[:, 1::2]}
    for run in (poor, good):
        for at in ground.epochs(run)[layer][1:]:
            samples[f"{run} {at:g}"] = ground.activations(run, layer, at)
    for noise in (0, 0.5, 1):
        samples[f"planted {noise:g}"] = ground.planted(ground.present[:, units].astype(float), noise, seed)
    evidence = {name: source.of(some) for name, some in samples.items()}
    epochs = {run: ground.epochs(run)[layer][1:] for run in (good, poor)}
    kept = [
        f"{poor} {epochs[poor][-1]:g}",
        *(f"{good} {at:g}" for at in (*epochs[good][:2], epochs[good][-1])),
    ]
    shown = [name for name in evidence if name in kept or not name.startswith((f"{good} ", f"{poor} "))]
    rows = []
    for name, null in nulls.items():
        if name.endswith(("best score", "(now)")):
            location, scale = base.mean(dim=0) + 2 * base.std(dim=0), torch.ones(1)
        else:
            location, scale = null.mean(dim=0), null.std(dim=0)
        best = ((null - location) / scale).amax(dim=1).numpy()
        cells = []
        for what, some in evidence.items():
            found = passing(((some - location) / scale).amax(dim=1).numpy(), best)
            tables.number("passes", float(found.mean()), null=name, units=what, n=len(found))
            if what in shown:
                cells.append(f"{found.mean():.2f}")
        rows.append([name, *cells])
    tables.table(["null", *shown], rows)


def _dealt_out(units: np.ndarray, seed: int) -> np.ndarray:
    """(N,K) each column in a random order of its own."""
    return np.random.default_rng(seed).permuted(units, axis=0)
