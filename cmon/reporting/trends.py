"""What a measure does from its first epoch to its last: a word for it, a sentence, and numbers for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


def trend_word(values: pd.Series, low: float, high: float) -> str | None:
    """'falls' or 'rises' only where the interval of the last change does not hold 0, else 'stays'; 'ends' where the
    last epoch has no value; None where fewer than two epochs have one, or the interval is not known.

    values: one for each epoch, these rising, NaN for none. low, high: the interval of the change at the last epoch.
    """
    known = values.dropna()
    if known.empty:
        return None
    if known.index[-1] != values.index[-1]:
        return "ends"
    if len(known) < 2 or np.isnan(low):
        return None
    return "falls" if high < 0 else "rises" if low > 0 else "stays"


def trend_words(
    word: str, first: float, last: float, change: Sequence[float], of: str, interval: bool = True
) -> str:
    """'falls from 0.71 to 0.32 (the same units: -0.39, -0.41 to -0.37)'; 'stays (0.71 to 0.70; ...)'.

    word: 'falls', 'rises' or 'stays'. change: from first to last, with its interval. of: what the interval is of.
    interval: whether to say it.
    """
    digits = 2 if f"{first:.2f}" != f"{last:.2f}" or word == "stays" else 3
    levels = f"{first:.{digits}f} to {last:.{digits}f}"
    by, low, high = (f"{number:+.{_digits(change)}f}" for number in change)
    said = f"{of}: {by}, {low} to {high}"
    if word == "stays":
        return f"stays ({levels}; {said})" if interval else f"stays ({levels})"
    return f"{word} from {levels} ({said})" if interval else f"{word} from {levels}"


def joined_trends(trends: Mapping[str, str]) -> str:
    """'d_anchor falls ..., d_anchor_clip stays ...' of measures and their sentences.

    Empty sentences are left out; where two are the same (both end at one epoch), it is said once, of the first.
    """
    measures = {text: name for name, text in reversed(list(trends.items()))}
    return ", ".join(f"{name} {text}" for text, name in reversed(list(measures.items())) if text)


def value_and_bounds(row: pd.Series, column: str) -> dict[str, float | None]:
    """The column's value with its interval, as JSON holds them."""
    return {
        "value": known_number(row[column]),
        "low": known_number(row[f"{column}_low"]),
        "high": known_number(row[f"{column}_high"]),
    }


def known_number(value: float) -> float | None:
    """None for NaN, which JSON has not."""
    return float(value) if np.isfinite(value) else None


def _digits(change: Sequence[float]) -> int:
    """So many that the interval has a width, and a bound that is not 0 is not shown as 0."""
    smallest = min(abs(number) for number in change)
    return 2 if smallest >= 0.01 else 3 if smallest >= 0.001 else 4
