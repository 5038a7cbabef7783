"""headway models rank by names of the hub: from its cache without a network, and from the hub itself where there is one."""

import json
import shutil
import socket
from pathlib import Path

import pytest
from test_rank import ranked, reviews

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = "jhu-clsp/ettin-encoder-17m"  # 17 M parameters, of the list


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch) -> Path:
    """An empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "reviews.csv").write_text(reviews(150, seed=1), encoding="utf-8")
    return tmp_path


def downloaded(hub: Path, name: str, folder: Path) -> str:
    """The name under which a folder lies in the cache now, as a download would have left it."""
    place = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs/main").write_text(COMMIT, encoding="utf-8")
    return name


def measured(found: dict) -> list[tuple]:
    """What a ranking says of its candidates, but for their names and how long it took."""
    scores = [[(trained["records"], trained["score"]) for trained in row["trained"]] for row in found["ranking"]]
    return [(row["explained"], row["parameters"], of) for row, of in zip(found["ranking"], scores, strict=True)]


def test_names_of_the_hub_are_ranked_as_the_folders_that_were_downloaded(root, hub, pretrained_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folders = [pretrained_folder(name) for name in ("bert", "distilbert")]
    names = [downloaded(hub, f"somebody/{folder.name}", folder) for folder in folders]
    of_folders, _ = ranked(root, tmp_path / "folders", folders)
    of_names, _ = ranked(root, tmp_path / "names", names)
    assert measured(of_names) == measured(of_folders)
    assert {row["candidate"] for row in of_names["ranking"]} == set(names)
    assert of_names["winner"] == f"somebody/{Path(of_folders['winner']).name}"
    assert f"--base-model {of_names['winner']}" in of_names["command"]


def reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_name_of_the_hub_is_downloaded_and_ranked(root, hub, tmp_path):
    if not reachable("huggingface.co"):
        pytest.skip("there is no network, or the hub cannot be reached")
    found, _ = ranked(root, tmp_path / "out", [SMALL, "minilm"], quick=True)
    assert {row["candidate"] for row in found["ranking"]} == {SMALL, "minilm"}, json.dumps(found["left_out"])
    assert all(-1 < row["explained"] <= 1 for row in found["ranking"])
    assert list((hub / f"models--{SMALL.replace('/', '--')}/snapshots").glob("*/model.safetensors"))
