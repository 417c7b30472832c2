"""Write data/concepts/common_words.txt: common English words, the most frequent first.

    python -m pip install wordfreq==3.1.1
    python -m scripts.maintenance.common_words data/concepts/common_words.txt

wordfreq is needed by this script only. It merges subtitles, books, news, Wikipedia, the web and social media
up to 2021 and is frozen since, so the same version gives the same list. Its code is under Apache-2.0, its
data under CC BY-SA 4.0, and so is the list: data/concepts/README.md names the sources.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import click

COUNT = 10_000

WORD = re.compile("[a-z]{3,}")
SHORT = frozenset({"cd", "dj", "pc", "tv"})
"""The words of two letters that name something to be seen; the others are mostly pieces ('ll', 've') and initials."""

CRUDE = re.compile(
    "anal|arse|ass(es|holes?)?|bastards?|bitch(es|ing)?|boobs?|(bull)?shit(ty)?|cocks?|crap(py)?|cum|cunts?|"
    "dicks?|fuck(ed|er|ers|in|ing|s)?|goddamn(ed)?|horny|lmf?ao|morons?|piss(ed|ing)?|porno?|pussy|sluts?|"
    "stfu|tits|whores?|wtf"
)
"""Swear words and crude words for sex among the first 10,000: wordfreq marks none, and no one wants them as a
neuron's label in a report. Plain words of anatomy, religion and violence stay. A longer list needs another look."""


def wanted(word: str) -> bool:
    """Letters only, three or more of them (or a word of SHORT), and not crude."""
    return word in SHORT or bool(WORD.fullmatch(word) and not CRUDE.fullmatch(word))


def words(count: int = COUNT) -> list[str]:
    """The first `count` wanted words of wordfreq's large English list, in its order of falling frequency."""
    from wordfreq import iter_wordlist  # not a dependency of cmon: see the top of this file

    return list(islice(filter(wanted, iter_wordlist("en", wordlist="large")), count))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--count", type=click.IntRange(min=1), default=COUNT, show_default=True, help="Number of words."
)
def main(file: Path, count: int) -> None:
    """Write the list to FILE, one word a line."""
    file.write_text("".join(f"{word}\n" for word in words(count)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
