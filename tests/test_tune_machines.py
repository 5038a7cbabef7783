"""Several machines at one search: each trial is made once, finals and the test set are those of one machine, mistakes are one line."""

import os
import shutil
import subprocess
import tempfile
import traceback
from collections import Counter
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import pytest
import torch
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from headway.config import read_config
from headway.errors import ConfigError, OutputError
from headway.events import Said, Tried
from headway.jobs.tune import tune

REVIEWS = "text,label\n" + "".join(f"a {('good', 'bad', 'fine', 'late')[n % 4]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(40))
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
TRIALS = 8


@pytest.fixture(scope="module")
def postgres():
    """The URL of a server of our own, on a socket in a folder."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install -e '.[postgres]'")
    if not BINARIES:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is short, and the server's user has to reach it
    user = []
    if os.getuid() == 0:  # the server refuses to be run by root
        shutil.chown(folder, "postgres")
        user = ["runuser", "-u", "postgres", "--"]
    data = str(folder / "data")

    def run(name: str, *arguments: str) -> None:
        subprocess.run([*user, str(BINARIES[-1] / name), *arguments], check=True, capture_output=True, cwd=folder)

    run("initdb", "-D", data, "-A", "trust", "-U", "headway", "--no-sync")
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-c listen_addresses= -c fsync=off -k {folder}", "start")
    yield f"postgresql://headway@/postgres?host={folder}"
    run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request, tmp_path):
    return request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path / 'shared.db'}"


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    plain = ("train.epochs=2", "train.precision=fp32", "train.batch_size=8", "train.learning_rate=0.003", "audit.allow=all")
    return [f"model.base_model={pretrained_folder('bert')}", *plain, "split.dev=0.4", "tune.share=1", "tune.finalists=1"]


@pytest.fixture
def reviews(tmp_path):
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path / "reviews.csv"


def process(job, log: Path, *, together: Barrier | None = None) -> int:
    """Run a job in a process of its own, which writes what it said; gives its number. `together`: trials begin when all are there."""
    child = os.fork()
    if child == 0:
        with log.open("w", buffering=1, encoding="utf-8") as file:
            try:
                torch.set_num_threads(1)
                for event in job:
                    if isinstance(event, Said):
                        file.write(f"{event.topic}: {event.text}\n")
                    if together is not None and isinstance(event, Said) and event.topic == "search":
                        together.wait(60)
            except BaseException:
                traceback.print_exc(file=file)
                os._exit(1)
        os._exit(0)
    return child


def opened(storage: str) -> RDBStorage:
    return RDBStorage(storage, engine_kwargs={"poolclass": NullPool})


def kept(storage: str, name: str) -> list[optuna.trial.FrozenTrial]:
    """The trials that a database holds."""
    return optuna.load_study(study_name=name, storage=opened(storage)).trials


CATEGORIES = '{"train.warmup" = {choices = [0.1, 0.2, 0.3]}, "regularize.weight_decay" = {choices = [0.0, 0.01, 0.1, 0.2]}}'


@pytest.mark.parametrize("space", ["", CATEGORIES], ids=["rates", "choices"])
def test_two_machines_make_every_trial_once(storage, settings, reviews, tmp_path, space):
    name = f"study-{bool(space)}"
    given = [
        *settings,
        f"tune.storage={storage}",
        f"tune.study={name}",
        f"tune.trials={TRIALS}",
        *([f"tune.space={space}"] if space else []),
    ]
    config = read_config(None, given)
    folders = [tmp_path / "one", tmp_path / "two"]
    together = get_context("fork").Barrier(2)
    jobs = {tmp_path / f"{out.name}.log": tune(reviews, test=reviews, out=out, config=config) for out in folders}
    children = [process(job, log, together=together) for log, job in jobs.items()]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    said = [log.read_text() for log in jobs]
    assert codes == [0, 0], "\n".join(said)
    trials = kept(storage, name)
    made = [trial for trial in trials if "withdrawn" not in trial.user_attrs]
    trained = [trial for trial in made if not trial.user_attrs.get("why", "").startswith("the same settings")]
    assert len(made) == TRIALS
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in made)
    assert max(Counter(str(sorted(trial.params.items())) for trial in trained).values()) == 1
    assert len({trial.user_attrs["machine"] for trial in trained}) == 2
    logs = sorted(int(path.parent.name) for out in folders for path in out.glob("trials/*/steps.jsonl"))
    assert logs == sorted(trial.number for trial in trained)
    assert sorted((out / "scores.json").is_file() for out in folders) == [False, True]
    assert sorted("opened now, once, by the winner" in of for of in said) == [False, True]
    assert sorted("finals: are made where the study was: " in of for of in said) == [False, True]


def begun(job, event: type) -> None:
    next(found for found in job if isinstance(found, event))


def test_a_machine_takes_its_own_trial_up_again_and_leaves_that_of_another(storage, settings, reviews, tmp_path):
    config = read_config(None, [*settings, f"tune.storage={storage}", "tune.study=again", "tune.trials=2"])
    for name in ("one", "two"):
        with closing(tune(reviews, out=tmp_path / name, config=config)) as job:
            begun(job, Tried)
    list(tune(tmp_path / "two", resume=True))
    states = [trial.state for trial in kept(storage, "again")]
    assert states == [TrialState.RUNNING, TrialState.COMPLETE]
    list(tune(tmp_path / "one", resume=True))
    trials = kept(storage, "again")
    assert all(trial.state.is_finished() for trial in trials)
    assert len(trials) == 2
    assert (tmp_path / "one/scores.json").is_file()


# --- mistakes


def made(storage: str, name: str) -> optuna.Study:
    """A study of somebody else's."""
    return optuna.create_study(storage=opened(storage), study_name=name)


def refused(reviews, out, given) -> str:
    with pytest.raises((ConfigError, OutputError)) as error:
        list(tune(reviews, out=out, config=read_config(None, given)))
    return str(error.value)


def test_a_server_that_is_not_there_is_one_line(settings, reviews, tmp_path):
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install -e '.[postgres]'")
    said = refused(reviews, tmp_path / "run", [*settings, "tune.storage=postgresql://me:secret@127.0.0.1:9/x"])
    assert said.startswith("tune.storage = postgresql://me:***@127.0.0.1:9/x: cannot be opened: ")
    assert "refused" in said
    assert "secret" not in said


def test_a_database_that_is_not_there_is_one_line(postgres, settings, reviews, tmp_path):
    said = refused(reviews, tmp_path / "run", [*settings, f"tune.storage={postgres.replace('/postgres?', '/nowhere?')}"])
    assert "cannot be opened: " in said
    assert 'database "nowhere" does not exist' in said


def test_a_study_that_is_not_ours_is_left_alone(storage, settings, reviews, tmp_path):
    made(storage, "theirs").add_trial(optuna.create_trial(value=1.0))
    said = refused(reviews, tmp_path / "run", [*settings, f"tune.storage={storage}", "tune.study=theirs"])
    assert said.endswith("the study theirs was not made by headway; choose another tune.study")
    assert len(kept(storage, "theirs")) == 1


def test_a_study_of_another_version_is_refused(storage, settings, reviews, tmp_path, monkeypatch):
    given = [*settings, f"tune.storage={storage}", "tune.study=older", "tune.trials=2"]
    with monkeypatch.context() as patch, closing(tune(reviews, out=tmp_path / "one", config=read_config(None, given))) as job:
        patch.setattr("headway.jobs.tune.version", lambda _: "0.0.9")
        begun(job, Tried)
    assert "this search was made with headway = 0.0.9, now " in refused(reviews, tmp_path / "two", given)


def test_tables_of_another_version_are_refused(storage, settings, reviews, tmp_path):
    given = [*settings, f"tune.storage={storage}", "tune.study=tables"]
    made(storage, "tables")
    engine = create_engine(storage)

    def relabel(before: str, after: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{after}' WHERE version_num = '{before}'"))

    with engine.begin() as connection:
        now = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    relabel(now, "v0.9.0.a")
    try:
        assert "no longer compatible with the table schema" in refused(reviews, tmp_path / "run", given)
    finally:
        relabel("v0.9.0.a", now)
        engine.dispose()


def test_a_server_that_goes_away_in_the_midst_is_one_line_that_says_how_to_go_on(settings, reviews, tmp_path):
    shared = tmp_path / "shared.db"
    config = read_config(None, [*settings, f"tune.storage=sqlite:///{shared}", "tune.trials=2"])
    with closing(tune(reviews, out=tmp_path / "run", config=config)) as job:
        begun(job, Tried)
        with create_engine(f"sqlite:///{shared}", poolclass=NullPool).begin() as connection:
            connection.execute(text("DROP TABLE trial_intermediate_values"))
        with pytest.raises(OutputError) as error:
            list(job)
    assert str(error.value).startswith(f"tune.storage = sqlite:///{shared}: ")
    assert str(error.value).endswith(f"; go on with: headway tune --resume {tmp_path / 'run'}")
