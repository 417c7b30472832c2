from __future__ import annotations

import open_clip.tokenizer
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from cmon.clip import embedders
from cmon.clip.open_clip import OpenClip


def embedder(tokenizer: object) -> OpenClip:
    return OpenClip("tiny", lambda image: torch.zeros(3), None, tokenizer, "cpu", torch.float32)  # type: ignore[arg-type]


class WordTokenizer:
    """Words as numbers, in the ways that other tokenizers go: padding by what also ends a text, a class token at the
    end of the row, no token at the end at all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, texts: list[str], context_length: int = 6) -> Tensor:
        rows = []
        for text in texts:
            words = [10 + len(word) for word in text.split()]
            room = {"eos is padding": 1, "class at the end": 3, "nothing": 0}[self.kind]
            words = words[: context_length - room]
            if self.kind == "eos is padding":
                words = [*words, 1] + [1] * (context_length - len(words) - 1)
            elif self.kind == "class at the end":
                words = [7, *words, 8] + [0] * (context_length - len(words) - 3) + [9]
            else:
                words = words + [0] * (context_length - len(words))
            rows.append(words)
        return torch.tensor(rows)


def literally_cut(text: str, length: int) -> bool:
    """The start, the tokens and the end do not fit."""
    return len(open_clip.tokenizer._tokenizer.encode(text)) + 2 > length


@pytest.mark.parametrize("length", [5, 8, 77])
def test_texts_that_are_cut_are_those_with_more_tokens_than_fit(length: int) -> None:
    texts = [
        " ".join(["dog"] * count) for count in (1, length - 3, length - 2, length - 1, length, 3 * length)
    ]
    texts += [
        "antidisestablishmentarianism " * (length // 5),
        "",
        "!" * length,
        "! " * (length - 2),
        "polar bear",
    ]
    found = embedder(SimpleTokenizer(context_length=length)).truncated_lengths(texts)
    assert found == [length if literally_cut(text, length) else None for text in texts]
    assert any(found)
    assert not all(found)


@pytest.mark.parametrize(("kind", "room"), [("eos is padding", 5), ("class at the end", 3), ("nothing", 6)])
def test_it_is_so_for_tokenizers_of_other_kinds(kind: str, room: int) -> None:
    texts = [" ".join(["cat", "horse"][number % 2] for number in range(count)) for count in range(9)]
    assert embedder(WordTokenizer(kind)).truncated_lengths(texts) == [
        6 if count > room else None for count in range(9)
    ]


def test_of_an_own_embedder_and_of_no_texts_nothing_is_told() -> None:
    assert embedders.truncated_lengths(
        embedders.load("python:tests.support.tiny_models:embedder"), ["dog " * 100]
    ) == [None]
    assert embedders.truncated_lengths(embedder(SimpleTokenizer()), []) == []
