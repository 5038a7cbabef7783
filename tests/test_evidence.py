"""What recipes were worth elsewhere, and when that speaks for one of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.config import read_config, with_settings
from headway.evidence import ALIKE, TABLE, Like, Tried, is_uneven, on_data_like, read_evidence, surely_better, worth

REVIEWS = Like("classification", "single", False, 200)


def tried(recipe="R-Drop", *, gain=0.02, error=0.001, **other):
    usual = {"settings": {"regularize.r_drop": 1.0}, "task": "classification", "kind": "single", "uneven": False, "data": "reviews"}
    return Tried(**usual | {"recipe": recipe, "records": 200, "gain": gain, "error": error, "seeds": 5, "cost": 2.0} | other)


def chosen(*lines):
    return next(iter(surely_better(on_data_like(lines, REVIEWS))), None)


def test_what_was_surely_better_on_such_data_is_chosen():
    assert chosen(tried()).recipe == "R-Drop"


def test_a_gain_that_may_be_chance_is_none():
    assert chosen(tried(gain=0.02, error=0.01)) is None


def test_the_more_recipes_were_tried_the_more_a_gain_has_to_be():
    lines = [tried(gain=0.02, error=0.006), *(tried(f"other {n}", gain=0.0) for n in range(20))]
    assert chosen(lines[0]) is not None
    assert chosen(*lines) is None


def test_a_recipe_that_is_surely_worse_on_one_data_set_is_not_chosen():
    lines = [tried(gain=0.2), tried(gain=-0.02, data="others")]
    assert worth(lines, recipes=1).gain > worth(lines, recipes=1).reach
    assert chosen(*lines) is None


def test_of_several_the_one_that_gains_most_comes_first():
    lines = [tried("little", gain=0.03), tried("much", gain=0.05), tried("nothing", gain=0.0)]
    assert [found.recipe for found in surely_better(on_data_like(lines, REVIEWS))] == ["much", "little"]


def test_other_data_says_nothing():
    for other in ({"task": "ner", "kind": ""}, {"kind": "multi"}, {"uneven": True}, {"records": 200 * 5}, {"records": 200 // 5}):
        assert chosen(tried(**other)) is None


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_sizes_are_alike_both_ways(one, other):
    there = on_data_like([tried(records=one)], REVIEWS._replace(records=other))
    back = on_data_like([tried(records=other)], REVIEWS._replace(records=one))
    assert bool(there) == bool(back)
    assert bool(there) == (max(one, other) <= ALIKE * min(one, other))


def test_the_mean_counts_data_sets_alike_whatever_their_seeds():
    one = worth([tried(gain=0.01, seeds=3), tried(gain=0.03, seeds=10, data="others")], recipes=1)
    assert round(one.gain, 9) == 0.02
    assert one.data == ("reviews", "others")


def test_classes_are_uneven_where_one_is_rare():
    assert is_uneven([1, 9])
    assert not is_uneven([4, 6])
    assert not is_uneven([5])
    assert not is_uneven([])


def written(path, **other):
    """A table of one line, in the shape that `benchmarks/recipes.py` gives it."""
    values = tried().model_dump() | {"settings": {"regularize.r_drop": 1, "regularize.soup": "greedy"}} | other
    settings = ", ".join(f'"{name}" = {json.dumps(value)}' for name, value in values["settings"].items())
    lines = [f"{name} = {json.dumps(value) if name != 'settings' else f'{{{settings}}}'}" for name, value in values.items()]
    path.write_text("\n".join(["# Written by a test.", "", "[[tried]]", *lines, ""]), encoding="utf-8")
    return path


def test_a_table_is_read_as_it_was_measured(tmp_path):
    [line] = read_evidence(written(tmp_path / "recipes.toml"))
    assert line == tried(settings={"regularize.r_drop": 1, "regularize.soup": "greedy"})
    asked = with_settings(read_config(None, []), line.settings)
    assert (asked.regularize.r_drop, asked.regularize.soup) == (1.0, "greedy")


IMPOSSIBLE = {
    "a setting that there is not": ({"settings": {"regularize.rdrop": 1}}, "unknown setting regularize.rdrop"),
    "a value that it does not take": ({"settings": {"regularize.r_drop": -1}}, "regularize.r_drop"),
    "an error below nothing": ({"error": -0.001}, "error"),
    "a cost of nothing": ({"cost": 0.0}, "cost"),
    "one seed, of which there is no error": ({"seeds": 1}, "seeds"),
    "no records": ({"records": 0}, "records"),
    "a column that nobody reads": ({"gains": 0.1}, "gains"),
}


@pytest.mark.parametrize(("other", "told"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_table_that_says_what_cannot_be_is_not_read(tmp_path, other, told):
    """Its recipes would be passed over in silence, or be chosen for nothing."""
    with pytest.raises(ValueError, match=told):
        read_evidence(written(tmp_path / "recipes.toml", **other))


def test_the_published_table_can_be_read_and_has_each_recipe_once_for_each_data():
    assert TABLE.is_file()
    lines = read_evidence()
    assert len({(line.recipe, line.data, line.records) for line in lines}) == len(lines)


def test_without_a_table_nothing_is_known(tmp_path):
    assert read_evidence(tmp_path / "none.toml") == []
