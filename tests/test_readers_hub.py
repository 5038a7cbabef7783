"""Data sets that `datasets` has saved, and data sets by name: what is asked for, and what to do where the hub cannot be reached."""

from pathlib import Path

import pytest

from headway.errors import DataError
from headway.readers import files_of, guess_format, read
from headway.readers.hub import Named, arrow_files, parse_name

datasets = pytest.importorskip("datasets", reason="the extra [hub] is not installed")
TEXTS = {"text": ["a good film", "a bad film", "so good", "so bad"], "label": [1, 0, 1, 0]}


@pytest.fixture
def reviews() -> datasets.Dataset:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    return datasets.Dataset.from_dict(TEXTS, features=features)


@pytest.fixture
def saved(reviews, tmp_path) -> Path:
    reviews.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    return tmp_path / "saved"


def test_a_saved_data_set_is_read_with_the_names_of_its_classes(saved):
    reading = read(saved)
    assert (reading.format, [record.label for record in reading.records]) == ("dataset", ["good", "bad", "good", "bad"])
    assert reading.guessed == 'saved data set · text = "text" · label = "label"'


def test_of_splits_train_is_read_and_the_others_are_said(reviews, tmp_path):
    datasets.DatasetDict(train=reviews, test=reviews.select([0])).save_to_disk(str(tmp_path / "splits"))
    reading = read(tmp_path / "splits")
    assert (len(list(reading.records)), reading.left_out["other splits"]) == (4, 1)
    assert len(list(read(tmp_path / "splits" / "test").records)) == 1


def test_tags_keep_their_names(tmp_path):
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": tags})
    datasets.Dataset.from_dict({"tokens": [["Ann", "ran"]], "ner_tags": [[1, 0]]}, features=features).save_to_disk(str(tmp_path / "x"))
    record = next(read(tmp_path / "x").records)
    assert [(record.text[s.start : s.end], s.label) for s in record.entities] == [("Ann", "PER")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("hf://imdb", Named("imdb", None, None)),
        ("hf://nyu-mll/glue:mrpc@validation", Named("nyu-mll/glue", "mrpc", "validation")),
        ("nyu-mll/glue:mrpc", Named("nyu-mll/glue", "mrpc", None)),
        ("reviews.csv", None),
        ("/tmp/nothing", None),
    ],
)
def test_a_name_is_told_from_a_file(text, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_name(Path(text)) == named


def test_a_slip_in_the_name_of_a_file_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "reviews").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match='reviws: no such file; did you mean "reviews"'):
        read(Path("reviws"))


def test_a_folder_of_that_name_goes_first(tmp_path, monkeypatch):
    (tmp_path / "imdb").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_name(Path("imdb")) is None


def test_a_data_set_by_name_is_the_files_that_datasets_keeps(saved, monkeypatch):
    asked = []

    def load_dataset(name, configuration, *, split):
        asked.append((name, configuration, split))
        return datasets.load_from_disk(str(saved))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    arrow_files.cache_clear()
    path = Path("hf://owner/films:short@test")
    assert guess_format(path) == "hub"
    assert [record.text for record in read(path).records] == TEXTS["text"]
    assert files_of(path) == sorted(saved.glob("*.arrow"))
    assert asked == [("owner/films", "short", "test")]
    arrow_files.cache_clear()


def test_without_a_network_it_is_said_what_to_do(monkeypatch):
    def load_dataset(name, configuration, *, split):
        raise ConnectionError("Couldn't reach 'owner/films' on the Hub (LocalEntryNotFoundError)\nand more")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError) as caught:
        read(Path("hf://owner/films"))
    assert str(caught.value) == (
        "hf://owner/films: ConnectionError: Couldn't reach 'owner/films' on the Hub (LocalEntryNotFoundError); "
        "where the hub can be reached: "
        "datasets.load_dataset('owner/films', split='train').save_to_disk('folder'), and name that folder here"
    )


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("headway.readers.hub.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'hf://owner/films: data sets of the hub need the extra \[hub\]: pip install "headway\[hub\]"'):
        read(Path("hf://owner/films"))
    with pytest.raises(DataError, match="films: no such file"):
        read(Path("films"))
