"""How the files of a run are cut: the settings of `split`, from the file to `data.json`."""

import json

import pytest

from headway.config import read_config
from headway.errors import ConfigError, DataError
from headway.jobs.corpus import find_files, read_corpus
from headway.jobs.run_folder import check_same_data, open_folder

MONTHS = "text,label,day\n" + "".join(f"text {n},{'ab'[n % 2]},2026-{1 + n % 12:02}-01\n" for n in range(48))
NO_COLUMNS = "a.conll: read as conll, which has no columns; split.time needs a table, JSON or Parquet"


def corpus_of(path, *settings, text=MONTHS, dev=None):
    path.write_text(text, encoding="utf-8")
    config = read_config(None, settings)
    files = find_files(config, data=path, dev=dev, test=None)
    return read_corpus(files, config), files


def numbers(records):
    return {int(record.text.split()[-1]) for record in records}


def test_the_latest_records_are_held_out_by_a_column_of_times(tmp_path):
    corpus, _ = corpus_of(tmp_path / "a.csv", "split.time=day", "split.dev=0.25")
    assert numbers(corpus.dev) == {n for n in range(48) if n % 12 >= 9}
    assert corpus.how == 'the latest, without texts and groups that came before; from 2026-10-01 on by "day"'


@pytest.mark.parametrize("days", [["7", "8", "9", "10"], ["2026-01-02T10:00", "2026-01-02T11:00Z", "2026-01-02T13:00+01:00", "2026-01-03"]])
def test_times_are_numbers_or_iso_8601_and_utc_where_no_zone_is_given(tmp_path, days):
    rows = "".join(f"text {n},{'ab'[n % 2]},{days[n // 4]}\n" for n in range(16))
    corpus, _ = corpus_of(tmp_path / "a.csv", "split.time=day", "split.dev=0.25", text="text,label,day\n" + rows)
    assert numbers(corpus.dev) == {12, 13, 14, 15}


@pytest.mark.parametrize(
    ("name", "text", "setting", "fault"),
    [
        ("a.csv", MONTHS, "dya", 'a.csv: no column "dya" (split.time); did you mean "day"?'),
        (
            "a.csv",
            MONTHS.replace("2026-02-01", "1/2/26"),
            "day",
            'a.csv:3: "1/2/26" under day is not a time; expected 2026-11-23, 2026-11-23T09:30 or a number',
        ),
        (
            "a.conll",
            "Ada B-PER\n. O\n\n" * 9,
            "day",
            "a.conll: read as conll, which has no columns; split.time needs a table, JSON or Parquet",
        ),
    ],
)
def test_what_is_no_column_of_times_is_said(tmp_path, name, text, setting, fault):
    with pytest.raises(DataError) as error:
        corpus_of(tmp_path / name, f"split.time={setting}", text=text)
    assert str(error.value) == fault


def test_the_folds_of_a_file_hold_every_record_out_once(tmp_path):
    held = [numbers(corpus_of(tmp_path / "a.csv", "split.folds=4", f"split.fold={fold}")[0].dev) for fold in (1, 2, 3, 4)]
    assert sorted(n for of_fold in held for n in of_fold) == list(range(48))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (["split.fold=2"], "split.fold = 2: of how many? add --set split.folds=5"),
        (["split.folds=3", "split.fold=4"], "split.fold = 4: there are 3 folds (split.folds)"),
        (["split.folds=3", "split.dev=0.2"], "split.dev = 0.2: with split.folds = 3, 1 in 3 is held out; leave it away"),
        (
            ["split.folds=3", "split.time=day"],
            "split.time and split.folds: only the latest records can be held out by time; leave one of them away",
        ),
        (["split.dev=0", "split.time=day"], "split.dev = 0: nothing would be held out, by split.time or otherwise; leave one of them away"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, settings, fault):
    with pytest.raises(ConfigError) as error:
        corpus_of(tmp_path / "a.csv", *settings)
    assert str(error.value) == fault


def test_a_way_to_cut_is_refused_where_a_dev_file_is_given(tmp_path):
    (tmp_path / "dev.csv").write_text(MONTHS, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        corpus_of(tmp_path / "a.csv", "split.time=day", dev=tmp_path / "dev.csv")
    assert str(error.value) == "split.time: nothing is held out where a dev file is given (dev.csv); leave one of them away"


@pytest.mark.parametrize("setting", ["split.dev=0.3", "split.folds=3"])
@pytest.mark.parametrize("together", ["equal", "near"])
def test_near_duplicates_are_on_one_side_where_that_is_asked_for(tmp_path, setting, together):
    families = [" ".join(f"{letter}{n}" for n in range(20)) for letter in "abcdefghijkl"]
    rows = "".join(f"{family} copy {n},{'xy'[n % 2]}\n" for family in families for n in range(4))
    corpus, _ = corpus_of(tmp_path / "a.csv", setting, f"split.keep_together={together}", text="text,label\n" + rows)
    train, dev = ({record.text[0] for record in part} for part in (corpus.train, corpus.dev))
    assert train.isdisjoint(dev) == (together == "near")
    assert ("near duplicates kept together" in corpus.how) == (together == "near")


def test_keeping_near_duplicates_together_is_refused_where_nothing_is_cut(tmp_path):
    (tmp_path / "dev.csv").write_text(MONTHS, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"split\.keep_together: nothing is held out where a dev file is given \(dev\.csv\)"):
        corpus_of(tmp_path / "a.csv", "split.keep_together=near", dev=tmp_path / "dev.csv")


def test_data_json_holds_the_rule_and_tells_one_cut_from_another(tmp_path):
    (one, files), (same, _), (other, _) = (corpus_of(tmp_path / "a.csv", f"split.seed={seed}") for seed in (1, 1, 2))
    split = one.summary(files)["split"]
    assert split == same.summary(files)["split"]
    assert split["sha256"] != other.summary(files)["split"]["sha256"]
    assert (split["kept"], split["held"], split["left_out"]) == (43, 5, 0)
    assert split["rule"] == {"keep_together": "equal", "dev": 0.1, "seed": 1, "fold": 1}


@pytest.mark.parametrize("settings", [["split.dev=0.25"], ["split.folds=4", "split.fold=3"], ["split.time=day", "split.dev=0.2"]])
def test_split_json_tells_others_how_to_make_the_same_cut(tmp_path, settings):
    rows = MONTHS.replace("text 7,b,", "text 7,,") + "TEXT 1,b,2027-01-01\n"
    corpus, files = corpus_of(tmp_path / "a.csv", *settings, text=rows)
    open_folder(tmp_path / "run", read_config(None, settings), corpus, files)
    told, data = (json.loads((tmp_path / "run" / name).read_text(encoding="utf-8")) for name in ("split.json", "data.json"))
    lines = rows.splitlines()
    labelled = [line for line in lines[1:] if line.split(",")[1]]
    aside = {*told["held"], *told["left_out"]}
    assert [line.split(",")[0] for number, line in enumerate(labelled) if number not in aside] == [one.text for one in corpus.train]
    assert [labelled[number].split(",")[0] for number in told["held"]] == [one.text for one in corpus.dev]
    assert [lines[int(at.removeprefix("a.csv:")) - 1] for at in told["at"]] == [labelled[number] for number in told["held"]]
    assert told["sha256"] == data["split"]["sha256"]


def test_there_is_no_split_json_where_nothing_was_held_out(tmp_path):
    corpus, files = corpus_of(tmp_path / "a.csv", "split.dev=0")
    open_folder(tmp_path / "run", read_config(None, []), corpus, files)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"data.json", "run.toml"}


def test_a_group_that_was_named_is_kept_whole_and_one_that_was_guessed_where_there_are_many(tmp_path):
    rows = "text,label,doc_id\n" + "".join(f"text {n},{'ab'[n % 2]},{n % 4}\n" for n in range(200))
    (named, _), (guessed, _) = (corpus_of(tmp_path / "a.csv", *given, text=rows) for given in (["data.group=doc_id"], []))
    assert {record.group for record in named.train}.isdisjoint(record.group for record in named.dev)
    assert named.how.endswith("groups kept whole: 25%, as they are few (4)")
    assert guessed.how.endswith("groups split as they are too few (4)")


def test_a_run_does_not_go_on_with_another_cut(tmp_path):
    corpus, files = corpus_of(tmp_path / "a.csv")
    (tmp_path / "data.json").write_text(json.dumps(corpus.summary(files)), encoding="utf-8")
    check_same_data(tmp_path, corpus, files)
    with pytest.raises(DataError, match="the records are cut in another way than when the run was started; start a new run"):
        check_same_data(tmp_path, corpus_of(tmp_path / "a.csv", "split.seed=2")[0], files)
