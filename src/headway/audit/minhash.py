"""Which of many texts are nearly the same: MinHash, bands, and the exact similarity of every pair that these propose.

The similarity of two texts is the Jaccard index of their shingles: pairs of neighbouring words, without case and ASCII punctuation. Two
texts of similarity s share a band, and so are compared, with probability 1 - (1 - s^ROWS)^BANDS: 98.8% at 0.7, 99.98% at 0.8. Every
pair that is given has been compared shingle by shingle: none is below the threshold.

Shape letters: W words of a chunk, H shingles, R texts, B bands, P pairs.

Source: Broder 1997, On the resemblance and containment of documents; bands: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, ch. 3.
"""

import re
import string
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIMILAR = 0.7  # from here on two texts are near duplicates: one word of 14 changed
BANDS = 16
ROWS = 4  # minima in a band
CHUNK_WORDS = 1 << 17  # hashed at once: what a processor's cache holds
CROWD = 50  # neighbours in a band that each text is compared with
MOST_PAIRS = 4_000_000  # proposed by a band; beyond, texts are compared with fewer neighbours
PAIRS_AT_ONCE = 20_000

_SIGNS = bytes.maketrans(string.punctuation.encode(), b" " * len(string.punctuation))
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u31bf\u3400-\u9fff\uf900-\ufaff]")  # each character is a word
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64: Steele, Lea and Flood 2014


class Pair(NamedTuple):
    """Two texts, by the number in which they were added; `first` is the earlier."""

    first: int
    second: int
    similarity: float  # 0 to 1


class Sketches:
    """Texts, as far as their similarity can be told: about 4 bytes a word and 90 a text.

    `pairs` has no texts of one word, and none whose words are those of an earlier one: these are told by `add`.
    """

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        self._factors = random.integers(1, 1 << 63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._texts = 0
        self._seen: dict[int, int] = {}  # words -> the first text of just these
        self._numbers = array("q")  # of the texts that are compared
        self._words, self._lengths = array("I"), array("q")  # of those that wait to be hashed
        self._shingles: list[np.ndarray] = []  # of chunks: rising in every text, none twice
        self._counts: list[np.ndarray] = []
        self._bands: list[np.ndarray] = []

    def add(self, text: str) -> int:
        """Gives the number of the first text of the same words: its own, where there is none before."""
        words = _hashes(text)
        number, self._texts = self._texts, self._texts + 1
        first = self._seen.setdefault(hash(words.tobytes()), number) if words else number
        if len(words) < 2 or first != number:
            return first
        self._numbers.append(number)
        self._words.extend(words)
        self._lengths.append(len(words))
        if len(self._words) >= CHUNK_WORDS:
            self._sketch()
        return number

    def pairs(self, threshold: float) -> Iterator[Pair]:
        """Every pair that is at least as similar, as far as the bands propose it."""
        if self._words:
            self._sketch()
        if not self._bands:
            return
        shingles_H, counts_R, bands_RB = map(np.concatenate, (self._shingles, self._counts, self._bands))
        self._shingles, self._counts, self._bands = [shingles_H], [counts_R], [bands_RB]
        starts_R = np.cumsum(counts_R) - counts_R
        proposed_P = _proposed(bands_RB)
        numbers = np.array(self._numbers)
        for begin in range(0, len(proposed_P), PAIRS_AT_ONCE):
            some_P = proposed_P[begin : begin + PAIRS_AT_ONCE]
            first_P, second_P = some_P >> 32, some_P & 0xFFFFFFFF
            similarity_P = _jaccard(shingles_H, starts_R, counts_R, first_P, second_P)
            for place in np.flatnonzero(similarity_P >= threshold).tolist():
                yield Pair(int(numbers[first_P[place]]), int(numbers[second_P[place]]), float(similarity_P[place]))

    def _sketch(self) -> None:
        words_W = np.frombuffer(self._words, dtype=np.uint32).astype(np.uint64)
        text_W = np.repeat(np.arange(len(self._lengths)), np.array(self._lengths))
        inside = text_W[1:] == text_W[:-1]
        hashes_H = _mixed(words_W[:-1] * _FIRST + words_W[1:] * _SECOND)[inside]
        keys_H = np.unique(text_W[1:][inside].astype(np.uint64) << np.uint64(32) | hashes_H >> np.uint64(32))
        text_H, shingles_H = keys_H >> np.uint64(32), keys_H & np.uint64(0xFFFFFFFF)
        counts_R = np.bincount(text_H.astype(np.int64), minlength=len(self._lengths))
        self._shingles.append(shingles_H.astype(np.uint32))
        self._counts.append(counts_R)
        self._bands.append(_band_keys(_mixed(shingles_H), np.cumsum(counts_R) - counts_R, self._factors))
        self._words, self._lengths = array("I"), array("q")


def clusters(texts: Iterable[str]) -> list[int]:
    """For every text a number that it shares with its near duplicates, with theirs, and so on along the chain."""
    sketches = Sketches()
    first_R = np.fromiter((sketches.add(text) for text in texts), dtype=np.int64)
    pairs = [(pair.first, pair.second) for pair in sketches.pairs(SIMILAR)]
    one_P, other_P = np.concatenate([np.stack([first_R, np.arange(len(first_R))], axis=1), np.array(pairs, np.int64).reshape(-1, 2)]).T
    links = coo_array((np.ones(len(one_P), dtype=bool), (one_P, other_P)), shape=(len(first_R), len(first_R)))
    return connected_components(links, directed=False)[1].tolist()


def _hashes(text: str) -> array:
    """One number a word."""
    folded = text.casefold()
    if not folded.isascii():
        folded = _UNSPACED.sub(r" \g<0> ", folded)
    return array("I", map(crc32, folded.encode(errors="surrogatepass").translate(_SIGNS).split()))


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Every bit of each number made to depend on all of its bits."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * _MIX[0]
    numbers = (numbers ^ (numbers >> np.uint64(27))) * _MIX[1]
    return numbers ^ (numbers >> np.uint64(31))


def _band_keys(mixed_H: np.ndarray, starts_R: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """keys_RB: the smallest hash of a text under each of BANDS x ROWS functions, ROWS of them as one number."""
    keys_RB = np.empty((len(starts_R), BANDS), dtype=np.uint32)
    for band in range(BANDS):
        joined_R = np.zeros(len(starts_R), dtype=np.uint64)
        for factor in factors[band * ROWS : (band + 1) * ROWS]:
            joined_R = _mixed(joined_R + np.minimum.reduceat((mixed_H * factor) >> np.uint64(32), starts_R))
        keys_RB[:, band] = joined_R >> np.uint64(32)
    return keys_RB


def _proposed(bands_RB: np.ndarray) -> np.ndarray:
    """Texts that share a band, each with its neighbours there: (first << 32 | second)_P, rising, none twice."""
    found = np.empty(0, dtype=np.int64)
    for band in range(BANDS):
        keys_R = bands_RB[:, band]
        order_R = np.argsort(keys_R, kind="stable")
        sorted_R, pairs, count = keys_R[order_R], [], 0
        for distance in range(1, CROWD + 1):
            same = np.flatnonzero(sorted_R[distance:] == sorted_R[:-distance]) if distance < len(sorted_R) else ()
            count += len(same)
            if not len(same) or (pairs and count > MOST_PAIRS):
                break
            pairs.append(order_R[same] << 32 | order_R[same + distance])
        found = np.unique(np.concatenate([found, *pairs]))
    return found


def _jaccard(shingles_H: np.ndarray, starts_R: np.ndarray, counts_R: np.ndarray, first_P: np.ndarray, second_P: np.ndarray) -> np.ndarray:
    """similarity_P: what two texts have in common twice stands next to itself when the shingles of both are sorted."""
    both = np.concatenate([first_P, second_P])
    counts = counts_R[both]
    ends = np.cumsum(counts)
    places = np.arange(ends[-1]) - np.repeat(ends - counts - starts_R[both], counts)
    pair = np.repeat(np.tile(np.arange(len(first_P)), 2), counts)
    keys = np.sort(pair.astype(np.uint64) << np.uint64(32) | shingles_H[places])
    shared_P = np.bincount((keys[1:][keys[1:] == keys[:-1]] >> np.uint64(32)).astype(np.int64), minlength=len(first_P))
    return shared_P / (counts_R[first_P] + counts_R[second_P] - shared_P)
