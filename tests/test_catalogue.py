"""headway models: the table of encoders says what transformers does of their shapes, a person can add to it, and no network is needed."""

import json
import socket
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModel
from typer.testing import CliRunner

import headway
from headway.catalogue import BUNDLED, MANY, full_name, nearest_name, read_catalogue
from headway.cli import app
from headway.errors import ConfigError
from headway.jobs.models import Wanted, models, offers, size_text
from headway.jobs.models.kept import Speed, keep_speeds, read_speeds, shape_key, speed_of
from headway.jobs.models.speed import measure, measuring

SHIPPED = read_catalogue()
FAMILIES = {"bert", "roberta", "distilbert", "electra", "albert", "xlm-roberta", "camembert", "mpnet", "deberta-v2", "modernbert"}
OWN = """["me/mine"]
parameters = 1_000
languages = ["cy"]
good_for = "tides"
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Folders of a person who has done nothing yet, and no network."""

    def refuse(*_given, **_more):
        raise AssertionError("the network was asked")

    for name in ("config", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path


# --- the table


@pytest.mark.parametrize("name", SHIPPED)
def test_parameters_are_those_that_transformers_counts_for_the_shape(name):
    shape = dict(SHIPPED[name].shape)
    config = AutoConfig.for_model(shape.pop("model_type"), **shape)
    with torch.device("meta"):
        network = AutoModel.from_config(config)
    assert sum(weight.numel() for weight in network.parameters()) == SHIPPED[name].parameters
    assert config.max_position_embeddings - SHIPPED[name].longest in (0, 2)  # RoBERTa's kin lose two to padding


@pytest.mark.parametrize("name", SHIPPED)
def test_every_encoder_of_ours_is_described_in_full(name):
    known = SHIPPED[name]
    assert known.languages
    assert known.licence
    assert known.good_for
    assert known.source == f"https://huggingface.co/{name}"
    assert known.group != "your own"


def test_there_is_something_of_every_family_and_of_many_languages():
    assert {known.shape["model_type"] for known in SHIPPED.values()} == FAMILIES
    assert len(SHIPPED) >= 25
    assert {"en", "de", "fr", "zh", MANY} <= {language for known in SHIPPED.values() for language in known.languages}


def test_the_bundled_encoder_is_in_the_table_as_it_lies_in_its_package():
    from headway import pretrained

    source = pretrained.find("minilm")
    known = SHIPPED[full_name("minilm", SHIPPED)]
    config = pretrained.load_config(source)
    assert {key: getattr(config, key) for key in known.shape} == known.shape
    assert pretrained.licence(source) == known.licence
    assert all(full_name(name, SHIPPED) == known.name for name in BUNDLED)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("bert-base-uncased", "google-bert/bert-base-uncased"),
        ("FacebookAI/roberta-base", "FacebookAI/roberta-base"),
        ("minilm", "sentence-transformers/all-MiniLM-L6-v2"),
        ("someone/else", "someone/else"),
    ],
)
def test_an_encoder_may_be_named_without_its_owner(given, found):
    assert full_name(given, SHIPPED) == found


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("bert-base-uncasd", "bert-base-uncased"),
        ("roberta-bse", "roberta-base"),
        ("FacebookAI/xlm-roberta-bas", "FacebookAI/xlm-roberta-base"),
        ("minlm", "minilm"),
    ],
)
def test_a_misspelt_encoder_names_the_nearest_one(given, near):
    assert nearest_name(given, SHIPPED) == f'; did you mean "{near}"?'


# --- what a person adds


def test_a_file_of_ones_own_adds_to_the_table(home):
    (home / "own.toml").write_text(OWN, encoding="utf-8")
    assert list(read_catalogue(home / "own.toml")) == [*SHIPPED, "me/mine"]
    assert [known.name for known in headway.models(language="cy", table=home / "own.toml")][-1] == "me/mine"


def test_the_file_in_the_configuration_folder_is_read_without_being_named(home):
    (home / "config/headway").mkdir(parents=True)
    (home / "config/headway/encoders.toml").write_text(OWN.replace("me/mine", BUNDLED[-1]), encoding="utf-8")
    assert read_catalogue()[BUNDLED[-1]].good_for == "tides"
    assert len(read_catalogue()) == len(SHIPPED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a/b"]\nparametres = 3', '["a/b"]: unknown key parametres; did you mean "parameters"?'),
        ('["a/b"]\nparameters = "3"', "[\"a/b\"]: parameters = '3': Input should be a valid integer"),
        ("a = 3", "a: expected a table under the name of an encoder"),
        ("a = ", "not TOML"),
    ],
)
def test_a_file_that_says_something_else_is_refused_in_one_line(home, text, message):
    (home / "own.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_catalogue(home / "own.toml")
    assert str(error.value).startswith(f"{home / 'own.toml'}: {message}")


def test_a_file_that_is_not_there_is_refused(home):
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        headway.models(table=home / "none.toml")


# --- which


def test_what_speaks_a_language_is_listed_with_what_speaks_many():
    found = headway.models(language="de")
    assert {"de", MANY} == {language for known in found for language in known.languages}
    assert len(found) == sum(known.speaks("de") for known in SHIPPED.values())


def test_what_was_downloaded_is_told_with_its_size(home):
    folder = home / "hub/models--google-bert--bert-base-uncased"
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "snapshots/abc/model.safetensors").write_bytes(b"0" * 12_000)
    found = {offer.known.name: offer.here for offer in offers(Wanted(here=True))}
    assert found == {BUNDLED[-1]: "bundled", "google-bert/bert-base-uncased": "12 kB"}


@pytest.mark.parametrize(("size", "text"), [(437_900_000, "438 MB"), (2_240_000_000, "2.2 GB"), (900, "900 B"), (1_500, "1.5 kB")])
def test_sizes_are_read_as_people_read_them(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(find="legl"), '--find legl: no encoder of the list is like that; did you mean "legal"?; all of them: headway models'),
        (Wanted(language="de", find="legal", here=True), "--language de --find legal --here: no encoder of the list is like that"),
    ],
)
def test_a_wish_that_nothing_fits_is_told_in_one_line(wanted, message):
    with pytest.raises(ConfigError) as error:
        offers(wanted)
    assert str(error.value).startswith(message)


# --- how fast


def test_speed_is_measured_once_for_all_networks_of_a_shape(home):
    small = SHIPPED["google/electra-small-discriminator"]
    tiny = small.model_copy(update={"shape": small.shape | {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}})
    twin = tiny.model_copy(update={"name": "its/twin", "shape": tiny.shape | {"vocab_size": 77}})
    assert [event.done for event in measuring([tiny, twin])] == [0]
    kept = read_speeds()
    assert speed_of(tiny, kept) == speed_of(twin, kept)
    assert speed_of(tiny, kept).tokens_per_second > 0
    assert speed_of(small, kept) is None
    assert list(measuring([tiny, twin])) == []


def test_more_layers_take_more_time():
    shape = SHIPPED[BUNDLED[-1]].shape
    known = SHIPPED[BUNDLED[-1]]
    one, eight = (measure(known.model_copy(update={"shape": shape | {"num_hidden_layers": layers}})) for layers in (1, 8))
    assert one.tokens_per_second > 2 * eight.tokens_per_second


def test_a_shape_that_is_none_is_told_and_the_rest_goes_on():
    known = SHIPPED[BUNDLED[-1]].model_copy(update={"shape": {"model_type": "bart-like"}})
    [_, said] = measuring([known])
    assert said.warning
    assert said.text.startswith("not measured: ")


def test_speeds_that_cannot_be_read_are_measured_again(home):
    keep_speeds({"a": Speed(1.0, "2026-11-23", "cpu", 1, "fp32")})
    [path] = (home / "cache").rglob("speeds.json")
    assert read_speeds()
    for broken in ("{", "[]", json.dumps({"a": {"fast": True}})):
        path.write_text(broken, encoding="utf-8")
        assert read_speeds() == {}


def test_the_list_shows_what_was_measured_and_where():
    known = SHIPPED[BUNDLED[-1]]
    keep_speeds({shape_key(known): Speed(1234.5, "2026-11-23", "cpu", 1, "bf16")})
    listed, *said = models(Wanted(find="L6-v2"))
    assert listed.columns == ("parameters", "longest", "here", "tokens/s")
    assert listed.rows[0][:2] == (known.name, ("22.7 M", "512", "bundled", "1,234"))
    assert said[0].text.endswith("measured 2026-11-23 on cpu, 1 thread, bf16")


# --- at the door


def test_headway_models_lists_and_fits_into_a_screen_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["models", "--language", "de"], prog_name="headway")
    assert done.exit_code == 0
    assert "deepset/gbert-base" in done.output
    assert "FacebookAI/xlm-roberta-base" in done.output
    assert "google-bert/bert-base-uncased" not in done.output


def test_help_shows_both_commands():
    done = CliRunner().invoke(app, ["models", "--help"], prog_name="headway")
    assert done.exit_code == 0
    assert "--measure" in done.output


def test_an_offer_of_another_machine_is_not_taken_for_this_one(monkeypatch):
    known = SHIPPED[BUNDLED[-1]]
    keep_speeds({shape_key(known): Speed(1234.5, "2026-11-23", "cpu", 1, "bf16")})
    monkeypatch.setattr("platform.node", lambda: "another")
    assert all(offer.speed is None for offer in offers(replace(Wanted(), find="L6-v2")))
