"""Texts as integers, and long texts as several windows.

Shape letters: N tokens of a window, A targets of it.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from headway.errors import ModelError

ROOM_TOKENS = 8  # the least that special tokens may leave for text


class Encoded(NamedTuple):
    """The tokens of one text, without special tokens."""

    ids: np.ndarray  # int32
    offsets: np.ndarray  # int32, (tokens, 2): characters each token covers, without white space around them
    words: np.ndarray  # int32: which word, as the tokenizer cuts them, each token is of


class Template(NamedTuple):
    """The special tokens that a tokenizer puts before, between and behind one or two texts, and the segment of each part."""

    before: tuple[int, ...]
    between: tuple[int, ...]  # empty for a single text
    behind: tuple[int, ...]
    types: tuple[int, ...]  # segment of: before, first text, between, second text, behind

    @property
    def special_tokens(self) -> int:
        return len(self.before) + len(self.between) + len(self.behind)


class Layout(NamedTuple):
    """One window as integers: the parts put together, and where in it the text that offsets speak of stands."""

    input_ids_N: np.ndarray
    token_type_ids_N: np.ndarray
    offsets_N2: np.ndarray
    words_N: np.ndarray  # -1 where a token is not of that text


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Encoded]:
    """Every text whole, in all cores at once.

    Raises:
        ModelError: the tokenizer has no fast version, and so no positions in the text.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{type(tokenizer).__name__} has no fast version, which positions in the text need; choose another --base-model")
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    encodings = backend.encode_batch([_SURROGATE.sub("\ufffd", text) for text in texts], add_special_tokens=False)
    return [_encoded(encoding, text) for encoding, text in zip(encodings, texts, strict=True)]


_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a pair, from JSON or from bytes that are not UTF-8: tokenizers take no such text


def _encoded(encoding, text: str) -> Encoded:
    offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    if any(text[start : start + 1].isspace() or text[start:end][-1:].isspace() for start, end in offsets.tolist()):
        offsets = np.array([_without_space(text, *pair) for pair in offsets.tolist()], dtype=np.int32)
    if any(is_mark(text[end : end + 1]) for end in offsets[:, 1].tolist()):
        offsets = np.array([_with_marks(text, *pair) for pair in offsets.tolist()], dtype=np.int32)
    return Encoded(
        np.array(encoding.ids, dtype=np.int32),
        offsets,
        np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int32),
    )


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """Byte-level tokenizers count the space before a word as part of it, and an unknown token may hold what stands behind."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _with_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """Accents and vowel signs belong to the letter before them, also where the tokenizer strips them or composes the two."""
    while start < end < len(text) and is_mark(text[end]):
        end += 1
    return start, end


def is_mark(character: str) -> bool:
    """Whether a character is an accent or a vowel sign, which stands for nothing without the letter before it."""
    return not character.isascii() and unicodedata.category(character)[0] == "M"


def unknown_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """What stands for text that the vocabulary has no piece for; None where it has one for everything, or where it is also another sign."""
    others = [token for name, token in tokenizer.special_tokens_map.items() if name != "unk_token"]
    return None if tokenizer.unk_token is None or tokenizer.unk_token in others else tokenizer.unk_token_id


def template(tokenizer: PreTrainedTokenizerBase, *, pair: bool) -> Template:
    """What stands around the texts, learned by looking at one."""
    first, second = "a", "b"
    given = tokenizer(first, second if pair else None, return_token_type_ids=True)
    ids, types = list(given["input_ids"]), list(given["token_type_ids"])
    a = [int(i) for i in encode(tokenizer, [first])[0].ids]
    b = [int(i) for i in encode(tokenizer, [second])[0].ids] if pair else []
    start_a = _find(ids, a, 0)
    end_a = start_a + len(a)
    start_b = _find(ids, b, end_a) if pair else end_a
    end_b = start_b + len(b)
    segment = [types[i] if 0 <= i < len(types) else 0 for i in (0, start_a, end_a, start_b, len(types) - 1)]
    return Template(tuple(ids[:start_a]), tuple(ids[end_a:start_b]), tuple(ids[end_b:]), tuple(segment))


def _find(ids: list[int], part: list[int], start: int) -> int:
    for place in range(start, len(ids) - len(part) + 1):
        if ids[place : place + len(part)] == part:
            return place
    raise ModelError("this tokenizer reads a text differently beside special tokens than alone; choose another --base-model")


def lay_out(around: Template, first: Encoded, second: Encoded | None = None, *, of: int = 0) -> Layout:
    """Put one or two texts between their special tokens; offsets and words are those of text `of` (0 or 1), zero and -1 elsewhere."""
    texts = (first, second) if second is not None else (first, _NOTHING)
    special = [np.array(ids, dtype=np.int32) for ids in (around.before, around.between, around.behind)]
    parts = [special[0], texts[0].ids, special[1], texts[1].ids, special[2]]
    lengths = [len(part) for part in parts]
    input_ids = np.concatenate(parts)
    start = sum(lengths[: 1 + 2 * of])
    offsets = np.zeros((len(input_ids), 2), dtype=np.int32)
    words = np.full(len(input_ids), -1, dtype=np.int32)
    offsets[start : start + len(texts[of].ids)] = texts[of].offsets
    words[start : start + len(texts[of].ids)] = texts[of].words
    return Layout(input_ids, np.repeat(np.array(around.types, dtype=np.int32), lengths), offsets, words)


_NOTHING = Encoded(np.zeros(0, dtype=np.int32), np.zeros((0, 2), dtype=np.int32), np.zeros(0, dtype=np.int32))


def cut(tokens: int, *, room: int, overlap: int) -> list[tuple[int, int]]:
    """Where a text of so many tokens is cut: (start, end) of windows of at most `room`, neighbours sharing `overlap`; always at least one.

    `overlap` gives way where it would leave less than half of a window for new text.
    """
    step = room - min(overlap, room // 2)
    starts = range(0, max(tokens - room, 0) + step, step) if tokens > room else [0]
    return [(start, min(start + room, tokens)) for start in starts]


def part(text: Encoded, start: int, end: int) -> Encoded:
    """Tokens `start` to `end` of a text."""
    return Encoded(text.ids[start:end], text.offsets[start:end], text.words[start:end])


def room_for(around: Template, max_tokens: int, *, beside: int = 0) -> int:
    """How many tokens of text a window holds next to its special tokens and `beside` tokens of another text.

    Raises:
        ModelError: next to none.
    """
    room = max_tokens - around.special_tokens - beside
    if room < ROOM_TOKENS:
        raise ModelError(f"windows.max_tokens = {max_tokens} leaves {max(room, 0)} tokens for text; at least {ROOM_TOKENS} are needed")
    return room


def owners(windows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Which tokens each window decides: every token once, by the window in which it has most text on its shorter side."""
    borders = [(before[1] + after[0] + 1) // 2 for before, after in pairwise(windows)]
    return list(zip([windows[0][0], *borders], [*borders, windows[-1][1]], strict=True))
