"""Text without labels: its words are masked and told as transformers does, and the encoder starts from what that teaches."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM
from typer.testing import CliRunner

import headway
from headway import pretrained
from headway.cli import app
from headway.config import read_config
from headway.encoder import Encoder
from headway.errors import ConfigError, DataError
from headway.events import Said, Stepped
from headway.jobs.train import train
from headway.masking import HIDDEN, REPLACED, Masked, Vocabulary, mask, text_windows
from headway.objective import masked_words
from headway.packing import Order, count_targets, pack
from headway.records import IGNORED, Window

TEXTS = ["the film was good and the order was late", "a bad film", "Ada Lovelace lives in London near the river of Turing", "please refund"]
ENCODERS = ["bert", "roberta", "distilbert", "albert", "xlm-roberta", "deberta-v2", "modernbert-mean"]


def masked(tokenizer, texts=TEXTS, **more):
    windows = list(text_windows(texts, tokenizer, max_tokens=32))
    return Masked(windows, Vocabulary.of(tokenizer), **{"share": 0.15, "seed": 1, "epochs": 3, **more})


# --- masks


def test_masks_are_a_function_of_the_seed_the_epoch_and_the_place(tokenizer_of):
    windows = masked(tokenizer_of("bert"))
    backwards = {place: windows[place].input_ids_N.tolist() for place in reversed(range(len(windows)))}
    assert backwards == {place: masked(tokenizer_of("bert"))[place].input_ids_N.tolist() for place in range(len(windows))}
    assert backwards != {place: masked(tokenizer_of("bert"), seed=2)[place].input_ids_N.tolist() for place in range(len(windows))}


def test_a_text_is_masked_in_other_places_in_every_epoch(tokenizer_of):
    windows = masked(tokenizer_of("bert"), texts=[" ".join(TEXTS)], epochs=20)
    places = {tuple(np.flatnonzero(windows[epoch].targets_A != IGNORED)) for epoch in range(20)}
    assert len(places) > 10


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 1000), length=st.integers(1, 60))
def test_a_share_of_the_text_is_to_be_told_and_nothing_else_changes(share, seed, length):
    vocabulary = Vocabulary(4, np.array([0, 2, 3, 4]), np.arange(5, 50))
    ids = np.concatenate([[2], np.random.default_rng(seed).integers(5, 50, length), [3]]).astype(np.int32)
    window = Window(0, ids, np.zeros_like(ids), np.zeros((len(ids), 2)), np.full(len(ids), IGNORED))
    found = mask(window, vocabulary, share=share, generator=np.random.default_rng(seed))
    told = found.targets_A != IGNORED
    assert told.sum() == max(round(share * length), 1)
    assert not told[[0, -1]].any()
    assert (found.targets_A[told] == ids[told]).all()
    assert (found.input_ids_N[~told] == ids[~told]).all()
    assert not np.isin(found.input_ids_N[told], [0, 2, 3]).any()


def test_of_what_is_told_80_percent_are_hidden_10_replaced_and_10_shown():
    vocabulary = Vocabulary(4, np.array([0, 2, 3, 4]), np.arange(5, 30_000))
    ids = np.random.default_rng(0).integers(5, 30_000, 20_000).astype(np.int32)
    window = Window(0, ids, np.zeros_like(ids), np.zeros((len(ids), 2)), np.full(len(ids), IGNORED))
    found = mask(window, vocabulary, share=0.5, generator=np.random.default_rng(0))
    told = found.targets_A != IGNORED
    hidden, shown = (found.input_ids_N[told] == 4).mean(), (found.input_ids_N[told] == ids[told]).mean()
    assert hidden == pytest.approx(HIDDEN, abs=0.01)
    assert shown == pytest.approx(1 - HIDDEN - REPLACED, abs=0.01)


def test_a_long_text_is_read_whole_in_windows_that_share_nothing(tokenizer_of):
    tokenizer = tokenizer_of("bert")
    text = " ".join(TEXTS * 10)
    windows = list(text_windows([text], tokenizer, max_tokens=20))
    inner = np.concatenate([window.input_ids_N[1:-1] for window in windows])
    assert inner.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert max(map(len, windows)) == 20


def test_a_text_without_a_word_is_no_window(tokenizer_of):
    assert [window.record for window in text_windows(["", "☃ ☃", "film"], tokenizer_of("bert"), max_tokens=20)] == [2]


def test_an_unrolled_order_is_the_same_order_with_positions_that_count_on():
    plain, unrolled = Order(10, 3, 7), Order(10, 3, 7, unrolled=True)
    for step in range(12):
        assert (unrolled.update(step) == plain.update(step) + 10 * (step // 4)).all()


# --- the loss


@pytest.mark.parametrize("name", ENCODERS)
def test_the_loss_of_a_packed_batch_is_that_of_transformers_padded(pretrained_folder, tokenizer_of, name):
    tokenizer = tokenizer_of(name)
    source = pretrained.find(str(pretrained_folder(name)))
    torch.manual_seed(3)
    stock = AutoModelForMaskedLM.from_pretrained(source.folder).eval()
    stock.save_pretrained(folder := pretrained_folder(name).parent / f"{name}-words")
    windows = [masked(tokenizer)[place] for place in range(len(TEXTS))]
    longest = max(map(len, windows))

    def padded(row, filler):
        return torch.tensor(np.concatenate([row, np.full(longest - len(row), filler)]))

    ids = torch.stack([padded(window.input_ids_N, tokenizer.pad_token_id) for window in windows])
    inside = torch.stack([padded(np.ones(len(window)), 0) for window in windows]).long()
    labels = torch.stack([padded(window.targets_A, -100) for window in windows])
    with torch.no_grad():
        expected = stock(input_ids=ids, attention_mask=inside, labels=labels).loss
        source = pretrained.Source(name, folder, bundled=False)
        network = pretrained.load_network(source, AutoModelForMaskedLM, pretrained.load_config(source))
        encoder = Encoder(network)
        encoder.read_targets()
        network.eval()
        [cost] = masked_words(encoder, pack(windows))
    assert (cost / count_targets(windows)).item() == pytest.approx(expected.item(), rel=1e-5)


# --- the job

FILMS = [
    "the film was good",
    "a bad film by Ada",
    "the order was late again",
    "Turing lives in London",
    "Marie Curie moved to Paris",
    "ok fine",
]
LINES = [f"{text} and {more}" for text in FILMS for more in FILMS]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("unlabeled")
    rows = [f"{text} {n},{label}" for n in range(12) for text, label in (("a good film", "good"), ("a bad order", "bad"))]
    (root / "train.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    rows = [f"{text} {n},{label}" for n in range(12, 15) for text, label in (("a good film", "good"), ("a bad order", "bad"))]
    (root / "dev.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    (root / "more.txt").write_text("\n".join(LINES), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def config_of(files, pretrained_folder):
    base = [f"model.base_model={pretrained_folder('bert')}", "train.precision=fp32", "train.epochs=1", "train.learning_rate=0.001"]
    base += ["unlabeled.epochs=6", "unlabeled.learning_rate=0.01", "unlabeled.batch_size=8", "train.checkpoint_minutes=0.000001"]

    def give(*more, unlabeled="more.txt"):
        chosen = [f"data.unlabeled={files / unlabeled}"] if unlabeled else []
        return read_config(None, [*base, *chosen, *more])

    return give


@pytest.fixture(scope="module")
def whole(files, config_of):
    events = list(train(files / "train.csv", dev=files / "dev.csv", out=files / "whole", config=config_of()))
    return files / "whole", events


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def log(folder: Path) -> list[dict]:
    return [json.loads(line) | {"seconds": 0} for line in (folder / "unlabeled.jsonl").read_text().splitlines()]


def test_the_encoder_learns_to_tell_the_words(whole):
    losses = [line["loss"] for line in log(whole[0])]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_what_it_learned_is_what_fine_tuning_starts_from(whole, files, config_of, tmp_path):
    """As if the encoder in the run folder had been the base model from the start."""
    folder, _ = whole
    config = config_of(f"model.base_model={folder / 'encoder'}", unlabeled=None)
    list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "after", config=config))
    assert weights(tmp_path / "after") == weights(folder)


def test_without_such_text_nothing_changes(whole, files, config_of, tmp_path):
    plain = config_of(unlabeled=None)
    list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "plain", config=plain))
    others = read_config(None, [f"model.base_model={plain.model.base_model}", *(f"train.{n}={v}" for n, v in TRAIN.items())])
    list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "other", config=others))
    assert weights(tmp_path / "plain") == weights(tmp_path / "other") != weights(whole[0])
    names = [{path.name for path in run.iterdir()} for run in (whole[0], tmp_path / "plain")]
    assert names[0] - names[1] == {"encoder", "unlabeled.jsonl"}


TRAIN = {"precision": "fp32", "epochs": 1, "learning_rate": 0.001}


@pytest.mark.parametrize("step", [1, 7, 20])
def test_a_run_stopped_in_the_midst_goes_on_to_the_weights_of_an_unbroken_one(whole, files, config_of, tmp_path, step):
    job = train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config_of())
    next(event for event in job if isinstance(event, Stepped) and event.step == step)
    if step == 7:
        assert job.throw(KeyboardInterrupt()).text.startswith("at step 7 of unlabeled, saved")
    job.close()
    list(train(tmp_path / "run", resume=True))
    assert weights(tmp_path / "run") == weights(whole[0])
    assert log(tmp_path / "run") == log(whole[0])


def test_plain_transformers_tells_words_with_the_encoder_that_is_kept(whole):
    folder = whole[0] / "encoder"
    loaded = pretrained.load_whole(
        source := pretrained.Source("x", folder, bundled=False), AutoModelForMaskedLM, pretrained.load_config(source)
    )
    assert loaded.missing == set()


def test_a_network_that_can_tell_words_goes_on_with_its_own_layer(whole, files, config_of, tmp_path):
    config = config_of(f"model.base_model={whole[0] / 'encoder'}", "unlabeled.epochs=0.25")
    events = train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config)
    said = [event.text for event in (*whole[1], *events) if isinstance(event, Said) and event.text.startswith("masked words")]
    assert ["as the checkpoint has none" in text for text in said] == [True, False]
    assert "the checkpoint's own layer" in said[1]
    first = [lines[0]["loss"] for lines in (log(whole[0]), log(tmp_path / "run"))]
    assert first[1] < 0.8 * first[0]


def test_texts_that_are_scored_are_left_out_and_said(files, config_of, tmp_path):
    dev = [line.rpartition(",")[0] for line in (files / "dev.csv").read_text().splitlines()[1:]]
    (files / "leaks.txt").write_text("\n".join([*LINES, dev[0].upper(), dev[1]]), encoding="utf-8")
    config = config_of(unlabeled="leaks.txt")
    said = [e.text for e in train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config) if isinstance(e, Said)]
    assert any(text.startswith("2 texts are in dev or test too and are left out") for text in said)
    assert log(tmp_path / "run") == log(files / "whole")


def test_seeds_share_what_was_learned(files, config_of, tmp_path):
    list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config_of("train.seeds=2")))
    assert weights(tmp_path / "run" / "seed-1") == weights(files / "whole")
    assert not (tmp_path / "run" / "seed-2" / "encoder").exists()


def test_a_file_that_has_changed_is_not_gone_on_with(whole, files, config_of, tmp_path):
    (files / "changing.txt").write_text("\n".join(LINES), encoding="utf-8")
    job = train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config_of(unlabeled="changing.txt"))
    next(event for event in job if isinstance(event, Stepped))
    job.close()
    (files / "changing.txt").write_text("\n".join(LINES[1:]), encoding="utf-8")
    with pytest.raises(DataError, match=r"changing\.txt: has changed since the run was started"):
        list(train(tmp_path / "run", resume=True))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["model.weights=random"], 'with model.weights = "random" nothing of what it teaches is kept'),
        (["train.time=10m", "train.epochs=auto"], "train.time does not count what it takes"),
    ],
)
def test_what_would_be_lost_is_refused(files, config_of, tmp_path, settings, told):
    with pytest.raises(ConfigError, match=told):
        list(train(files / "train.csv", out=tmp_path / "run", config=config_of(*settings)))


def test_a_missing_file_is_told_before_anything_takes_time(files, config_of, tmp_path):
    job = train(files / "train.csv", out=tmp_path / "run", config=config_of(unlabeled="nothing.txt"))
    with pytest.raises(DataError, match=r"nothing\.txt"):
        next(job)


OTHER_JOBS = {"tune": [], "forecast": [], "compare": ["--claims"], "models rank": ["--candidates", "minilm,roberta-base"]}
STAGES = {
    "unlabeled": ("data.unlabeled={more}", "start here with --set model.base_model=RUN/encoder"),
    "contrastive": ("contrastive.epochs=20", "contrastive.epochs is for headway train, and headway {job} passes it over; leave it away"),
    "distill": ('distill.teachers=["run"]', "distill.teachers is for headway train, and headway {job} passes it over; leave it away"),
}


@pytest.mark.parametrize(("setting", "told"), STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("command", OTHER_JOBS)
def test_other_jobs_say_what_is_for_training_alone(files, command, setting, told, tmp_path):
    words = [*command.split(), *OTHER_JOBS[command], str(files / "train.csv"), "--set", setting.format(more=files / "more.txt")]
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "x")])
    assert result.exit_code == 2
    assert told.format(job=command) in result.stderr.replace("compare --claims", "compare")
    assert not (tmp_path / "x").exists()


def test_the_command_and_python_take_the_file_by_its_name(files, whole, pretrained_folder, tmp_path):
    settings = {"train": TRAIN, "unlabeled": {"epochs": 6, "learning_rate": 0.01, "batch_size": 8}}
    settings["model"] = {"base_model": str(pretrained_folder("bert"))}
    run = headway.train(files / "train.csv", dev=files / "dev.csv", unlabeled=files / "more.txt", out=tmp_path / "run", settings=settings)
    assert weights(run) == weights(whole[0])
    words = [f"--set={section}.{name}={value}" for section, values in settings.items() for name, value in values.items()]
    words = ["train", str(files / "train.csv"), "--dev", str(files / "dev.csv"), "--unlabeled", str(files / "more.txt"), *words]
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "command")])
    assert result.exit_code == 0, result.output
    assert weights(tmp_path / "command") == weights(whole[0])
