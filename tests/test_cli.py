import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from headway import cli
from headway.errors import BackendError, ConfigError, DataError, HeadwayError, ModelError, OutputError
from headway.events import Evaluated, Finished, Said, Scored, Stepped, Worked

STEP = {"epoch": 1.0, "epochs": 3.0, "loss": 0.3, "learning_rate": 1e-5, "tokens_per_second": 100.0, "seconds_left": 9.0}


def headway(*words: str, **options):
    return CliRunner().invoke(cli.app, words, prog_name="headway", **options)


@pytest.fixture
def job(monkeypatch):
    """Puts plain functions in the place of a module of jobs: job("train", train=...)."""

    def replace(name: str, **functions):
        module = ModuleType(f"headway.jobs.{name}")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return replace


@pytest.fixture
def calls(job):
    """What each command hands to its job."""
    heard = []

    def recording(answer):
        def called(*data, **options):
            heard.append((data, options))
            yield from answer

        return called

    def written(rows, out):
        yield Worked("writing", 0)
        out.write_text(str(list(rows)))

    job("train", train=recording([Finished(Path("runs/a"))]))
    job("evaluate", evaluate=recording([Scored("test", {"all": {"f1": 0.5}})]))
    job("predict", predict=recording([{"label": "good"}]), write=written)
    job("demo", demo=recording([Said("demo", "three tasks")]))
    return heard


def run_script(body: str, **options) -> subprocess.CompletedProcess:
    """`headway predict` in a process of its own, with a `predict` that is written in `body`."""
    script = f"""
import sys, types
from headway.cli import main
def predict(model, source, *, settings):
{body}
sys.modules["headway.jobs.predict"] = types.SimpleNamespace(predict=predict, write=None)
sys.argv = ["headway", "predict", "model", "text"]
main()
"""
    return subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)


# --- words


def test_asking_for_help_imports_nothing_heavy():
    script = "import sys, headway.cli; print({'torch', 'transformers', 'pyarrow', 'numpy', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_help_names_every_command():
    output = headway("--help").output
    assert all(f"\n  {command} " in output for command in ("train", "audit", "evaluate", "predict", "compare", "demo"))


def test_help_of_train_names_every_option():
    output = headway("train", "--help").output
    options = ("--dev", "--test", "--task", "--base-model", "--out", "--config", "--set", "--seeds", "--resume")
    assert all(f"\n  {option} " in output for option in options)


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert headway("--version").output == f"headway {version('headway')}\n"


def test_an_unknown_command_names_the_nearest_one():
    result = headway("trian", "reviews.csv")
    assert result.exit_code == 2
    assert "No such command 'trian'. Did you mean 'train'?" in result.stderr


def test_an_unknown_option_is_refused():
    result = headway("train", "reviews.csv", "--epochs", "3")
    assert result.exit_code == 2
    assert "No such option: --epochs" in result.stderr


def test_python_m_headway_is_headway():
    result = subprocess.run([sys.executable, "-m", "headway", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == headway("--version").output


# --- calls


def test_train_hands_over_what_was_named(calls):
    result = headway("train", "a.csv", "--dev", "b.csv", "--test", "c.csv", "--out", "runs/x", "--resume")
    (data,), options = calls[0]
    config = options.pop("config")
    assert (result.exit_code, data) == (0, Path("a.csv"))
    assert options == {"dev": Path("b.csv"), "test": Path("c.csv"), "out": Path("runs/x"), "resume": True}
    assert config == type(config)()


def test_task_base_model_and_set_become_settings(calls):
    words = ("--task", "ner", "--base-model", "roberta-base", "--seeds", "3", "--set", "train.seed=5", "--set", "train.epochs=2")
    headway("train", "a.csv", *words)
    config = calls[0][1]["config"]
    assert (config.data.task, config.model.base_model) == ("ner", "roberta-base")
    assert (config.train.seed, config.train.seeds, config.train.epochs) == (5, 3, 2)


def test_an_option_wins_over_set_and_set_over_the_file(calls, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('[train]\nseed = 1\n[data]\ntask = "qa"\ntext = "review"')
    headway("train", "a.csv", "--config", str(file), "--set", "train.seed=2", "--set", "data.task=ner", "--task", "classification")
    config = calls[0][1]["config"]
    assert (config.data.task, config.train.seed, config.data.text) == ("classification", 2, "review")


def test_train_takes_its_data_from_the_settings(calls):
    assert headway("train", "--set", "data.train=a.csv").exit_code == 0
    assert calls[0][0] == (None,)


def test_training_on_nothing_says_what_to_do(calls):
    result = headway("train")
    assert (result.exit_code, calls) == (2, [])
    assert result.stderr == "ConfigError: nothing to train on: name a file, as in headway train reviews.csv, or set data.train\n"


def test_evaluate_hands_over_what_was_named(calls):
    result = headway("evaluate", "runs/a", "b.csv", "--out", "scores", "--set", "data.encoding=cp1252")
    assert calls == [((Path("runs/a"), Path("b.csv")), {"out": Path("scores"), "settings": ["data.encoding=cp1252"]})]
    assert ".500" in result.stdout


def test_predict_hands_over_its_input_as_it_was_typed(calls):
    headway("predict", "runs/a", "Two hours I want back.")
    assert calls == [((Path("runs/a"), "Two hours I want back."), {"settings": []})]


def test_predict_knows_a_dash_as_input(calls):
    headway("predict", "runs/a", "-")
    assert calls[0][0] == (Path("runs/a"), "-")


def test_predict_with_out_prints_nothing(calls, tmp_path):
    result = headway("predict", "runs/a", "good", "--out", str(tmp_path / "answers.jsonl"))
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "answers.jsonl").read_text() == "[{'label': 'good'}]"


def test_demo_shows_what_its_job_says(calls):
    assert headway("demo", "--out", "runs/demo").stdout == "\n  demo            three tasks\n"
    assert calls == [((Path("runs/demo"),), {})]


# --- answers


def test_answers_are_lines_of_json_in_order(job):
    rows = [{"label": "größer 👍"}, {"label": "line\nbreak"}, {"label": "half \ud83d"}]
    job("predict", predict=lambda *_, **__: iter(rows), write=None)
    lines = headway("predict", "runs/a", "text").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert lines[0] == '{"label": "größer 👍"}'


def test_an_answer_is_out_before_the_next_is_made(job):
    seen = []

    def predict(*_, **__):
        for number in range(3):
            seen.append(len(sys.stdout.buffer.getvalue().splitlines()))
            yield {"number": number}

    job("predict", predict=predict, write=None)
    headway("predict", "runs/a", "text")
    assert seen == [0, 1, 2]


def test_a_closed_pipe_ends_quietly():
    with subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as head:
        result = run_script("    while True: yield {}", stdout=head.stdin)
        head.stdin.close()
        assert head.stdout.read() == b"{}\n"
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        result = run_script("    yield {}", stdout=full)
    assert (result.returncode, result.stderr) == (5, "OutputError: No space left on device\n")


# --- errors


@pytest.mark.parametrize("kind", [HeadwayError, ConfigError, DataError, ModelError, OutputError, BackendError])
def test_an_error_is_one_line_and_its_exit_code(job, kind):
    def train(*_, **__):
        yield Said("reviews.csv", "4,812 rows")
        raise kind('reviews.csv:418: label "a\nb"')

    job("train", train=train)
    result = headway("train", "reviews.csv")
    assert result.exit_code == kind.exit_code
    assert result.stderr == f'{kind.__name__}: reviews.csv:418: label "a\\nb"\n'
    assert result.stdout == "\n  reviews.csv     4,812 rows\n"


def test_a_misspelt_setting_names_the_nearest_one(calls):
    result = headway("train", "reviews.csv", "--set", "train.learning_rat=3e-5")
    assert result.exit_code == 2
    assert result.stderr == "ConfigError: unknown setting train.learning_rat; did you mean train.learning_rate?\n"


def test_a_task_that_does_not_exist_says_which_do(calls):
    result = headway("train", "reviews.csv", "--task", "tagging")
    assert result.stderr == "ConfigError: data.task = 'tagging': must be 'classification', 'ner' or 'qa'\n"


def test_a_place_that_cannot_be_written_is_one_line(calls, tmp_path):
    result = headway("predict", "runs/a", "good", "--out", str(tmp_path))
    assert (result.exit_code, result.stderr) == (5, f"OutputError: {tmp_path}: Is a directory\n")


@pytest.mark.parametrize("fault", [ValueError("ours"), OSError("a library's own use of the name")])
def test_a_fault_of_ours_keeps_its_traceback(job, fault):
    def train(*_, **__):
        raise fault
        yield

    job("train", train=train)
    assert headway("train", "reviews.csv").exception is fault


# --- Ctrl-C and SIGTERM


SIGNALS = pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


def saving(interrupt, heard: list):
    """A job that trains three steps and is interrupted in the second, half way through an update."""

    def train(*_, **__):
        for step in (1, 2, 3):
            if step == 2:
                interrupt()
                heard.append("update is whole")
            try:
                yield Stepped(step, 3, **STEP)
                yield Evaluated(step, "f1", 0.5, best=True)
            except KeyboardInterrupt:
                heard.append(f"saved {step}")
                yield Said("stopped", "at step 2, saved")
                raise

    return train


@SIGNALS
def test_a_signal_lets_the_update_end_and_the_job_save(job, number, exit_code):
    heard = []
    job("train", train=saving(lambda: signal.raise_signal(number), heard))
    result = headway("train", "reviews.csv")
    assert (result.exit_code, result.stderr) == (exit_code, "")
    assert heard == ["update is whole", "saved 2"]
    assert result.stdout.endswith("  stopped         at step 2, saved\n")


def test_a_second_signal_does_not_wait(job):
    heard = []

    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    job("train", train=saving(twice, heard))
    assert headway("train", "reviews.csv").exit_code == 130
    assert heard == []


@SIGNALS
def test_a_signal_outside_training_ends_at_once(job, number, exit_code):
    heard = []

    def train(*_, **__):
        try:
            yield Said("reviews.csv", "4,812 rows")
            signal.raise_signal(number)
            heard.append("went on")
        finally:
            heard.append("tidied up")

    job("train", train=train)
    assert (headway("train", "reviews.csv").exit_code, heard) == (exit_code, ["tidied up"])


@SIGNALS
def test_a_signal_ends_predict_quietly(job, number, exit_code):
    def predict(*_, **__):
        yield {"label": "good"}
        signal.raise_signal(number)

    job("predict", predict=predict, write=None)
    result = headway("predict", "runs/a", "text")
    assert (result.exit_code, result.output) == (exit_code, '{"label": "good"}\n')


def test_a_signal_that_the_shell_ignores_stays_ignored(job):
    def demo(out):
        signal.raise_signal(signal.SIGINT)
        yield Said("demo", "goes on")

    job("demo", demo=demo)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert headway("demo").exit_code == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_signals_are_given_back(calls):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    headway("demo")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_job_tidies_up_when_its_events_cannot_be_shown(job, monkeypatch):
    heard = []

    def demo(out):
        try:
            yield Said("demo", "three tasks")
        finally:
            heard.append("tidied up")

    def broken(*_, **__):
        raise BrokenPipeError

    job("demo", demo=demo)
    monkeypatch.setattr("rich.console.Console.print", broken)
    assert (headway("demo").exit_code, heard) == (141, ["tidied up"])


# --- other libraries


@pytest.fixture
def main(monkeypatch):
    """The console script, with nothing behind the door and an environment of its own."""
    monkeypatch.setattr(cli, "app", lambda: None)
    monkeypatch.setattr(os, "environ", {"TRANSFORMERS_VERBOSITY": "info"})
    with warnings.catch_warnings():
        yield cli.main


def test_other_libraries_keep_quiet_unless_they_are_asked(main):
    main()
    assert {name: os.environ[name] for name in cli.QUIET} == {
        "TRANSFORMERS_VERBOSITY": "info",
        "HF_HUB_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


@pytest.mark.parametrize(("asked", "shown"), [([], 0), (["default"], 1)])
def test_warnings_are_shown_to_who_asks_for_them(main, monkeypatch, asked, shown):
    monkeypatch.setattr(sys, "warnoptions", asked)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        main()
        warnings.warn("old", UserWarning, stacklevel=1)
    assert len(caught) == shown
