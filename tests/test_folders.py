import json

import pytest

from headway.errors import OutputError
from headway.folders import MANIFEST, add_to_log, find_damage, hash_file, put_back, read_log, whole_folder, write_text


def write(path, text="one"):
    with whole_folder(path) as fresh:
        (fresh / "a.txt").write_text(text)
        (fresh / "deep").mkdir()
        (fresh / "deep" / "b.bin").write_bytes(bytes(100))


def write_and_fail(path, failure):
    with whole_folder(path) as fresh:
        (fresh / "a.txt").write_text("newer")
        raise failure


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_whole_folder_is_there_with_all_it_was_given(tmp_path):
    write(tmp_path / "runs" / "model")
    assert set(contents(tmp_path)) == {"runs/model/a.txt", "runs/model/deep/b.bin", f"runs/model/{MANIFEST}"}
    assert find_damage(tmp_path / "runs" / "model") is None


def test_the_manifest_names_every_file_with_its_hash_and_size(tmp_path):
    write(tmp_path / "model")
    files = json.loads((tmp_path / "model" / MANIFEST).read_text())["files"]
    assert files["deep/b.bin"] == {"sha256": hash_file(tmp_path / "model" / "deep" / "b.bin"), "bytes": 100}
    assert set(files) == {"a.txt", "deep/b.bin"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_older_folder_as_it_was_and_nothing_beside_it(tmp_path, failure):
    write(tmp_path / "model", "older")
    before = contents(tmp_path)
    with pytest.raises(failure):
        write_and_fail(tmp_path / "model", failure)
    assert contents(tmp_path) == before


def test_a_failure_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(KeyError):
        write_and_fail(tmp_path / "model", KeyError)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_folder_takes_the_place_of_the_older_whole(tmp_path):
    write(tmp_path / "model", "older")
    with whole_folder(tmp_path / "model") as fresh:
        (fresh / "c.txt").write_text("newer")
    assert set(contents(tmp_path)) == {"model/c.txt", f"model/{MANIFEST}"}


def test_what_a_killed_run_left_half_written_is_not_taken_up(tmp_path):
    (tmp_path / "model.unfinished").mkdir()
    (tmp_path / "model.unfinished" / "half.bin").write_bytes(b"half")
    write(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert "half.bin" not in contents(tmp_path / "model")


def test_a_crash_between_the_two_renames_loses_nothing(tmp_path):
    write(tmp_path / "model", "older")
    (tmp_path / "model").rename(tmp_path / "model.replaced")
    put_back(tmp_path / "model")
    assert contents(tmp_path / "model")["a.txt"] == b"older"
    assert find_damage(tmp_path / "model") is None


def test_after_such_a_crash_a_failure_still_leaves_the_older_folder(tmp_path):
    write(tmp_path / "model", "older")
    (tmp_path / "model").rename(tmp_path / "model.replaced")
    with pytest.raises(KeyError):
        write_and_fail(tmp_path / "model", KeyError)
    assert contents(tmp_path / "model")["a.txt"] == b"older"


def test_putting_back_changes_nothing_where_nothing_is_missing(tmp_path):
    write(tmp_path / "model", "newer")
    write(tmp_path / "model.replaced", "older")
    put_back(tmp_path / "model")
    put_back(tmp_path / "other")
    assert contents(tmp_path / "model")["a.txt"] == b"newer"
    assert not (tmp_path / "other").exists()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a bit has flipped": (lambda folder: flip_a_bit(folder / "deep" / "b.bin"), "deep/b.bin has changed since it was written"),
    "a file is cut short": (
        lambda folder: (folder / "deep" / "b.bin").write_bytes(bytes(99)),
        "deep/b.bin has changed since it was written",
    ),
    "a file is longer": (lambda folder: (folder / "a.txt").write_text("one "), "a.txt has changed since it was written"),
    "a file is empty": (lambda folder: (folder / "a.txt").write_text(""), "a.txt has changed since it was written"),
    "a file is missing": (lambda folder: (folder / "a.txt").unlink(), "a.txt is missing"),
    "a folder is in its place": (lambda folder: ((folder / "a.txt").unlink(), (folder / "a.txt").mkdir()), "a.txt is missing"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "manifest.json is missing or damaged"),
    "half a manifest": (lambda folder: (folder / MANIFEST).write_text('{"files": {'), "manifest.json is missing or damaged"),
    "a manifest that is not UTF-8": (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), "manifest.json is missing or damaged"),
    "another JSON": (lambda folder: (folder / MANIFEST).write_text("[]"), "manifest.json is missing or damaged"),
    "files as a list": (lambda folder: (folder / MANIFEST).write_text('{"files": ["a.txt"]}'), "manifest.json is missing or damaged"),
    "files without hashes": (
        lambda folder: (folder / MANIFEST).write_text('{"files": {"a.txt": {}}}'),
        "manifest.json is missing or damaged",
    ),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_of_every_kind_is_noticed(tmp_path, damage, told):
    write(tmp_path / "model")
    damage(tmp_path / "model")
    assert find_damage(tmp_path / "model") == told


def test_a_text_is_replaced_whole(tmp_path):
    write_text(tmp_path / "a.json", "older")
    write_text(tmp_path / "a.json", "néwer")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "néwer"


def test_a_text_that_cannot_be_written_is_an_error_with_the_place(tmp_path):
    with pytest.raises(OutputError) as error:
        write_text(tmp_path / "none" / "a.json", "text")
    assert str(error.value) == f"{tmp_path / 'none' / 'a.json'}: No such file or directory"


HALF = {"text": "half \ud83d a character", "after \\": "\\\ud83d"}


def test_half_a_character_comes_back_from_json_as_it_was(tmp_path):
    write_text(tmp_path / "a.json", json.dumps(HALF, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == HALF


def test_half_a_character_comes_back_from_a_log_as_it_was(tmp_path):
    for number in range(2):
        add_to_log(tmp_path / "log.jsonl", HALF | {"number": number})
    assert read_log(tmp_path / "log.jsonl") == [HALF | {"number": 0}, HALF | {"number": 1}]
