import pytest

from headway import errors
from headway.errors import BackendError, ConfigError, DataError, HeadwayError, ModelError, OutputError, TrainingError, did_you_mean

KINDS = [HeadwayError, ConfigError, DataError, ModelError, OutputError, BackendError, TrainingError]


def test_every_kind_of_mistake_has_an_exit_code_of_its_own():
    assert [kind.exit_code for kind in KINDS] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_in_the_docstring_shows_every_kind_and_its_code(kind):
    line = next(line for line in errors.__doc__.splitlines() if kind.__name__ in line)
    assert str(kind.exit_code) in line.split()


def test_the_nearest_allowed_name_is_named():
    assert did_you_mean("postive", ["negative", "neutral", "positive"]) == '; did you mean "positive"?'


def test_upper_and_lower_case_do_not_count_as_a_difference():
    assert did_you_mean("i-pre", ["O", "I-PER", "B-LOC"]) == '; did you mean "I-PER"?'


@pytest.mark.parametrize("allowed", [["text", "label"], []])
def test_nothing_is_suggested_where_no_name_is_near(allowed):
    assert did_you_mean("zebra", allowed) == ""


def test_a_message_is_one_line_of_bounded_length_whatever_it_quotes():
    said = str(DataError(f'x.csv:1: "{"a" * 5000}\n" is no label; mend it'))
    assert said.startswith('x.csv:1: "aaa')
    assert said.endswith('\\n" is no label; mend it')
    assert len(said) < 1100
