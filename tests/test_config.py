import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.config import Config, Data, Model, Regularize, Section, Split, Train, Windows, make_config, read_config
from headway.errors import ConfigError
from headway.settings_text import to_settings, to_toml


def refusal(*settings: str, path=None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path, settings)
    return str(caught.value)


@pytest.fixture
def toml(tmp_path, monkeypatch):
    """Writes settings.toml into the working folder, and gives its path."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes):
        path = tmp_path / "settings.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path.relative_to(tmp_path)

    return write


# --- names


def test_a_misspelt_setting_names_the_nearest_one():
    assert refusal("train.learning_rat=3e-5") == "unknown setting train.learning_rat; did you mean train.learning_rate?"


def test_a_setting_in_the_wrong_section_names_the_right_one():
    assert refusal("data.learning_rate=3e-5") == "unknown setting data.learning_rate; did you mean train.learning_rate?"


def test_a_misspelt_setting_that_two_sections_have_stays_in_its_own():
    assert refusal("split.seedd=3") == "unknown setting split.seedd; did you mean split.seed?"
    assert refusal("train.seedd=3") == "unknown setting train.seedd; did you mean train.seed?"


def test_a_setting_like_no_other_gets_the_names_of_its_section():
    assert refusal("windows.zebra=1") == "unknown setting windows.zebra; the settings of windows are max_tokens, overlap"


def test_a_misspelt_section_names_the_nearest_one():
    assert refusal("trian.seed=1") == 'unknown section trian; did you mean "train"?'


def test_a_section_like_no_other_gets_all_sections():
    assert refusal("zebra.seed=1") == (
        "unknown section zebra; the sections are "
        "data, split, audit, windows, model, unlabeled, contrastive, train, distill, regularize, lora, "
        "decide, forecast, tune, report, track"
    )


@pytest.mark.parametrize("setting", ["seed=1", "train.seed", "train.=1", ".seed=1", ""])
def test_what_is_not_section_key_value_says_how_to_write_it(setting):
    assert refusal(setting) == f"--set {setting}: expected section.key=value, for example --set train.learning_rate=3e-5"


# --- values


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.seed=x", "train.seed = 'x': must be a whole number"),
        ("train.seed=true", "train.seed = True: must be a whole number"),
        ("train.seed='3'", "train.seed = '3': must be a whole number"),
        ("train.seed=", "train.seed = '': must be a whole number"),
        ("train.seed=none", "train.seed = 'none': must be a whole number"),
        ("train.batch_size=16.5", "train.batch_size = 16.5: must be a whole number or 'auto'"),
        ("train.batch_size=0", "train.batch_size = 0: must be greater than or equal to 1 or 'auto'"),
        ("train.learning_rate=fast", "train.learning_rate = 'fast': must be a number or 'auto'"),
        ("train.epochs=inf", "train.epochs = inf: must be a finite number or 'auto'"),
        ("train.max_grad_norm=nan", "train.max_grad_norm = nan: must be a finite number"),
        ("split.dev=1.0", "split.dev = 1.0: must be less than 1"),
        ("data.header=yes", "data.header = 'yes': must be true or false"),
        ("data.task=tagging", "data.task = 'tagging': must be 'classification', 'ner' or 'qa'"),
    ],
)
def test_a_value_that_does_not_fit_says_what_would(setting, message):
    assert refusal(setting) == message


@pytest.mark.parametrize(
    ("setting", "section", "key", "value"),
    [
        ("train.learning_rate=3e-5", "train", "learning_rate", 3e-5),
        ("train.learning_rate=auto", "train", "learning_rate", "auto"),
        ("train.epochs=3", "train", "epochs", 3.0),
        ("train.device=cuda:0", "train", "device", "cuda:0"),
        ("data.header=false", "data", "header", False),
        ("data.task=ner", "data", "task", "ner"),
        (" data.text = review ", "data", "text", "review"),
        ("model.revision=10", "model", "revision", "10"),
        ("data.label=true", "data", "label", "true"),
        ("data.text=a=b.c", "data", "text", "a=b.c"),
        (r"data.delimiter=\t", "data", "delimiter", "\t"),
        ("data.delimiter=\t", "data", "delimiter", "\t"),
        ("data.label_separator= ", "data", "label_separator", " "),
        ("model.base_model=C:\\models\\new", "model", "base_model", "C:\\models\\new"),
    ],
)
def test_a_setting_is_read_as_what_its_field_holds(setting, section, key, value):
    assert getattr(getattr(read_config(None, [setting]), section), key) == value


def test_none_takes_back_what_a_file_set(toml):
    path = toml("[regularize]\ndropout = 0.2")
    assert read_config(path, ["regularize.dropout=none"]).regularize.dropout is None


def test_none_is_a_word_where_a_setting_has_it_as_one():
    config = read_config(None, ["regularize.class_weights=none", "model.base_model=none"])
    assert (config.regularize.class_weights, config.model.base_model) == ("none", "none")


def test_of_two_settings_of_one_name_the_last_counts():
    assert read_config(None, ["train.seed=1", "train.seed=2"]).train.seed == 2


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        read_config().train.seed = 2


# --- files


def test_without_a_file_and_settings_the_defaults_count():
    assert read_config() == Config()


def test_settings_lie_over_the_file_and_the_file_over_the_defaults(toml):
    path = toml("[train]\nseed = 7\nepochs = 5")
    train = read_config(path, ["train.epochs=2"]).train
    assert (train.seed, train.epochs, train.patience) == (7, 2, Train().patience)


def test_a_mistake_in_the_file_names_the_file(toml):
    assert refusal(path=toml("[train]\nsead = 7")) == "settings.toml: unknown setting train.sead; did you mean train.seed?"
    assert refusal(path=toml("[train]\nseed = 1.5")) == "settings.toml: train.seed = 1.5: must be a whole number"


def test_a_mistake_in_a_setting_does_not_name_the_file(toml):
    assert refusal("train.sead=7", path=toml("")) == "unknown setting train.sead; did you mean train.seed?"


def test_a_value_in_the_place_of_a_section_is_refused(toml):
    assert refusal("train.seed=1", path=toml("train = 3")) == "settings.toml: train is a section; expected train.key=value"


def test_a_file_that_is_not_there_says_so(tmp_path):
    assert refusal(path=tmp_path / "none.toml") == f"{tmp_path}/none.toml: No such file or directory"


@pytest.mark.parametrize("content", ["[train", "seed 1", b"[data]\ntext = '\xe9'"])
def test_a_file_that_is_not_toml_says_so(toml, content):
    assert refusal(path=toml(content)).startswith("settings.toml: not TOML: ")


def test_a_byte_order_mark_is_no_mistake(toml):
    assert read_config(toml("\ufeff[train]\nseed = 7")).train.seed == 7


CHANGED = Config(
    data=Data(train="reviews.csv", task="ner", text="Größe", delimiter="\t", header=False, quoting=True),
    split=Split(dev=0.0, seed=-3),
    windows=Windows(max_tokens=128, overlap=0),
    model=Model(base_model=r"C:\models\"new\"", pooling="mean", revision="1.0"),
    train=Train(learning_rate=1e-05, epochs=2.5, batch_size=16, patience=0, precision="fp32"),
    regularize=Regularize(dropout=0.1, weight_decay=0.0, class_weights="balanced", layer_decay=1.0),
)


@pytest.mark.parametrize("config", [Config(), CHANGED])
def test_what_is_written_as_toml_reads_back_the_same(toml, config):
    assert read_config(toml(to_toml(config))) == config


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text):
    assert make_config(tomllib.loads(to_toml(Config(data=Data(text=text))))).data.text == text


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_any_number_survives_toml(number):
    assert make_config(tomllib.loads(to_toml(Config(train=Train(learning_rate=number))))).train.learning_rate == number


def test_every_setting_but_those_that_are_none_is_written():
    written = tomllib.loads(to_toml(Config()))
    for name, section in Config():
        assert isinstance(section, Section)
        assert written[name] == {key: value for key, value in section if value is not None}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"focal_gamma": 2.0, "label_smoothing": 0.1},
            "regularize.focal_gamma and regularize.label_smoothing: one lets the model be sure and the other forbids it; leave one away",
        ),
        (
            {"mixout": 0.5, "parameters": "biases"},
            "regularize.mixout and regularize.parameters: one mixes matrices and with the other none of them learns; leave one away",
        ),
        (
            {"reinitialized_layers": 1, "parameters": "lora"},
            "regularize.reinitialized_layers and regularize.parameters: one begins layers anew, which have to learn as a whole, "
            "and with the other they do not; leave one away",
        ),
    ],
)
def test_two_settings_of_which_one_undoes_the_other_are_refused(settings, line):
    with pytest.raises(ConfigError) as error:
        make_config({"regularize": settings})
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        (
            {"regularize": {"head_dropout": 0.3}},
            "regularize.head_dropout does nothing without regularize.head_samples; set that as well, or leave it away",
        ),
        ({"lora": {"rank": 4}}, 'lora.rank is for regularize.parameters = "lora"; set that as well, or leave it away'),
        (
            {"regularize": {"parameters": "lora"}, "model": {"weights": "random"}},
            'model.weights = "random": adapters learn beside pretrained weights; leave regularize.parameters away',
        ),
        ({"regularize": {"parameters": "lora"}, "lora": {"rank": 0}}, "lora.rank = 0: must be greater than or equal to 1"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(tree, line):
    with pytest.raises(ConfigError) as error:
        make_config(tree)
    assert str(error.value) == line


# --- settings as words


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "data.label": st.text("ab +=\"'|é", min_size=1).map(str.strip).filter(bool),
        "data.delimiter": st.sampled_from(["\t", ";", "|", ","]),
        "data.header": st.booleans(),
        "split.dev": st.floats(0, 0.99),
        "split.folds": st.integers(2, 9),
        "split.fold": st.integers(1, 9),
        "windows.overlap": st.integers(0, 9) | st.just("auto"),
        "train.learning_rate": st.floats(1e-9, 1) | st.just("auto"),
        "regularize.dropout": st.none() | st.floats(0, 0.5),
        "train.row_updates": st.booleans(),
    },
)


@given(OPTIONS)
def test_settings_as_words_are_read_back(options):
    tree: dict[str, dict] = {}
    for name, value in options.items():
        section, key = name.split(".")
        tree.setdefault(section, {})[key] = value
    config = make_config(tree)
    assert read_config(None, to_settings(config)) == config
    assert to_settings(read_config()) == []
