import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from headway.display import complain, screen, show
from headway.errors import ConfigError
from headway.events import Estimate, Evaluated, Finished, Listed, Said, Scored, Standing, Stepped, Tried, Worked
from headway.wording import clock_text, metric_text, p_text, score_text

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ROWS = {
    "most common class": {"accuracy": 0.612, "macro_f1": 0.253},
    "fine-tuned": {"accuracy": 0.8812, "macro_f1": 1.0},
}


def stepped(step: int, steps: int = 100, **other) -> Stepped:
    values = {"epoch": 3 * step / steps, "epochs": 3.0, "loss": 0.312, "learning_rate": 2.1e-5}
    return Stepped(step, steps, **(values | {"tokens_per_second": 3350.4, "seconds_left": 41.2} | other))


def evaluated(step: int, value: float, *, best: bool) -> Evaluated:
    return Evaluated(step, "macro_f1", value, best)


def plain(*events, clock=lambda: 0.0) -> list[str]:
    """The lines that go into a pipe."""
    stream = StringIO()
    show(events, console=screen(stream), clock=clock)
    return stream.getvalue().splitlines()


class Terminal(StringIO):
    def isatty(self):
        return True


def on_terminal(*events, width: int = 80, clock=lambda: 0.0) -> list[str]:
    """All that was ever drawn, line by line, without colours and cursor movements."""
    stream = Terminal()
    show(events, console=Console(file=stream, force_terminal=True, force_interactive=True, width=width, highlight=False), clock=clock)
    return re.split("[\r\n]+", CONTROL.sub("", stream.getvalue()))


def ticking(seconds: float):
    """A clock that is read every so many seconds."""
    now = iter(range(10**6))
    return lambda: next(now) * seconds


# --- talk


def test_headings_stand_left_and_texts_stand_in_line():
    assert plain(Said("reviews.csv", "4,812 rows"), Said("", "headway audit reviews.csv"), Finished(Path("runs/reviews"))) == [
        "",
        "  reviews.csv     4,812 rows",
        "                  headway audit reviews.csv",
        "  saved           runs/reviews/",
    ]


def test_a_warning_is_marked_without_colour():
    assert plain(Said("audit", "61 texts occur twice", warning=True))[1] == "! audit           61 texts occur twice"


def test_a_long_heading_keeps_its_distance_from_the_text():
    assert plain(Said("a-very-long-file-name.parquet", "12 rows"))[1] == "  a-very-long-file-name.parquet  12 rows"


def test_a_line_in_a_pipe_is_never_broken():
    assert plain(Said("audit", "word " * 100 + "end"))[1] == "  audit           " + "word " * 100 + "end"


def test_a_long_text_goes_on_under_itself_on_a_terminal():
    lines = on_terminal(Said("audit", "word " * 20), width=60)
    assert lines[1].startswith("  audit           word")
    assert lines[2].startswith("                  word")


def test_a_long_text_is_broken_between_the_things_that_it_tells():
    """And a thing by itself where it is too long."""
    text = "train.learning_rate 5e-05 -> 8e-05 · train.epochs 2.0 -> 3.0 · " + "word " * 11
    assert [line.rstrip() for line in on_terminal(Said("settings", text), width=74)[1:-1]] == [
        "  settings        train.learning_rate 5e-05 -> 8e-05",
        "                  train.epochs 2.0 -> 3.0",
        "                  " + " ".join(["word"] * 11),
    ]
    assert [line.rstrip() for line in on_terminal(Said("settings", text), width=50)[4:-1]] == [
        "                  " + " ".join(["word"] * 6),
        "                  " + " ".join(["word"] * 5),
    ]


def test_what_would_move_the_cursor_is_spelt_out():
    assert plain(Said("a\tb", "one\ntwo \x1b[31m \ud800"))[1] == r"  a\tb            one\ntwo \x1b[31m \ud800"


def test_brackets_are_text_and_no_markup():
    assert plain(Said("label", "[red]stop[/red]"))[1] == "  label           [red]stop[/red]"


def test_blank_lines_part_talk_training_and_scores():
    lines = plain(Said("a", "b"), stepped(100), Scored("dev", ROWS), Scored("test", ROWS), Said("c", "d"))
    assert [index for index, line in enumerate(lines) if not line] == [0, 2, 4, 8, 12]


# --- scores


def test_scores_stand_under_their_metrics():
    assert plain(Scored("test", ROWS))[1:] == [
        "  test               accuracy  macro F1",
        "  most common class      .612      .253",
        "  fine-tuned             .881     1.000",
    ]


LISTED = Listed(
    "small",
    ("parameters", "here"),
    (
        ("one", ("22.7 M", "bundled"), "short texts · mit"),
        ("somebody/with-a-name-that-is-longer-than-there-is-room-for-it-in-a-screen", ("1.0 M", ""), ""),
    ),
)


def test_a_list_stands_under_its_columns_with_a_line_about_each():
    wide = len(LISTED.rows[1][0])
    assert plain(LISTED)[1:4] == [
        f"  {'small':<{wide}}  parameters     here",
        f"  {'one':<{wide}}      22.7 M  bundled",
        "    short texts · mit",
    ]


def test_a_list_fits_on_a_terminal_and_only_names_are_broken():
    lines = [line.rstrip() for line in on_terminal(LISTED, width=60)]
    assert all(len(line) <= 60 for line in lines)
    assert "  one                                        22.7 M  bundled" in lines
    assert "".join(line.split()[0] for line in lines if "-" in line or "screen" in line) == LISTED.rows[1][0]


def test_lists_with_short_names_stand_as_one():
    first, second = (Listed(title, ("parameters",), ((name, ("1.0 M",), ""),)) for title, name in (("a", "b"), ("longer", "than that")))
    assert len({line.index("parameters") for line in plain(first, second) if "parameters" in line}) == 1


def test_a_missing_score_leaves_its_cell_empty():
    lines = plain(Scored("", {"all": {"f1": 0.5}, "PER": {"recall": 0.25}}))
    assert [line.rstrip() for line in lines[2:]] == ["  all             .500", "  PER                     .250"]


def test_counts_are_whole_numbers():
    assert plain(Scored("class", {"PER": {"f1": 1.0, "support": 1231.0}}))[2] == "  PER             1.000    1,231"


def test_a_score_stands_with_its_interval():
    rows = {"a": {"f1": Estimate(0.8812, 0.857, 0.9034)}, "b": {"f1": Estimate(1.0, 0.98, 1.0)}}
    assert [line.rstrip() for line in plain(Scored("scores", rows))[2:]] == [
        "  a                 .881 (.857–.903)",
        "  b               1.000 (.980–1.000)",
    ]


def test_a_difference_has_a_sign():
    rows = {"a": {"f1": 0.5}, "difference": {"f1": Estimate(0.012, -0.004, 0.028), "em": -0.25}, "none": {"em": 0.0001}}
    lines = plain(Scored("scores", rows, differences=("difference", "none")))
    assert [line.split()[1:] for line in lines[2:]] == [[".500"], ["+.012", "(-.004–+.028)", "-.250"], [".000"]]


def test_metrics_without_room_follow_below():
    rows = {"dev": {f"precision{n}": 0.5 for n in range(5)}}
    lines = on_terminal(Scored("scores", rows), width=60)
    assert [line.split() for line in lines[1:5]] == [
        ["scores", "precision0", "precision1", "precision2"],
        ["dev", ".500", ".500", ".500"],
        ["scores", "precision3", "precision4"],
        ["dev", ".500", ".500"],
    ]


def test_a_table_without_scores_breaks_nothing():
    assert plain(Scored("test", {}))[1].strip() == "test"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8812, ".881"),
        (0.0, ".000"),
        (1.0, "1.000"),
        (0.9999, "1.000"),
        (-0.0123, "-.012"),
        (-0.0001, ".000"),
        (-1.0, "-1.000"),
        (12.345, "12.345"),
        (10.5, "10.500"),
        (1234.5, "1,234.500"),
        (float("nan"), "nan"),
    ],
)
def test_a_score_has_three_digits_and_no_idle_zero(value, text):
    assert score_text(value) == text


@pytest.mark.parametrize(("p", "text"), [(0.0, "p < .001"), (0.001, "p = .001"), (0.4561, "p = .456"), (1.0, "p = 1.000")])
def test_chance_has_three_digits_too(p, text):
    assert p_text(p) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (41.2, "0:41"), (59.6, "1:00"), (727, "12:07"), (3761, "1:02:41")])
def test_seconds_read_as_a_clock(seconds, text):
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("metric", "text"),
    [("macro_f1", "macro F1"), ("accuracy", "accuracy"), ("mcc", "MCC"), ("HasAns_f1", "HasAns F1"), ("macro F1", "macro F1")],
)
def test_a_metric_reads_as_words(metric, text):
    assert metric_text(metric) == text


# --- training, in a pipe


def test_a_line_of_training_holds_all_there_is_to_know():
    assert plain(evaluated(0, 0.8743, best=True), stepped(50))[-1] == (
        "  training        step 50/100 · epoch 2/3 · 3,350 tokens/s · after 0:00 · loss 0.31 · lr 2.1e-5 · dev macro F1 .874 (best)"
    )


def test_the_time_left_is_told_while_training_goes_on():
    assert "0:41 left" in plain(stepped(1))[1]


def test_a_time_left_that_nobody_knows_is_not_told():
    assert "left" not in plain(stepped(1, seconds_left=float("inf")))[1]


def test_an_epoch_ends_with_its_last_step():
    assert ["epoch 1/3" in line for line in plain(stepped(100, epoch=1.0000000001))[1:]] == [True]
    assert ["epoch 2/3" in line for line in plain(stepped(100, epoch=1.01))[1:]] == [True]


@pytest.mark.parametrize(("loss", "text"), [(12.3, "loss 12.30"), (0.0043, "loss 0.0043"), (float("nan"), "loss nan")])
def test_a_loss_shows_two_digits_that_say_something(loss, text):
    assert text in plain(stepped(1, loss=loss))[1]


def test_lines_come_ten_seconds_apart():
    lines = plain(*(stepped(step) for step in range(1, 101)), clock=ticking(1.0))
    assert [line.split()[2] for line in lines[1:]] == [f"{step}/100" for step in (*range(1, 100, 10), 100)]


def test_a_long_training_writes_a_hundred_lines():
    lines = plain(*(stepped(step, 1000) for step in range(1, 1001)), clock=ticking(60.0))
    assert len(lines[1:]) == 101


def test_every_dev_score_gets_its_line():
    lines = plain(
        stepped(1), evaluated(1, 0.5, best=True), stepped(2), evaluated(2, 0.4, best=False), stepped(3), evaluated(3, 0.6, best=True)
    )
    assert [line.split("dev macro F1 ")[1] for line in lines[1:] if "dev" in line] == [".500 (best)", ".400 (best .500)", ".600 (best)"]


def test_the_next_training_starts_without_the_scores_of_the_last():
    lines = plain(stepped(9), evaluated(9, 0.9, best=True), Finished(Path("runs/a")), stepped(1), evaluated(1, 0.2, best=False))
    assert lines[-1].endswith("dev macro F1 .200")


def test_a_training_that_breaks_leaves_where_it_stood():
    def breaking():
        yield stepped(1)
        yield stepped(2)
        raise KeyboardInterrupt

    stream = StringIO()
    with pytest.raises(KeyboardInterrupt):
        show(breaking(), console=screen(stream), clock=ticking(1.0))
    assert "step 2/100 · epoch 1/3 · 3,350 tokens/s · after 0:01" in stream.getvalue().splitlines()[-1]


# --- training, on a terminal


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_line_shows_pace_and_quality(width):
    lines = on_terminal(stepped(50), evaluated(50, 0.861, best=False), stepped(51), width=width, clock=ticking(65.0))
    assert lines[-3].startswith("  training        ━━━━━━━")
    assert lines[-3].rstrip().endswith("━  epoch 2/3 · 3,350 tokens/s · after 2:10")
    assert lines[-2].rstrip() == "                  loss 0.31 · lr 2.1e-5 · dev macro F1 .861"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_nothing_is_wider_than_the_terminal(width):
    events = [
        Said("a-very-long-file-name.parquet", "word " * 40, warning=True),
        stepped(50),
        evaluated(50, 0.5, best=True),
        Scored("test", {"most common class": {f"metric_{letter}": 0.5 for letter in "abcdefgh"}}),
        Finished(Path("runs") / ("long" * 40)),
    ]
    assert max(len(line) for line in on_terminal(*events, width=width)) <= width


def test_talk_in_the_middle_of_a_training_leaves_the_bar_above_it():
    lines = on_terminal(stepped(50), Said("stopped", "at step 50"))
    bar = max(index for index, line in enumerate(lines) if "training" in line)
    assert "after" in lines[bar]
    assert any("at step 50" in line for line in lines[bar:])


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Worked("reading", 10_000), "10,000 rows"),
        (Worked("holding out", 0), "holding out"),
        (Worked("fitting", 2, 5, "folds"), "2 of 5 folds"),
    ],
)
def test_work_shows_how_far_it_has_come(event, shown):
    assert any(event.what in line and shown in line for line in on_terminal(event))


def test_nothing_of_work_goes_into_a_pipe():
    assert plain(Worked("reading", 10_000), Said("audit", "done")) == plain(Said("audit", "done"))


def test_colour_goes_where_nobody_wants_it(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    show([Said("audit", "2 warnings", warning=True)], console=screen(terminal))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal.getvalue())


def test_nothing_moves_in_a_pipe_even_where_colour_is_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = StringIO()
    show([stepped(1), stepped(2)], console=screen(stream))
    assert "\x1b[?25l" not in stream.getvalue()  # hides the cursor, as a live line does


# --- the trials of a search


def tried(number: int, state: str, *, tries: str = "", why: str = "", value: float | None = None) -> Tried:
    epochs = {"running": 0, "pruned": 1, "failed": 0}.get(state, 3)
    return Tried(number, state, tries, why, "macro_f1", value, epochs, Standing(number + 1, 20, 0, 0.874, 250.0))


SEARCH = (
    tried(0, "running", why="the default recipe"),
    stepped(50),
    evaluated(50, 0.861, best=True),
    tried(0, "done", why="the default recipe", value=0.874),
    tried(1, "running", tries="learning_rate 8.3e-05, batch_size 16"),
    Worked("new layer", 512, 4096, "windows"),
    stepped(30),
    tried(1, "pruned", tries="learning_rate 8.3e-05, batch_size 16", why="after 1 epoch 1 of 2 were better", value=0.812),
    Said("finals", "trial 0"),
)


def test_trials_that_ended_stay_as_rows_and_the_one_that_runs_moves():
    lines = [line.rstrip() for line in on_terminal(*SEARCH, width=120)]
    assert "  trial  state     epochs       dev  tries" in lines
    assert "      0  best           3      .874  the default recipe" in lines
    assert "      1  pruned         1      .812  learning_rate 8.3e-05, batch_size 16 · after 1 epoch 1 of 2 were better" in lines
    assert "  best so far: trial 0, macro F1 .874 · 2 of 20 trials · about 4:10 left" in lines
    assert "  finals          trial 0" in lines


@pytest.mark.parametrize(
    ("count", "row"),
    [
        (1, "      0  running                  –  the default recipe"),
        (2, "      0  running    1.5/3         –  the default recipe"),
        (3, "      0  running    1.5/3      .861  the default recipe"),
        (5, "      1  running                  –  learning_rate 8.3e-05, batch_size 16"),
        (6, "      1  running                  –  new layer 512 of 4,096 windows"),
        (7, "      1  running    0.9/3         –  learning_rate 8.3e-05, batch_size 16"),
    ],
)
def test_a_search_that_breaks_leaves_where_its_trial_stood(count, row):
    assert [line.rstrip() for line in on_terminal(*SEARCH[:count], width=120)][-3:-1][0] == row


def test_the_time_that_is_left_to_a_search_runs_out():
    for seconds, left in ((60.0, "3:10"), (600.0, "0:00")):
        shown = on_terminal(*SEARCH[:1], width=120, clock=ticking(seconds))
        assert any(line.rstrip().endswith(f"about {left} left") for line in shown)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_row_of_a_trial_is_wider_than_the_terminal(width):
    events = [tried(0, "running"), stepped(1), tried(0, "failed", tries="learning_rate 8.3e-05, " * 9, why="a loss\nof " + "x" * 200)]
    assert max(len(line) for line in on_terminal(*events, width=width)) <= width


def test_a_pipe_gets_a_line_for_each_trial_that_ended():
    lines = [line for line in plain(*SEARCH) if "trial " in line[:16]]
    assert lines == [
        "  trial 0         done · macro F1 .874 · the default recipe · "
        "best so far: trial 0, macro F1 .874 · 1 of 20 trials · about 4:10 left",
        "  trial 1         pruned · macro F1 .812 · after 1 epoch 1 of 2 were better · learning_rate 8.3e-05, batch_size 16 · "
        "best so far: trial 0, macro F1 .874 · 2 of 20 trials · about 4:10 left",
    ]


def test_a_trial_that_failed_is_marked_without_colour():
    assert plain(tried(2, "failed", why="step 12: the loss is not a number"))[1].startswith("! trial 2         failed · step 12")


# --- errors


def test_an_error_is_one_line_on_standard_error(capsys):
    complain(ConfigError("unknown setting [a]\n" + "b" * 200))
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "ConfigError: unknown setting [a]\\n" + "b" * 200 + "\n")


def test_work_of_which_nothing_has_been_counted_shows_a_bar_and_no_number():
    lines = [line for line in on_terminal(Worked("reading", 0)) if "reading" in line]
    assert all("━" in line and "0 rows" not in line for line in lines)
    assert lines
