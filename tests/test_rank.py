"""headway models rank: candidates come out in their true order where it is known, and a stop loses nothing."""

import json
import random
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import WORDS
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import headway
from headway.catalogue import read_catalogue
from headway.cli import app
from headway.config import read_config
from headway.errors import ConfigError, DataError, ModelError, TrainingError
from headway.events import Listed, Said, Stepped
from headway.jobs.compare import compare
from headway.jobs.rank import Asked, halving, rank
from headway.jobs.rank.candidates import chosen, shown
from headway.jobs.rank.halving import LAST, rungs, watched_size
from headway.jobs.rank.kept import read_judged, read_trained
from headway.jobs.train import train
from headway.settings_text import to_settings

KNOWN = sorted({word.lower() for word in WORDS if word.isalpha() and word.isascii() and len(word) > 1})
CHOSEN = set(random.Random(5).sample(KNOWN, len(KNOWN) // 2))  # which words these are is in no rule: a network has to have learned it
CITIES, PEOPLE = ("Paris", "London", "Berlin", "Warsaw"), ("Ada", "Alan", "Marie")
PLAIN = ("train.precision=fp32", "train.learning_rate=0.003", "train.batch_size=16", "train.patience=0", "audit.allow=all", "split.dev=0.3")


def reviews(count: int, *, seed: int) -> str:
    """One word, said in a number of ways; its label is whether it is one of the chosen."""
    words = random.Random(seed).choices(KNOWN, k=count)
    return "text,label\n" + "".join(f"{word} {n},{'pos' if word in CHOSEN else 'neg'}\n" for n, word in enumerate(words))


def tagged(count: int, *, seed: int) -> str:
    """Words, of which the chosen are places."""
    generator = random.Random(seed)
    sentences = ([*generator.choices(KNOWN, k=3), str(n)] for n in range(count))
    return "".join("".join(f"{word} {'B-LOC' if word in CHOSEN else 'O'}\n" for word in words) + "\n" for words in sentences)


def asked_of(count: int, *, seed: int) -> str:
    generator = random.Random(seed)
    paragraphs = []
    for number in range(count):
        city, name = generator.choice(CITIES), generator.choice(PEOPLE)
        context = f"{name} lived at {number} in {city} ."
        answer = {"text": city, "answer_start": context.index(city)}
        paragraphs.append(
            {
                "title": str(number),
                "paragraphs": [{"context": context, "qas": [{"id": str(number), "question": "where", "answers": [answer]}]}],
            }
        )
    return json.dumps({"version": "1.1", "data": paragraphs})


FILES = {"reviews.csv": reviews, "tags.conll": tagged, "questions.json": asked_of}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("config", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("rank")
    for name, make in FILES.items():
        (root / name).write_text(make(150, seed=1), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def fitted(root, pretrained_folder):
    """Folders of networks that were fitted on other records of the same kind, and of the same with their embeddings mixed up."""

    def make(name: str) -> tuple[Path, Path]:
        path = root / f"fitted-{name}"
        path.write_text(FILES[name](400, seed=2), encoding="utf-8")
        given = [*PLAIN, f"model.base_model={pretrained_folder('bert')}", "train.epochs=6"]
        list(train(path, out=root / f"run-{name}", config=read_config(None, given)))
        good, damaged = root / f"good-{name}", root / f"damaged-{name}"
        shutil.copytree(root / f"run-{name}/model", good)
        shutil.copytree(good, damaged)
        damage(damaged / "model.safetensors")
        return good, damaged

    return {name: make(name) for name in ("reviews.csv", "tags.conll")}


def damage(path: Path) -> None:
    """Every word is given the embedding of another."""
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = weights[name][torch.randperm(len(weights[name]), generator=torch.Generator().manual_seed(3))].contiguous()
    save_file(weights, path, metadata={"format": "pt"})


def config(*given: str):
    return read_config(None, [*PLAIN, "train.epochs=1", "train.learning_rate=0.0003", *given])


def ranked(root: Path, out: Path, candidates, *, name: str = "reviews.csv", given: tuple[str, ...] = (), **asked) -> tuple[dict, list]:
    events = list(rank(root / name, out=out, config=config(*given), asked=Asked(tuple(map(str, candidates)), **asked)))
    return json.loads((out / "rank.json").read_text(encoding="utf-8")), events


@pytest.fixture(scope="module")
def whole(root, fitted, pretrained_folder, tmp_path_factory):
    """A ranking that nothing has disturbed: a good network, the same damaged, and one that was never fitted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    found, events = ranked(root, out, [fitted["reviews.csv"][1], fitted["reviews.csv"][0], pretrained_folder("distilbert")])
    return out, found, events


def timeless(found: dict) -> dict:
    text = json.dumps(found, default=str)
    tree = json.loads(text)
    for row in tree["ranking"]:
        row["seconds"] = 0
        row["trained"] = [trained | {"seconds": 0, "texts_per_second": 0} for trained in row["trained"]]
    return tree


# --- the order


@pytest.mark.parametrize("name", ["reviews.csv", "tags.conll"])
def test_features_of_a_network_that_knows_the_data_explain_more_than_those_of_the_same_damaged(root, fitted, tmp_path, name):
    good, damaged = fitted[name]
    found, _ = ranked(root, tmp_path / "out", [damaged, good], name=name, quick=True)
    assert [row["candidate"] for row in found["ranking"]] == [str(good), str(damaged)]
    assert found["ranking"][0]["explained"] > found["ranking"][1]["explained"] + 0.2
    assert found["rungs"] == []


@pytest.mark.parametrize("name", ["reviews.csv", "tags.conll"])
def test_trainings_tell_them_apart_and_say_how_surely(root, fitted, tmp_path, name):
    good, damaged = fitted[name]
    found, _ = ranked(root, tmp_path / "out", [damaged, good], name=name)
    best, worse = found["ranking"]
    assert found["winner"] == best["candidate"] == str(good)
    assert best["trained"][-1]["score"]["low"] > worse["trained"][-1]["score"]["value"]
    assert worse["behind"]["p"] < 0.01
    assert worse["standing"].endswith("worse than the best")


def test_the_best_go_on_to_more_records(whole):
    _, found, _ = whole
    assert [rung["field"] for rung in found["rungs"]] == [3, 2]
    assert found["rungs"][0]["records"] < found["rungs"][1]["records"] == found["records"]["train"]
    assert [len(row["trained"]) for row in found["ranking"]] == [2, 2, 1]
    assert found["ranking"][2]["standing"] == f"out after {found['rungs'][0]['records']} records"
    assert "good" in found["winner"]


def test_of_more_than_four_those_whose_features_explain_least_are_not_trained_and_named(root, fitted, pretrained_folder, tmp_path):
    good, damaged = fitted["reviews.csv"]
    others = [pretrained_folder(name) for name in ("bert", "distilbert", "mpnet")]
    found, events = ranked(root, tmp_path / "out", [*others, damaged, good])
    by_features = sorted(found["ranking"], key=lambda row: -row["explained"])
    assert found["rungs"][0]["field"] == 4
    assert [bool(row["trained"]) for row in by_features] == [True] * 4 + [False]
    least = by_features[-1]
    assert found["ranking"][-1] == least
    assert least["standing"] == "not trained: its features explain less"
    name = Path(least["candidate"]).name
    assert [event.text for event in events if isinstance(event, Said) and event.topic == "not trained"] == [
        f"{name}: their features explain least"
    ]


@pytest.mark.parametrize("rung", [0, 1])
def test_a_training_that_fails_ends_its_candidate_and_the_rest_goes_on(root, whole, fitted, tmp_path, monkeypatch, rung):
    """It is not said to have been left out for its features, or for its score."""
    candidates = json.loads((whole[0] / "plan.json").read_text(encoding="utf-8"))["candidates"]
    second, records = whole[1]["ranking"][1]["candidate"], whole[1]["rungs"][rung]["records"]

    def learning(started, folder):
        if started.source.name == Path(second).name and len(started.train) == records:
            raise TrainingError("step 3: the loss is not a number any more")
        yield from learn(started, folder)

    learn = halving.learn
    monkeypatch.setattr(halving, "learn", learning)
    found, events = ranked(root, tmp_path / "out", candidates)
    warned = [(event.topic, event.text) for event in events if isinstance(event, Said) and event.warning]
    assert warned == [(Path(second).name, "left out: step 3: the loss is not a number any more")]
    assert found["winner"] == whole[1]["winner"]
    [row] = [row for row in found["ranking"] if row["candidate"] == second]
    assert (len(row["trained"]), row["standing"]) == (rung, f"its training on {records} records failed")


def test_the_same_network_twice_scores_the_same_and_is_not_told_apart(root, fitted, tmp_path):
    good = fitted["reviews.csv"][0]
    shutil.copytree(good, tmp_path / "twin")
    found, events = ranked(root, tmp_path / "out", [good, tmp_path / "twin"])
    one, other = found["ranking"]
    assert one["explained"] == other["explained"]
    assert one["trained"][-1]["score"] == other["trained"][-1]["score"]
    assert other["behind"]["p"] == 1
    assert any("is not shown to be worse (p = 1.000)" in event.text for event in events if isinstance(event, Said))


def test_questions_are_answered_by_trainings_alone(root, pretrained_folder, tmp_path):
    found, events = ranked(
        root,
        tmp_path / "out",
        [pretrained_folder("bert"), pretrained_folder("modernbert")],
        name="questions.json",
        given=("decide.goldens=0",),
    )
    assert all(row["explained"] is None for row in found["ranking"])
    assert all(row["trained"][-1]["metric"] == "f1" for row in found["ranking"])
    assert any("all candidates are trained" in event.text for event in events if isinstance(event, Said))


@pytest.mark.parametrize(
    "rows",
    ["text,label\n" + "".join(f"{w} film {n},{n % 7 / 2}\n" for n, w in enumerate(KNOWN * 3)), None],
    ids=["numbers", "label sets"],
)
def test_numbers_and_label_sets_are_looked_at_too(pretrained_folder, tmp_path, rows):
    path = tmp_path / ("data.csv" if rows else "data.jsonl")
    sets = (json.dumps({"text": f"{w} film {n}", "label": [["a"], ["b", "a"], ["b"]][n % 3]}) + "\n" for n, w in enumerate(KNOWN * 3))
    path.write_text(rows or "".join(sets), encoding="utf-8")
    found, _ = ranked(tmp_path, tmp_path / "out", [pretrained_folder("bert"), pretrained_folder("mpnet")], name=path.name)
    assert all(-1 < row["explained"] <= 1 for row in found["ranking"])
    assert all(row["trained"] for row in found["ranking"])


# --- what is left out


def test_what_cannot_be_loaded_is_named_and_the_rest_goes_on(root, fitted, tmp_path, monkeypatch):
    def unreachable(*_given, **_more):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    (tmp_path / "empty").mkdir()
    found, events = ranked(root, tmp_path / "out", [tmp_path / "empty", "somebody/else", fitted["reviews.csv"][0]])
    warned = {event.topic: event.text for event in events if isinstance(event, Said) and event.warning}
    assert warned["empty"].endswith("not a pretrained model: config.json is missing")
    assert warned["somebody/else"].startswith("left out: not a folder here, and the hub cannot be reached")
    assert found["left_out"] == [str(tmp_path / "empty"), "somebody/else"]
    assert found["winner"] == str(fitted["reviews.csv"][0])


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 90864192\n"
DAMAGED = {  # what is written over which file of a folder, and what is then said
    "weights cut in half": ("model.safetensors", lambda whole: whole[: len(whole) // 2], "its weights are damaged, or not there yet ("),
    "empty weights": ("model.safetensors", lambda _: b"", "its weights are damaged, or not there yet ("),
    "a pointer of git-lfs": ("model.safetensors", lambda _: POINTER.encode(), "its weights are damaged, or not there yet ("),
    "a width of no number": ("config.json", lambda whole: whole.replace(b'"hidden_size": 32', b'"hidden_size": "x"'), "config.json: "),
    "a configuration that is a list": ("config.json", lambda _: b'["model_type"]', "config.json: "),
    "a configuration of nothing": ("config.json", lambda _: b"{}", "Unrecognized model in "),
    "no tokenizer": ("tokenizer*", None, "its tokenizer knows no words; put tokenizer.json, or its vocabulary, beside "),
}


@pytest.mark.parametrize(("name", "change", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_candidate_that_is_damaged_is_named_in_one_line_and_the_rest_goes_on(root, pretrained_folder, tmp_path, name, change, message):
    shutil.copytree(pretrained_folder("bert"), tmp_path / "broken")
    for path in list((tmp_path / "broken").glob(name)):
        before = path.read_bytes()
        path.unlink()
        if change is not None:
            assert change(before) != before
            path.write_bytes(change(before))
    found, events = ranked(root, tmp_path / "out", [tmp_path / "broken", pretrained_folder("distilbert")], quick=True)
    [warned] = [event.text for event in events if isinstance(event, Said) and event.warning]
    assert warned.startswith(f"left out: broken: {message}")
    assert "\n" not in warned
    assert found["left_out"] == [str(tmp_path / "broken")]


def test_where_nothing_can_be_loaded_that_is_an_error(root, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with pytest.raises(ModelError, match="of 2 candidates not one can be loaded"):
        ranked(root, tmp_path / "out", [tmp_path / "one", tmp_path / "two"])


def test_the_test_set_is_not_opened(root, fitted, tmp_path):
    found, _ = ranked(root, tmp_path / "out", fitted["reviews.csv"], given=(f"data.test={tmp_path / 'is-not-there.csv'}",), quick=True)
    assert f"--test {tmp_path / 'is-not-there.csv'}" in found["command"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            ["bert-base-uncasd", "minilm"],
            '--candidates: bert-base-uncasd: no such folder, and no encoder of the list; did you mean "bert-base-uncased"?',
        ),
        (["minilm", "all-MiniLM-L6-v2"], "--candidates: minilm is named twice; leave one away"),
        (["minilm"], "nothing to choose between: only minilm is named; --candidates NAME,NAME,..."),
        ([], "nothing to choose between: of the list only minilm is on this machine"),
        (["a/b/c", "minilm"], "--candidates: a/b/c: no such folder"),
    ],
)
def test_candidates_that_leave_no_choice_are_refused(named, message):
    with pytest.raises(ConfigError) as error:
        chosen(named, None)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("given", "asked", "message"),
    [
        (["split.dev=0"], {}, "split.dev = 0: candidates are measured on a dev set"),
        (["train.time=5m"], {}, 'train.time = "5m": a ranking has --time for all of it; leave train.time away'),
        (["train.seeds=3"], {}, "train.seeds = 3: a ranking trains each candidate once a rung"),
        (["model.weights=random"], {}, 'model.weights = "random": what is ranked is what was pretrained'),
        (["train.epochs=0"], {"time": "5m"}, "train.epochs = 0 and --time: without updates there is no pace to plan by"),
        ([], {"time": "5"}, '--time = "5": expected a time such as 30m'),
        ([], {"time": "5m", "quick": True}, "--quick looks at features alone, which is not planned by --time 5m"),
        (["split.dev=0.9"], {}, "reviews.csv: 15 labelled records to learn from; to tell encoders apart takes at least 64"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_there_is_a_folder(root, fitted, tmp_path, given, asked, message):
    with pytest.raises((ConfigError, DataError)) as error:
        ranked(root, tmp_path / "out", fitted["reviews.csv"], given=tuple(given), **asked)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_label_of_dev_that_is_in_no_training_record_is_refused_before_anything_is_trained(root, fitted, tmp_path):
    (tmp_path / "dev.csv").write_text("text,label\nthe a,odd\n", encoding="utf-8")
    with pytest.raises(DataError, match='label "odd" is not one of neg, pos'):
        list(
            rank(
                root / "reviews.csv",
                dev=tmp_path / "dev.csv",
                out=tmp_path / "out",
                config=config(),
                asked=Asked(tuple(map(str, fitted["reviews.csv"]))),
            )
        )


def test_questions_have_no_quick_look(root, fitted, tmp_path):
    with pytest.raises(ConfigError, match=r"--quick: frozen features say nothing of where answers stand, and questions\.json is qa"):
        ranked(root, tmp_path / "out", fitted["reviews.csv"], name="questions.json", quick=True)


def test_folders_that_are_called_the_same_are_told_apart():
    candidates = ["/a/model", "/b/model", "/c/other", "FacebookAI/roberta-base"]
    assert [shown(candidate, candidates) for candidate in candidates] == ["/a/model", "/b/model", "other", "FacebookAI/roberta-base"]


# --- the plan


@given(st.integers(1, 60), st.integers(1, 100_000))
def test_every_rung_halves_the_field_and_doubles_the_records(field, last):
    ladder = rungs(field, last=last)
    assert ladder[0].field == field
    assert ladder[-1].records == last
    assert ladder[-1].field <= LAST
    for before, after in pairwise(ladder):
        assert after.field == -(-before.field // 2)
        assert before.records <= after.records
        assert before.records == after.records // 2 or before.records <= 64


@given(st.integers(1, 100_000), st.integers(1, 2_000))
def test_what_is_watched_is_never_more_than_there_is(records, dev):
    assert 1 <= watched_size(records, dev) <= dev


def test_a_ranking_by_time_fits_into_it(root, fitted, tmp_path):
    found, _ = ranked(root, tmp_path / "out", fitted["reviews.csv"], time="60s")
    assert found["ranking"][0]["trained"]
    spent = sum(row["seconds"] + sum(trained["seconds"] for trained in row["trained"]) for row in found["ranking"])
    assert spent < 60


def test_a_time_too_short_says_how_long_it_takes(root, fitted, tmp_path):
    with pytest.raises(
        ConfigError, match=r"--time: too short: trainings of 2 candidates on 64 records and more take 0:\d\d on this machine"
    ):
        ranked(root, tmp_path / "out", fitted["reviews.csv"], time="0.001s")


# --- nothing is lost


def stopped(root: Path, out: Path, candidates, *, at) -> None:
    job = rank(root / "reviews.csv", out=out, config=config(), asked=Asked(tuple(map(str, candidates))))
    for event in job:
        if at(event):
            with pytest.raises(KeyboardInterrupt):
                interrupt(job)
            return
    raise AssertionError("it came to its end")


def interrupt(job) -> None:
    """Ctrl-C, and whatever the job has to say after it."""
    job.throw(KeyboardInterrupt())
    list(job)


@pytest.mark.parametrize(
    "at",
    [
        lambda event: isinstance(event, Said) and "features explain" in event.text,
        lambda event: isinstance(event, Stepped) and event.step == 3,
        lambda event: isinstance(event, Said) and event.topic == "rung 2 of 2",
    ],
    ids=["features", "training", "rung"],
)
def test_a_ranking_that_was_stopped_goes_on_to_the_same_end(root, whole, tmp_path, at):
    _, found, _ = whole
    candidates = json.loads((whole[0] / "plan.json").read_text(encoding="utf-8"))["candidates"]
    stopped(root, tmp_path / "out", candidates, at=at)
    again, _ = ranked(root, tmp_path / "out", candidates)
    mine, theirs = timeless(again), timeless(found)
    assert mine["ranking"] == theirs["ranking"]
    assert mine["rungs"] == theirs["rungs"]


def test_a_finished_ranking_is_told_again_without_training(root, whole):
    out, found, _ = whole
    candidates = json.loads((out / "plan.json").read_text(encoding="utf-8"))["candidates"]
    pages = [(out / name).read_bytes() for name in ("rank.html", "rank.svg", "rank.json")]
    again, events = ranked(root, out, candidates)
    assert not [event for event in events if isinstance(event, Stepped)]
    assert again == found
    assert [(out / name).read_bytes() for name in ("rank.html", "rank.svg", "rank.json")] == pages


def test_a_folder_ranks_the_candidates_it_was_started_with(root, whole, fitted):
    with pytest.raises(ConfigError, match="; choose another --out"):
        ranked(root, whole[0], fitted["reviews.csv"])


def test_a_line_that_was_cut_short_is_no_result(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "out")
    lines = (whole[0] / "tried.jsonl").read_text(encoding="utf-8")
    (tmp_path / "out/tried.jsonl").write_text(lines[:-20], encoding="utf-8")
    assert len(read_judged(tmp_path / "out")) == 3
    assert len(read_trained(tmp_path / "out")) == len(read_trained(whole[0])) - 1


# --- what is told


def test_the_command_at_the_end_trains_the_winner(whole, tmp_path):
    _, found, _ = whole
    words = shlex.split(found["command"])
    assert words[:2] == ["headway", "train"]
    done = CliRunner().invoke(app, [*words[1:], "--out", str(tmp_path / "run")], prog_name="headway")
    assert done.exit_code == 0, done.output
    kept = read_config(tmp_path / "run/run.toml")
    assert kept.model.base_model == found["winner"]
    assert kept.train.learning_rate == 0.0003


def test_the_command_ranks_to_its_end(root, fitted, tmp_path):
    good, damaged = fitted["reviews.csv"]
    given = [word for setting in to_settings(config()) for word in ("--set", setting)]
    words = ["models", "rank", str(root / "reviews.csv"), "--candidates", f"{damaged},{good}", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*words, *given])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert f"best {good.name}: " in said
    assert "train it headway train " in said
    assert json.loads((tmp_path / "run/rank.json").read_text(encoding="utf-8"))["winner"] == str(good)
    assert (tmp_path / "run/rank.html").is_file()


def test_finalists_can_be_compared_by_their_predictions(whole):
    out, found, _ = whole
    folders = [out / "trained" / row["trained"][-1]["folder"] for row in found["ranking"][:2]]
    events = list(compare(folders))
    [p] = [event.text for event in events if isinstance(event, Said) and event.topic == "result"]
    assert p.startswith("p ")


def test_the_page_shows_every_candidate_and_fetches_nothing(whole):
    out, found, _ = whole
    page = (out / "rank.html").read_text(encoding="utf-8")
    for row in found["ranking"]:
        assert Path(row["candidate"]).name in page
    assert page.count("<svg") == 2
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert shlex.split(found["command"])[-1] in page


def test_names_that_are_hostile_run_nowhere(root, fitted, tmp_path):
    name = "<img src=x onerror=alert(1)> $x^2$"
    shutil.copytree(fitted["reviews.csv"][0], tmp_path / name)
    ranked(root, tmp_path / "out", [fitted["reviews.csv"][1], tmp_path / name], quick=True)
    page = (tmp_path / "out/rank.html").read_text(encoding="utf-8")
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_the_table_has_a_row_for_each_and_a_column_for_every_rung(whole):
    _, found, events = whole
    [listed] = [event for event in events if isinstance(event, Listed)]
    sizes = [f"{rung['records']:,} records" for rung in found["rungs"]]
    assert listed.columns == ("parameters", "explained", *sizes, "texts/s")
    assert [name for name, _, _ in listed.rows] == [Path(row["candidate"]).name for row in found["ranking"]]


def test_ranking_from_python_gives_the_winner_and_the_scores(root, fitted, tmp_path):
    settings = config().model_dump(exclude_none=True)
    found = headway.rank_models(root / "reviews.csv", list(fitted["reviews.csv"]), out=tmp_path / "out", settings=settings)
    assert found.winner == str(fitted["reviews.csv"][0])
    assert list(found.scores) == [str(fitted["reviews.csv"][0]), str(fitted["reviews.csv"][1])]
    assert found.scores[found.winner].low <= found.scores[found.winner].value <= found.scores[found.winner].high


def test_all_that_is_on_this_machine_is_a_candidate_where_none_is_named(tmp_path):
    folder = tmp_path / "hub/models--google-bert--bert-base-uncased/snapshots/abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    assert chosen([], None) == ["minilm", "google-bert/bert-base-uncased"]
    assert full(chosen(["roberta-base", "xlm-roberta-base"], None))


def full(names: list[str]) -> bool:
    return all(name in read_catalogue() for name in names)
