"""Work that takes long tells how far it has come, and what it gives does not depend on who looks on."""

import json
from pathlib import Path

import numpy as np
import pytest

from headway.config import read_config
from headway.events import Said, Worked, unwatched
from headway.jobs import corpus, predict, start, writing
from headway.jobs.audit import Wanted, run_audit
from headway.jobs.convert import convert
from headway.jobs.corpus import find_files, read_corpus, reading_corpus
from headway.jobs.evaluate import evaluate
from headway.jobs.forecast import forecast
from headway.jobs.start import starting
from headway.jobs.train import train
from headway.probe import features, reading_features
from headway.readers import read

TEXTS = "text,label\n" + "".join(f"a {word} film of {n} days by {n % 7} people,{word}\n" for n in range(60) for word in ("good", "bad"))
TAGGED = "".join(f"Ada B-PER\nlives O\nin O\nParis B-LOC\n{n} O\n\n" for n in range(30))
ANSWER = {"text": ["Ada"], "answer_start": [0]}
ASKED = "".join(
    json.dumps({"id": str(n), "question": f"Who {n}?", "context": f"Ada lived in Paris. {n % 4}", "answers": ANSWER}) + "\n"
    for n in range(30)
)
FILES = {"a.csv": TEXTS, "a.conll": TAGGED, "a.jsonl": ASKED}


@pytest.fixture(params=FILES)
def file(request, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path(request.param)
    path.write_text(FILES[request.param])
    return path


def worked(events, what: str) -> list[int]:
    return [event.done for event in events if isinstance(event, Worked) and event.what == what]


def watched(work) -> tuple[list[Worked], object]:
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


def settings(pretrained_folder, *more: str):
    return read_config(None, [f"model.base_model={pretrained_folder('bert')}", "train.precision=fp32", *more])


def test_reading_counts_its_records(file, monkeypatch):
    monkeypatch.setattr(corpus, "STRIDE", 10)
    config = read_config()
    files = find_files(config, data=file, dev=None, test=None)
    events, found = watched(reading_corpus(files, config))
    count = len(found.train) + len(found.dev)
    assert worked(events, f"reading {file}") == list(range(0, count + 1, 10))
    assert found == read_corpus(files, config)


def test_tokenising_in_parts_gives_the_windows_of_all_at_once(file, pretrained_folder, monkeypatch):
    config = settings(pretrained_folder, "windows.max_tokens=16", "windows.overlap=2")
    found = read_corpus(find_files(config, data=file, dev=None, test=None), config)
    whole = unwatched(starting(found, config))
    monkeypatch.setattr(start, "RECORDS_AT_ONCE", 7)
    events, parts = watched(starting(found, config))
    assert worked(events, "tokenising") == [*range(0, len(found.train), 7), *range(0, len(found.dev), 7)]
    for one, other in ((whole.train, parts.train), (whole.dev, parts.dev)):
        assert [(w.record, w.input_ids_N.tolist(), w.targets_A.tolist()) for w in one] == [
            (w.record, w.input_ids_N.tolist(), w.targets_A.tolist()) for w in other
        ]


def test_features_are_the_same_whoever_looks_on(file, pretrained_folder):
    config = settings(pretrained_folder)
    started = start.start(read_corpus(find_files(config, data=file, dev=None, test=None), config), config)
    events, seen = watched(reading_features(started.model, started.train))
    assert [event.total for event in events] == [len(started.train)]
    for one, other in zip(features(started.model, started.train), seen, strict=True):
        assert np.array_equal(one, other)


def told_every(records: int, monkeypatch) -> None:
    """Of what is written, also where the first records decide which columns there are."""
    monkeypatch.setattr(writing, "STRIDE", records)
    monkeypatch.setattr("headway.readers.rows._AHEAD", records)


@pytest.mark.parametrize("name", ["csv", "jsonl", "prodigy", "brat"])
def test_converting_counts_what_it_writes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("a.conll" if name == "brat" else "a.csv")
    file.write_text(FILES[file.name])
    whole = list(convert(file, Path("whole"), name=name))
    told_every(10, monkeypatch)
    parts = list(convert(file, Path("parts"), name=name))
    count = len(list(read(file).records))
    assert worked(whole, "writing whole") == [0]
    assert worked(parts, "writing parts") == list(range(0, count + 1, 10))
    assert contents(Path("whole")) == contents(Path("parts"))


def contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.rglob("*.*")) if path.is_dir() else [path]
    return {file.name if path.is_dir() else "": file.read_bytes() for file in files}


def test_the_classes_of_a_file_are_counted_where_they_are_looked_for(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(TEXTS)
    monkeypatch.setattr("headway.jobs.convert.STRIDE", 50)
    assert worked(convert(tmp_path / "a.csv", tmp_path / "b", name="prodigy"), "reading a.csv") == [0, 50, 100]


def test_who_stops_writing_midway_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(TEXTS)
    told_every(10, monkeypatch)
    events = convert(tmp_path / "a.csv", tmp_path / "b.jsonl")
    assert next(event for event in events if event == Worked("writing b.jsonl", 10, unit="records"))
    events.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("name", [None, "jsonl"])
def test_predicting_counts_its_answers(name, tmp_path, pretrained_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(TEXTS)
    config = settings(pretrained_folder)
    start.start(read_corpus(find_files(config, data=Path("a.csv"), dev=None, test=None), config), config).model.save(Path("model"))

    def answers(out: str) -> list:
        if name is not None:
            return list(predict.write_as(Path("model"), "a.csv", Path(out), name=name, settings=["train.precision=fp32"]))
        return list(predict.write(predict.predict(Path("model"), "a.csv", settings=["train.precision=fp32"]), Path(out)))

    whole = answers("whole")
    told_every(25, monkeypatch)
    assert worked(whole, "writing whole") == [0]
    assert worked(answers("parts"), "writing parts") == [0, 25, 50, 75, 100]
    assert Path("whole").read_bytes() == Path("parts").read_bytes()


def _said(line: str) -> dict:
    """What a line of predictions.jsonl says, without how surely: texts that are read together change the last bits of it."""
    row = json.loads(line)
    for entity in row.get("entities", ()):
        entity.pop("confidence", None)
    return {name: value for name, value in row.items() if name not in ("confidence", "scores", "abstained")}


def test_evaluation_counts_its_answers(file, tmp_path, pretrained_folder, monkeypatch):
    config = settings(pretrained_folder)
    start.start(read_corpus(find_files(config, data=file, dev=None, test=None), config), config).model.save(tmp_path / "model")
    whole = list(evaluate(tmp_path / "model", file, out=tmp_path / "whole", settings=["train.precision=fp32"]))
    monkeypatch.setattr("headway.model.BUFFER", 7)
    parts = list(evaluate(tmp_path / "model", file, out=tmp_path / "parts", settings=["train.precision=fp32"]))
    count = len((tmp_path / "whole" / "predictions.jsonl").read_text().splitlines())
    assert worked(whole, "answering") == [0]
    assert worked(parts, "answering") == list(range(0, count + 1, 7))
    assert {event.total for event in parts if isinstance(event, Worked) and event.what == "answering"} == {count}
    one, other = ((tmp_path / name / "predictions.jsonl").read_text().splitlines() for name in ("whole", "parts"))
    assert [_said(line) for line in one] == [_said(line) for line in other]


JOBS = {
    "train": lambda file, config, out: train(file, out=out, config=config),
    "audit": lambda file, config, out: run_audit(find_files(config, data=file, dev=None, test=None), config=config, wanted=Wanted(out=out)),
    "forecast": lambda file, config, out: forecast(file, out=out, config=config, quick=True),
    "convert": lambda file, config, out: convert(file, out.with_suffix(".jsonl")),
}


@pytest.mark.parametrize("job", JOBS)
def test_every_job_begins_by_saying_what_it_reads(job, tmp_path, monkeypatch, pretrained_folder):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(TEXTS)
    events = JOBS[job](Path("a.csv"), settings(pretrained_folder), Path("out"))
    first = next(event for event in events if not isinstance(event, Said))
    assert first == Worked("reading a.csv", 0)


def test_a_copy_to_review_is_announced_before_it_is_written(tmp_path, monkeypatch, pretrained_folder):
    pytest.importorskip("cleanlab", reason="labels are suspected by cleanlab: pip install headway[cleanlab]")
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(TEXTS)
    config, wanted = settings(pretrained_folder), Wanted(fix=Path("b.csv"))
    for event in run_audit(find_files(config, data=Path("a.csv"), dev=None, test=None), config=config, wanted=wanted):
        if event == Worked("writing b.csv", 0):
            assert not Path("b.csv").exists()
            break
    else:
        pytest.fail("nothing is said of the copy")
