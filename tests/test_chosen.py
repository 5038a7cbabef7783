"""headway train --recipe auto."""

import pytest
from test_evidence import tried
from test_failures import reviews, said
from typer.testing import CliRunner

import headway
from headway.cli import app
from headway.config import read_config
from headway.jobs import chosen
from headway.jobs.train import train

RATE = "train.learning_rate=0.001"


@pytest.fixture
def settings(pretrained_folder):
    return [f"model.base_model={pretrained_folder('bert')}", "train.precision=fp32", "train.epochs=2", "audit.allow=all", RATE]


@pytest.fixture
def file(tmp_path):
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *reviews(24)]), encoding="utf-8")
    return tmp_path / "reviews.csv"


@pytest.fixture
def known(monkeypatch):
    """Give what has been measured."""

    def give(*lines):
        monkeypatch.setattr(chosen, "read_evidence", lambda: list(lines))

    return give


def weights(run):
    return (run / "model/model.safetensors").read_bytes()


def trained(file, out, settings, *more):
    return list(train(file, out=out, config=read_config(None, [*settings, *more])))


def test_a_run_with_auto_is_that_of_the_settings_it_names(file, settings, known, tmp_path):
    known(tried(records=40))
    events = trained(file, tmp_path / "auto", settings, "train.recipe=auto")
    trained(file, tmp_path / "named", settings, "regularize.r_drop=1")
    assert weights(tmp_path / "auto") == weights(tmp_path / "named")
    first, *_ = said(events, "recipe")
    assert first == (
        "auto: R-Drop, regularize.r_drop=1.0: +.020 over the default on data like this (reviews; benchmarks/recipes.md), "
        "for 2.0 times its time"
    )


def test_where_nothing_is_better_it_is_the_default_and_said(file, settings, known, tmp_path):
    known(tried(records=40, gain=0.0))
    events = trained(file, tmp_path / "auto", settings, "train.recipe=auto")
    trained(file, tmp_path / "plain", settings)
    assert weights(tmp_path / "auto") == weights(tmp_path / "plain")
    first, *_ = said(events, "recipe")
    assert first.startswith("auto: as by default: of 1 recipes measured on data like this none that fits here is surely better")


def test_data_that_nothing_was_measured_on_is_told_apart(file, settings, known, tmp_path):
    known()
    events = trained(file, tmp_path / "auto", settings, "train.recipe=auto")
    assert said(events, "recipe")[0].startswith("auto: as by default: no recipe has been measured on data like this")


def test_what_a_person_sets_is_left_as_it_is(file, settings, known, tmp_path):
    known(tried(records=40, settings={"train.learning_rate": 0.5}))
    trained(file, tmp_path / "auto", settings, "train.recipe=auto")
    assert read_config(tmp_path / "auto/run.toml").train.learning_rate == 0.001


def test_a_recipe_that_the_other_settings_forbid_is_passed_over(file, settings, known, tmp_path):
    known(tried("FGM", gain=0.05, records=40, settings={"regularize.adversarial": 1.0}), tried(records=40))
    trained(file, tmp_path / "auto", settings, "train.recipe=auto", "regularize.freelb=0.3")
    used = read_config(tmp_path / "auto/run.toml").regularize
    assert (used.adversarial, used.r_drop) == (0.0, 1.0)


def test_the_run_repeats_itself_without_choosing_again(file, settings, known, tmp_path):
    known(tried(records=40))
    trained(file, tmp_path / "auto", settings, "train.recipe=auto")
    known()
    list(train(out=tmp_path / "again", config=read_config(tmp_path / "auto/run.toml")))
    assert weights(tmp_path / "auto") == weights(tmp_path / "again")


def test_no_recipe_is_chosen_that_there_is_no_time_for(file, settings, known, tmp_path):
    known(tried(records=40, cost=1e6))
    plain = [setting for setting in settings if "epochs" not in setting]
    events = trained(file, tmp_path / "auto", plain, "train.recipe=auto", "train.time=8s")
    assert said(events, "recipe")[0].startswith("auto: as by default")


def test_the_command_and_python_take_it_by_its_name(file, settings, known, tmp_path):
    known(tried(records=40))
    words = [word for setting in settings for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["train", str(file), "--recipe", "auto", *words, "--out", str(tmp_path / "command")])
    assert result.exit_code == 0, result.output
    tree = read_config(None, settings).model_dump(exclude_defaults=True)
    run = headway.train(file, recipe="auto", settings=tree, out=tmp_path / "python")
    assert weights(run) == weights(tmp_path / "command")
    assert read_config(run / "run.toml").regularize.r_drop == 1.0


@pytest.mark.parametrize("command", [["tune"], ["forecast"], ["compare", "--claims"]])
def test_other_jobs_refuse_it_in_one_line(file, command, tmp_path):
    result = CliRunner().invoke(app, [*command, str(file), "--set", "train.recipe=auto", "--out", str(tmp_path / "x")])
    assert result.exit_code == 2
    assert "train.recipe is for headway train" in result.stderr
