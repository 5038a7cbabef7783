"""Words to fill in: texts without labels as windows, some of whose tokens are hidden, others in every epoch.

Shape letters: N tokens of a window, M tokens of it that are to be told.

Source: Devlin et al. 2019, arXiv:1810.04805 (masked words); Liu et al. 2019, arXiv:1907.11692 (drawn anew in every epoch).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from headway.errors import ModelError
from headway.records import IGNORED, Window
from headway.tokens import cut, encode, lay_out, part, room_for, template

HIDDEN, REPLACED = 0.8, 0.1  # of the tokens that are to be told; the others are shown as they are


class Vocabulary(NamedTuple):
    """What masking has to know of a tokenizer."""

    mask: int
    special: np.ndarray  # ids that stand for no text
    words: np.ndarray  # the other ids

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Vocabulary":
        """Raises ModelError where there is no token to hide others behind."""
        if tokenizer.mask_token_id is None:
            raise ModelError("data.unlabeled: this tokenizer has no mask token, and so no words to fill in; leave it away")
        special = np.array(sorted(set(tokenizer.all_special_ids)))
        return cls(tokenizer.mask_token_id, special, np.setdiff1d(np.fromiter(tokenizer.get_vocab().values(), dtype=np.int64), special))


def text_windows(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int) -> Iterator[Window]:
    """Each text by itself, a long one as several windows that share nothing; one without a token to hide gives none."""
    around = template(tokenizer, pair=False)
    room, special = room_for(around, max_tokens), set(tokenizer.all_special_ids)
    for position, text in enumerate(encode(tokenizer, texts)):
        for start, end in cut(len(text.ids), room=room, overlap=0):
            laid = lay_out(around, part(text, start, end))
            nothing = np.full(len(laid.input_ids_N), IGNORED, dtype=np.int64)
            if not special.issuperset(laid.input_ids_N.tolist()):
                yield Window(position, laid.input_ids_N, laid.token_type_ids_N, laid.offsets_N2, nothing)


@dataclass(frozen=True)
class Masked(Sequence):
    """Windows of several epochs, one epoch behind the other, with targets where a token is to be told.

    Which tokens is a function of the seed, the epoch and the place of the window: the same whatever was asked for before.
    """

    windows: Sequence[Window]
    vocabulary: Vocabulary
    share: float  # of the tokens of text in a window, rounded, and at least one
    seed: int
    epochs: int

    def __len__(self) -> int:
        return self.epochs * len(self.windows)

    def __getitem__(self, position: int) -> Window:
        epoch, place = divmod(position, len(self.windows))
        return mask(self.windows[place], self.vocabulary, share=self.share, generator=np.random.default_rng([self.seed, epoch, place]))


def mask(window: Window, vocabulary: Vocabulary, *, share: float, generator: np.random.Generator) -> Window:
    """A share of its tokens to be told: of these 80% are hidden, 10% another word stands for, 10% are shown, as nobody knows later."""
    text = np.flatnonzero(~np.isin(window.input_ids_N, vocabulary.special))
    told_M = generator.choice(text, size=max(round(share * len(text)), 1), replace=False)
    drawn_M, others_M = generator.random(len(told_M)), generator.choice(vocabulary.words, size=len(told_M))
    targets_N = np.full(len(window), IGNORED, dtype=np.int64)
    targets_N[told_M] = window.input_ids_N[told_M]
    ids_N = window.input_ids_N.copy()
    ids_N[told_M[drawn_M < HIDDEN]] = vocabulary.mask
    replaced_M = (drawn_M >= HIDDEN) & (drawn_M < HIDDEN + REPLACED)
    ids_N[told_M[replaced_M]] = others_M[replaced_M]
    return replace(window, input_ids_N=ids_N, targets_A=targets_N)
