from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from headway.errors import ModelError
from headway.tokens import Template, cut, encode, lay_out, owners, part, room_for, template, unknown_id

TOKENIZERS = ["bert", "roberta", "xlm-roberta"]
TEXTS = [
    "",
    "Ada",
    " Ada  Lovelace, was\tin Paris. ",
    "naïve café",
    "北京 hello",
    "🙂🙂 ok",
    "x" * 300,
    "a\u00a0b\u3000c",
    "ﬁne ½",
    "cafe\u0301 ok",
]
promise = settings(max_examples=200)
every_tokenizer = pytest.mark.parametrize("name", TOKENIZERS)


# --- what is not in a vocabulary


@pytest.mark.parametrize(("name", "sign"), [("bert", "[UNK]"), ("xlm-roberta", "<unk>")])
def test_what_a_vocabulary_has_no_piece_for_can_be_counted(tokenizer_of, name, sign):
    tokenizer = tokenizer_of(name)
    assert unknown_id(tokenizer) == tokenizer.convert_tokens_to_ids(sign)
    assert unknown_id(tokenizer) in encode(tokenizer, ["ᚠᛇᚻ"])[0].ids
    assert unknown_id(tokenizer) not in encode(tokenizer, ["Ada Lovelace"])[0].ids


def test_a_sign_that_stands_for_more_than_unknown_text_counts_nothing():
    names = {"unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<|endoftext|>": 0}, "<|endoftext|>")), **names)
    assert unknown_id(tokenizer) is None


# --- cutting


@promise
@given(st.integers(0, 300), st.integers(1, 60), st.integers(0, 80))
def test_windows_cover_every_token(tokens, room, overlap):
    places = cut(tokens, room=room, overlap=overlap)
    assert {token for start, end in places for token in range(start, end)} == set(range(tokens))
    assert all(end - start <= room for start, end in places)


@promise
@given(st.integers(0, 300), st.integers(1, 60), st.integers(0, 80))
def test_neighbouring_windows_share_what_was_asked_for_and_at_most_half(tokens, room, overlap):
    places = cut(tokens, room=room, overlap=overlap)
    assert all(before[1] - after[0] == min(overlap, room // 2) for before, after in pairwise(places))


@promise
@given(st.integers(0, 300), st.integers(1, 60), st.integers(0, 80))
def test_no_window_could_be_left_out(tokens, room, overlap):
    places = cut(tokens, room=room, overlap=overlap)
    seen = Counter(token for start, end in places for token in range(start, end))
    assert len(places) == 1 or all(any(seen[token] == 1 for token in range(*place)) for place in (places[0], places[-1]))
    assert all(before[1] < after[1] for before, after in pairwise(places))


@promise
@given(st.integers(0, 300), st.integers(1, 60), st.integers(0, 80))
def test_every_token_is_owned_by_one_window_that_holds_it(tokens, room, overlap):
    places = cut(tokens, room=room, overlap=overlap)
    owned = owners(places)
    assert [token for start, end in owned for token in range(start, end)] == list(range(tokens))
    assert all(place[0] <= own[0] <= own[1] <= place[1] for place, own in zip(places, owned, strict=True))


@promise
@given(st.integers(20, 300), st.integers(10, 60), st.integers(0, 30))
def test_the_owner_is_the_window_with_most_text_on_its_shorter_side(tokens, room, overlap):
    places = cut(tokens, room=room, overlap=overlap)

    def context(place, token):  # at the ends of a text nothing is missing
        before = token - place[0] if place[0] > 0 else tokens
        after = place[1] - 1 - token if place[1] < tokens else tokens
        return min(before, after)

    for place, own in zip(places, owners(places), strict=True):
        for token in range(*own):
            assert context(place, token) >= max(context(p, token) for p in places if p[0] <= token < p[1]) - 1


# --- encoding


@every_tokenizer
def test_a_text_is_encoded_as_the_tokenizer_encodes_it(tokenizer_of, name):
    tokenizer = tokenizer_of(name)
    for text, encoded in zip(TEXTS, encode(tokenizer, TEXTS), strict=True):
        assert encoded.ids.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]


@every_tokenizer
def test_no_token_begins_or_ends_with_white_space(tokenizer_of, name):
    for text, encoded in zip(TEXTS, encode(tokenizer_of(name), TEXTS), strict=True):
        covered = [text[start:end] for start, end in encoded.offsets]
        assert all(piece == piece.strip() for piece in covered)


@every_tokenizer
def test_all_that_is_not_white_space_is_covered(tokenizer_of, name):
    for text, encoded in zip(TEXTS, encode(tokenizer_of(name), TEXTS), strict=True):
        covered = {place for start, end in encoded.offsets for place in range(start, end)}
        assert covered == {place for place, character in enumerate(text) if not character.isspace()}


@every_tokenizer
def test_half_a_surrogate_pair_is_read_as_an_unknown_character(tokenizer_of, name):
    broken, unknown = encode(tokenizer_of(name), ["ok \ud83d ok", "ok \ufffd ok"])
    assert broken.ids.tolist() == unknown.ids.tolist()
    assert broken.offsets.tolist() == unknown.offsets.tolist()


def test_what_the_tokenizer_cut_before_is_not_cut_here(tokenizer_of):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer_of("bert").backend_tokenizer.to_str()))
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert len(encode(tokenizer, ["a good film was by the river"])[0].ids) == 7


# --- special tokens


@every_tokenizer
@pytest.mark.parametrize("first", TEXTS[:5])
@pytest.mark.parametrize("second", [None, *TEXTS[1:4]])
def test_a_laid_out_text_is_what_the_tokenizer_makes_of_it(tokenizer_of, name, first, second):
    tokenizer = tokenizer_of(name)
    a, b = encode(tokenizer, [first, second or ""])
    laid = lay_out(template(tokenizer, pair=second is not None), a, b if second is not None else None)
    expected = tokenizer(first, second, return_token_type_ids=True)
    assert laid.input_ids_N.tolist() == expected["input_ids"]
    assert laid.token_type_ids_N.tolist() == expected["token_type_ids"]


def test_the_second_text_of_a_bert_pair_is_another_segment(tokenizer_of):
    tokenizer = tokenizer_of("bert")
    laid = lay_out(template(tokenizer, pair=True), *encode(tokenizer, ["good film", "bad"]))
    assert laid.token_type_ids_N.tolist() == [0, 0, 0, 0, 1, 1]


@every_tokenizer
@pytest.mark.parametrize("of", [0, 1])
def test_offsets_speak_of_one_text_and_of_nothing_else(tokenizer_of, name, of):
    tokenizer = tokenizer_of(name)
    texts = ["Ada was", "born in Paris"]
    encoded = encode(tokenizer, texts)
    laid = lay_out(template(tokenizer, pair=True), *encoded, of=of)
    here = np.flatnonzero(laid.words_N >= 0)
    assert laid.input_ids_N[here].tolist() == encoded[of].ids.tolist()
    assert laid.offsets_N2[here].tolist() == encoded[of].offsets.tolist()
    assert not laid.offsets_N2[laid.words_N < 0].any()


def test_a_tokenizer_without_special_tokens_adds_none(tokenizer_of):
    plain = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="?")
    assert template(tokenizer, pair=False) == Template((), (), (), (0, 0, 0, 0, 0))


@promise
@given(st.integers(0, 50), st.integers(0, 50))
def test_a_part_of_a_text_is_its_tokens(tokenizer_of, start, length):
    whole = encode(tokenizer_of("bert"), [" ".join(["good film"] * 25)])[0]
    piece = part(whole, start, start + length)
    assert piece.ids.tolist() == whole.ids.tolist()[start : start + length]
    assert piece.offsets.tolist() == whole.offsets.tolist()[start : start + length]
    assert piece.words.tolist() == whole.words.tolist()[start : start + length]


def test_a_window_without_room_for_text_is_refused():
    around = Template((1,), (2,), (3,), (0, 0, 0, 1, 1))
    assert room_for(around, 20, beside=9) == 8
    with pytest.raises(ModelError) as error:
        room_for(around, 20, beside=10)
    assert str(error.value) == "windows.max_tokens = 20 leaves 7 tokens for text; at least 8 are needed"
