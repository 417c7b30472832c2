"""Confidence intervals of shares."""

from __future__ import annotations

from statistics import NormalDist


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) score interval for a share; NaN without trials. It never leaves 0..1."""
    if trials == 0:
        return float("nan"), float("nan")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * (share * (1 - share) / trials + z * z / (4 * trials**2)) ** 0.5
    # No rounding at the ends: the interval of 0 of 10 holds 0.
    return middle - half if successes else 0.0, middle + half if successes < trials else 1.0
