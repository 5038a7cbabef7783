"""The numbers of a training in TensorBoard's files and in MLflow, read back by the tools themselves."""

import json
import sys
from importlib.util import find_spec

import pytest

from headway.config import read_config
from headway.errors import ConfigError
from headway.events import Estimate, Evaluated, Said, Scored, Stepped
from headway.jobs import track
from headway.jobs.train import train

REVIEWS = "text,label\n" + "".join(f"a {('good', 'bad')[n % 2]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(32))
NEEDED = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
every_tracker = pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.skipif(find_spec(p) is None, reason=f"{p} is not installed: the extra [{n}]"))
        for n, p in NEEDED.items()
    ],
)


@pytest.fixture
def lesson(tmp_path, pretrained_folder, monkeypatch):
    """Give a training of four updates an epoch, whose numbers go to what is named."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")

    def give(name, *settings, out="run"):
        plain = (
            "train.precision=fp32",
            "train.epochs=3",
            "train.batch_size=6",
            "split.dev=0.25",
            f"model.base_model={pretrained_folder('bert')}",
        )
        return train(tmp_path / "reviews.csv", out=tmp_path / out, config=read_config(None, [*plain, f"track.to={name}", *settings]))

    return give


def told(name, folder):
    """Name -> (step, value) of all that a tool shows of a run."""
    return {"tensorboard": _in_tensorboard, "mlflow": _in_mlflow}[name](folder)


def _in_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / track.TENSORBOARD), size_guidance={"scalars": 0})
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def _in_mlflow(folder):
    import mlflow

    client, run = mlflow.MlflowClient(), (folder / track.MLFLOW_RUN).read_text()
    names = client.get_run(run).data.metrics
    return {name: [(metric.step, metric.value) for metric in client.get_metric_history(run, name)] for name in names}


def logged(folder):
    return [
        (line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in map(json.loads, (folder / "steps.jsonl").read_text().splitlines())
    ]


@every_tracker
def test_the_tool_shows_what_steps_jsonl_holds_and_every_table(lesson, tmp_path, name):
    events = list(lesson(name))
    found = told(name, tmp_path / "run")
    assert found["train/loss"] == logged(tmp_path / "run")
    dev = [(event.step, pytest.approx(event.value)) for event in events if isinstance(event, Evaluated)]
    assert found["dev/accuracy"] == dev
    scores = json.loads((tmp_path / "run/scores.json").read_text())
    [final] = [values for tag, values in found.items() if tag.replace("_", " ") == "scores on dev/this model/accuracy"]
    assert final == [(12, pytest.approx(scores["dev"]["accuracy"]["value"]))]


@every_tracker
def test_tracking_changes_nothing_of_what_is_learned(lesson, tmp_path, name):
    list(lesson(name))
    list(lesson("none", out="plain"))
    assert (tmp_path / "run/model/model.safetensors").read_bytes() == (tmp_path / "plain/model/model.safetensors").read_bytes()


@every_tracker
@pytest.mark.parametrize("stop", ["interrupted", "killed"])
@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_resumed_run_tells_of_every_update_once(lesson, tmp_path, name, step, stop):
    """Killed, it has told of updates that it makes again; with step 4 an evaluation is due."""
    job = lesson(name, "train.checkpoint_minutes=60" if stop == "interrupted" else "train.checkpoint_minutes=1e-9")
    next(event for event in job if isinstance(event, Stepped) and event.step == step)
    if stop == "interrupted":
        job.throw(KeyboardInterrupt())
    job.close()
    list(train(tmp_path / "run", resume=True))
    found = told(name, tmp_path / "run")
    assert found["train/loss"] == logged(tmp_path / "run")
    assert [at for at, _ in found["dev/accuracy"]] == [4, 8, 12]


def test_what_a_roll_back_makes_again_is_shown_as_it_was_made_the_second_time(tmp_path):
    pytest.importorskip("tensorboard")
    board = track.TensorBoard(tmp_path)
    for step, loss in ((1, 0.5), (2, 0.4), (3, 9.0), (2, 0.3), (3, 0.2)):
        board.write(step, {"train/loss": loss})
    board.close(finished=True)
    found = _in_tensorboard(tmp_path)["train/loss"]
    assert found == [(step, pytest.approx(loss)) for step, loss in ((1, 0.5), (2, 0.3), (3, 0.2))]


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_package_is_told_before_anything_is_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(track, "find_spec", lambda package: None)
    with pytest.raises(ConfigError) as error:
        list(train(tmp_path / "nowhere.csv", config=read_config(None, [f"track.to={name}"])))
    assert str(error.value) == f'track.to = "{name}" needs {name}: pip install "headway[{name}]"'


def test_an_unknown_tracker_is_told_with_those_there_are():
    with pytest.raises(ConfigError, match=r"track\.to = 'wandb': must be 'tensorboard' or 'mlflow'"):
        read_config(None, ["track.to=wandb"])


def test_a_tracker_that_fails_is_told_once_and_training_goes_on(tmp_path, monkeypatch):
    def training():
        yield from (Stepped(step, 3, step / 3, 1.0, 0.5, 1e-4, 100.0, 1.0) for step in (1, 2, 3))

    class Failing:
        def __init__(self, folder):
            self.told = 0

        def write(self, step, numbers):
            if step == 2:
                raise ConnectionError("the server is gone\nand more")

        def close(self, *, finished):
            raise AssertionError("it is not asked again")

    monkeypatch.setitem(track.TRACKERS, "tensorboard", Failing)
    events = list(track.tracked(training(), tmp_path, read_config(None, ["track.to=tensorboard"])))
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 2, 3]
    assert [event for event in events if isinstance(event, Said)] == [
        Said("track", "from step 2 on no numbers are sent: the server is gone", warning=True)
    ]


def test_an_mlflow_that_cannot_be_reached_is_one_line_before_training(lesson, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow is not installed: the extra [mlflow]")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r'track\.to = "mlflow": .*; set MLFLOW_TRACKING_URI to a server, or pip install mlflow'):
        list(lesson("mlflow"))
    assert not (tmp_path / "run/steps.jsonl").exists()


def test_only_numbers_are_told():
    table = Scored("scores on dev", {"this model": {"f1": Estimate(0.5, 0.4, 0.6), "support": 3}})
    assert track.numbers_of(table) == {"scores on dev/this model/f1": 0.5, "scores on dev/this model/support": 3}
    assert track.numbers_of(Said("", "3 records")) == {}


def test_nothing_of_a_tracker_is_imported_where_none_is_asked_for(lesson):
    before = set(sys.modules)
    list(lesson("none"))
    assert not {name for name in set(sys.modules) - before if name.split(".")[0] in NEEDED.values()}
