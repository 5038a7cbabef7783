"""`headway report`: a run folder becomes a page and a model card."""

import json
import os
import random
import re
import shutil
import tempfile
from base64 import b64encode
from contextlib import contextmanager
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import scored_run
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from headway import cards
from headway.cards import is_ours, sealed
from headway.folders import CARD, find_damage
from headway.jobs.compare import key
from headway.jobs.report import report
from headway.jobs.report.evidence import gather
from headway.jobs.report.examples import LONGEST, MOST_BYTES, browse, row_bytes
from headway.jobs.report.last import find_last
from headway.jobs.report.verdicts import BORDERS, NO_ANSWER, NOTHING, OTHER_ANSWER, entity_pairs, judge
from headway.jobs.scored import Example, read_examples
from headway.metrics import answer_em
from headway.records import Prediction, Record, Span

TINY = ["--set", "train.epochs=2", "--set", "train.precision=fp32", "--set", "split.dev=0.3"]


def said(label: str, sure: float = 0.9, *, other: str = "other") -> Prediction:
    return Prediction(label=label, confidence=sure, scores={label: sure, other: 1 - sure})


def example(text: str, gold: str, label: str, sure: float = 0.9) -> Example:
    return Example(Record(text, label=gold), said(label, sure))


MIXED = [example(f"text {n}", ("a", "b")[n % 2], ("a", "b")[n % 3 % 2], 0.5 + n / 100) for n in range(30)]


def page_of(folder) -> str:
    list(report(folder))
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def trained(work, headway_command):
    result = headway_command("train", "reviews.csv", "--out", "runs/first", *TINY)
    assert result.exit_code == 0, result.output
    return work / "runs/first"


# --- the page of a run


def test_report_makes_what_training_made(trained, headway_command):
    page, card = (trained / "report.html").read_bytes(), (trained / "model" / CARD).read_bytes()
    (trained / "report.html").unlink()
    assert headway_command("report", "runs/first").exit_code == 0
    assert ((trained / "report.html").read_bytes(), (trained / "model" / CARD).read_bytes()) == (page, card)


def test_the_page_has_its_sections_in_the_order_that_people_look_for(trained):
    ids = re.findall(r'<h2 id="(\w+)"', (trained / "report.html").read_text(encoding="utf-8"))
    assert ids == ["scores", "next", "data", "training", "fails", "examples", "used"]


def test_settings_that_a_person_made_are_told_from_those_that_were_decided(trained):
    page = (trained / "report.html").read_text(encoding="utf-8")
    rows = dict(re.findall(r"<dt[^>]*>(epochs|batch_size)</dt>\s*<dd[^>]*>(.*?)</dd>", page.split("<h4>train</h4>")[1]))
    assert "else auto" in rows["epochs"]
    assert "decided" in rows["batch_size"]


def test_one_score_on_dev_is_said_and_two_are_drawn(trained):
    """The run has two epochs; one of its evaluations is taken out."""
    assert ">Dev accuracy<" in (trained / "report.html").read_text(encoding="utf-8")
    log = trained / "evaluations.jsonl"
    last = log.read_text(encoding="utf-8").splitlines()[-1]
    log.write_text(last + "\n", encoding="utf-8")
    page = page_of(trained)
    assert ">Dev accuracy<" not in page
    assert re.search(r"tokens a second · dev accuracy (\.\d{3}|1\.000) at the end", page)


def test_the_page_says_what_the_run_used(trained):
    page = (trained / "report.html").read_text(encoding="utf-8")
    data, made = (json.loads((trained / name).read_text()) for name in ("data.json", "provenance.json"))
    for fact in (data["files"]["train"]["sha256"], data["split"]["sha256"], made["versions"]["torch"], made["base_model"]["sha256"]):
        assert fact in page
    assert "headway train --config runs/first/run.toml" in page


def test_the_page_draws_texts_training_calibration_and_coverage(trained):
    page = (trained / "report.html").read_text(encoding="utf-8")
    drawn = re.findall(r"<figcaption><b>([^<]*)</b> <span>([^<]+)</span></figcaption>\s*<svg", page)
    expected = ["How long the texts are", "Loss", "Dev accuracy", "Learning rate", "Tokens a second", "Calibration"]
    assert [title for title, _ in drawn] == [*expected, "What it could leave to a person"]


def test_provenance_tells_when_a_run_began_and_ended(trained):
    made = json.loads((trained / "provenance.json").read_text())
    assert made["started"] <= made["finished"]


def test_evaluations_are_kept_with_the_best_of_them(trained):
    rows = [json.loads(line) for line in (trained / "evaluations.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert rows[0]["best"]


def test_entities_are_shown_twice_where_the_model_says_otherwise(work, headway_command):
    assert headway_command("train", "tags.conll", "--out", "run", *TINY).exit_code == 0
    assert '<span class="line">labelled</span>' in (work / "run/report.html").read_text(encoding="utf-8")


def test_entities_have_their_lenient_scores_beside_the_strict_ones(tmp_path):
    """Of each type, as the table of a training has them."""
    gold, model = (Span(0, 5, "A"), Span(6, 9, "B")), (Span(0, 3, "A", 0.9), Span(6, 9, "B", 0.9))
    page = page_of(scored_run(tmp_path / "run", [Example(Record("x" * 20, entities=gold), Prediction(entities=model))] * 9))
    head, first = re.search(r'id="each".*?<thead>(.*?)</thead>.*?<tr>(.*?)</tr>', page, re.DOTALL).groups()
    columns = ["F1", "precision", "recall", "partial F1", "type F1"]
    assert re.findall(r'class="number">([^<]*)', head)[:5] == columns
    assert ("<bdi>A</bdi>" in first, re.findall(r'class="number">([^< ]*)', first)[:5]) == (True, [".000", ".000", ".000", ".500", "1.000"])


@pytest.fixture
def with_scores(tmp_path):
    """Give page and card of a run whose scores.json says this as well."""

    def give(**more):
        folder = scored_run(tmp_path / "run", MIXED)
        (folder / "model").mkdir()
        scores = json.loads((folder / "scores.json").read_text())
        (folder / "scores.json").write_text(json.dumps(scores | more))
        return page_of(folder), (folder / "model" / CARD).read_text(encoding="utf-8")

    return give


BASELINE = {"baselines": {"test": {"TF-IDF": {"accuracy": 0.25}}}}


def test_baselines_have_their_intervals_on_page_and_card(with_scores):
    page, card = with_scores(**BASELINE, baseline_intervals={"test": {"TF-IDF": {"accuracy": [0.125, 0.375]}}})
    assert ".125–.375" in page
    assert ".250 (.125–.375)" in card


def test_a_baseline_of_an_older_run_has_none(with_scores):
    page, card = with_scores(**BASELINE)
    row = next(line for line in card.splitlines() if "TF-IDF" in line)
    assert ".250" in row
    assert "–" not in row
    assert "which may be chance" not in page


@pytest.mark.parametrize(("p", "chance"), [(0.2, True), (0.01, False)])
def test_whether_more_than_a_baseline_may_be_chance_is_what_the_same_examples_say(with_scores, p, chance):
    page, _ = with_scores(**BASELINE, worth={"test": {"best": "TF-IDF", "differences": {"accuracy": {"p": p}, "macro_f1": {"p": p}}}})
    assert ("the best of the baselines, which may be chance" in page) == chance


def test_the_card_names_the_rate_that_roll_backs_have_left(with_scores):
    _, card = with_scores(rolled_back={"times": 2, "learning_rate": 0.25})
    assert "learning rate 0.25 (halved 2 times from " in card


@pytest.mark.parametrize(("failure", "silent"), [("below chance", True), ("roll back", False)])
def test_that_a_baseline_is_as_good_is_told_whatever_else_has_failed_but_for_that_itself(with_scores, failure, silent):
    page, _ = with_scores(baselines={"test": {"TF-IDF": {"accuracy": 1.0, "macro_f1": 1.0}}}, failures={failure: "something was wrong"})
    assert ("or give the network more to learn from" not in page) == silent


def test_a_run_without_anything_held_out_says_that_nobody_knows(work, headway_command):
    assert headway_command("train", "reviews.csv", "--out", "run", *TINY[:4], "--set", "split.dev=0").exit_code == 0
    page = (work / "run/report.html").read_text(encoding="utf-8")
    assert "nobody knows how good this model is" in page
    assert "headway evaluate run FILE" in page
    assert "None: nothing was held out to measure on." in (work / "run/model" / CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", ["train.epochs=0", "split.dev=0"])
def test_what_a_run_has_not_done_is_not_missed(work, headway_command, setting):
    """No update, or no dev score: the report says so where it stands, and takes the run for no older one."""
    result = headway_command("train", "reviews.csv", "--out", "run", *TINY[:4], "--set", setting)
    assert "left out" not in result.output
    assert "left out" not in headway_command("report", "run").output


def test_the_last_run_on_the_same_examples_is_named_with_what_has_changed(trained, headway_command, work):
    headway_command("train", "reviews.csv", "--out", "runs/second", *TINY, "--set", "train.learning_rate=0.01")
    page = (work / "runs/second/report.html").read_text(encoding="utf-8")
    assert "Since the last run, <bdi>first</bdi>:" in page
    assert "train.learning_rate" in page
    assert "last run" not in (trained / "report.html").read_text(encoding="utf-8")
    assert "Since the last run" not in page_of(trained)  # not even when it is made again after the second


def test_a_run_on_other_examples_is_no_last_run(trained, headway_command, work):
    headway_command("train", "reviews.csv", "--out", "runs/second", *TINY, "--set", "split.seed=7")
    assert "Since the last run" not in (work / "runs/second/report.html").read_text(encoding="utf-8")


BROKEN = {"data.json": "{", "scores.json": "[]", "provenance.json": "", "predictions.jsonl": "{}", "run.toml": "= ="}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_neighbour_is_no_last_run(trained, headway_command, work, name):
    (trained / name).write_text(BROKEN[name], encoding="utf-8")
    result = headway_command("train", "reviews.csv", "--out", "runs/second", *TINY)
    assert result.exit_code == 0, result.output
    page = (work / "runs/second/report.html").read_text(encoding="utf-8")
    assert ("Since the last run" in page) == (name in ("scores.json", "provenance.json"))


@contextmanager
def as_nobody():
    """As a user whom permissions bind, as they do not bind root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("closed", ["a neighbour", "a file of the last run", "the folder above"])
def test_what_may_not_be_read_is_no_last_run(closed):
    with tempfile.TemporaryDirectory() as place:
        above, runs = Path(place), Path(place) / "runs"
        neighbour = scored_run(runs / "first", MIXED, provenance={"started": "2026-11-22T10:00:00+00:00"})
        now = gather(scored_run(runs / "second", MIXED))
        above.chmod(0o755)
        assert find_last(now).name == "first"
        shut = {"a neighbour": neighbour, "a file of the last run": neighbour / "predictions.jsonl", "the folder above": runs}[closed]
        shut.chmod(0o311 if shut == runs else 0)
        try:
            with as_nobody():
                assert find_last(now) is None
        finally:
            shut.chmod(0o700)


def test_a_run_without_a_score_to_hold_this_one_against_is_no_last_run(tmp_path):
    """Without an entity in the texts, and without one that is predicted, there is no F1."""
    texts = [Record(f"it is {n}", entities=()) for n in range(6)]
    scored_run(tmp_path / "first", [Example(text, Prediction(entities=())) for text in texts], provenance={"started": "2026-11-22"})
    now = scored_run(tmp_path / "second", [Example(text, Prediction(entities=(Span(0, 2, "A", 0.9),))) for text in texts])
    assert find_last(gather(now)) is None
    assert "Since the last run" not in page_of(now)


# --- several seeds


SPREAD = {"mean": 0.63, "deviation": 0.0123, "low": 0.6, "high": 0.66, "examples": 0.1, "each": [0.62, 0.64]}
SEVERAL = {"seeds": [4, 5], "kept": 5, "choice": {"value": 0.64, "noise": 0.0234, "expected": 0.6311}}


def of_seeds(folder, *, part: str) -> tuple[str, str]:
    """The page and the card of the run that was kept of two seeds, which were scored on this part."""
    (scored_run(folder, MIXED, part=part) / "model").mkdir()
    choice = SEVERAL["choice"] if part == "dev" else None
    (folder / "seeds.json").write_text(json.dumps(SEVERAL | {"choice": choice, "parts": {part: {"accuracy": SPREAD}}}))
    return page_of(folder), (folder / "model" / CARD).read_text(encoding="utf-8")


def test_page_and_card_of_several_seeds_say_which_was_kept_and_how_lucky_it_was(tmp_path):
    page, card = of_seeds(tmp_path / "run", part="dev")
    kept = "seed 5, the best on dev: accuracy .640; about .631 is to be expected on other texts, as the best of 2 is lucky"
    differ = "Accuracy differs by .012 between seeds (standard deviation); models that are equally good would differ by .023 on a dev set"
    assert (page.count(kept), page.count(differ), card.count(kept), card.count(differ)) == (1, 1, 1, 1)
    assert "of 2 seeds it is the best on dev, and about .631 is to be expected on other texts." in page
    assert "<dt>seed</dt><dd>5 (kept of 4, 5)</dd>" in page
    assert "seed 5" in re.search(r"^\* recipe: .*$", card, re.MULTILINE)[0]


@pytest.mark.parametrize("part", ["dev", "test"])
def test_page_and_card_of_several_seeds_have_mean_interval_and_deviation(tmp_path, part):
    page, card = of_seeds(tmp_path / "run", part=part)
    assert '<th scope="row">mean of seeds</th><td class="number">.630 <span class="interval">.600–.660</span></td>' in page
    assert '<tr class="this"><th scope="row">seed 5</th><td class="number">.640</td>' in page
    assert "| mean of seeds | .630 (.600–.660) |\n| deviation | .012 |" in card


def test_without_a_dev_set_no_seed_is_called_the_best(tmp_path):
    page, card = of_seeds(tmp_path / "run", part="test")
    assert all("seed 5: there is no dev set to choose by" in text and "lucky" not in text for text in (page, card))


# --- older runs, and none


OLD = ("evaluations.jsonl", "provenance.json", "steps.jsonl", "data.json")


@pytest.mark.parametrize("name", OLD)
def test_a_run_of_before_there_was_such_a_file_has_a_report_without_it(trained, headway_command, name):
    (trained / name).unlink()
    result = headway_command("report", "runs/first")
    assert result.exit_code == 0, result.output
    assert f"left out what stands in {name}" in result.output
    assert name in (trained / "report.html").read_text(encoding="utf-8")


MISTAKES = {
    "no such folder": ("runs/frist", 'no such folder; did you mean "first"?'),
    "not a run": ("runs", "not a run: there is no run.toml in it"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_folder_that_is_no_run_is_refused_in_one_line(trained, headway_command, mistake):
    folder, text = MISTAKES[mistake]
    result = headway_command("report", folder)
    assert (result.exit_code, result.stderr) == (2, f"ConfigError: {folder}: {text}\n")


def test_a_run_that_has_not_finished_is_refused(trained, headway_command):
    (trained / "scores.json").unlink()
    result = headway_command("report", "runs/first")
    assert result.stderr == "ConfigError: runs/first: the run has not finished; go on with it: headway train --resume runs/first\n"


# --- one file, of bounded size


class Page(HTMLParser):
    """What is open, what is fetched, and every text and attribute."""

    VOID = ("meta", "br", "link", "input")

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.ids, self.styled = [], [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.styled += [tag] if "style" in found or any(name.startswith("on") for name in found) else []
        self.fetched += [found[name] for name in ("src", "href", "action", "xlink:href") if found.get(name, "#")[0] != "#"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_fetches_nothing_and_needs_no_style_of_its_own(trained):
    page = Page()
    page.feed((trained / "report.html").read_text(encoding="utf-8"))
    assert (page.open, page.fetched, page.styled) == ([], ["data:,"], [])
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize(
    "text", ["a good film, all in all, that nobody will remember " * 4, "<&>\"'" * 300, "漢字" * 2000], ids=["plain", "escaped", "long"]
)
def test_ten_thousand_predictions_fit_into_three_megabytes(tmp_path, text):
    classes = [f"{n} {text[:200]}" for n in range(500)]
    examples = [example(f"{n} {text}", classes[n % 500], classes[n * 7 % 500], 0.5 + n / 20_001) for n in range(10_000)]
    page = page_of(scored_run(tmp_path / "run", examples))
    assert 100_000 < len(page.encode()) < 3_000_000


def test_sets_of_many_labels_fit_into_three_megabytes(tmp_path):
    """Twenty of three hundred, of which hardly one is right."""
    names = [f"label {n}" for n in range(300)]
    sets = [tuple(sorted(random.Random(n).sample(names, 20))) for n in range(2400)]
    examples = [
        Example(Record(f"text {n} {'word ' * 120}", label=gold), Prediction(label=model, scores=dict.fromkeys(model, 0.8)))
        for n, (gold, model) in enumerate(zip(sets[:1200], sets[1200:], strict=True))
    ]
    assert 1_000_000 < len(page_of(scored_run(tmp_path / "run", examples)).encode()) < 3_000_000


WORST = "<&\"'é漢😀 " * 20
OF_EACH = {
    "classes": [Example(Record(WORST, text_pair=WORST, label=WORST[n:]), said(WORST, n / 9)) for n in range(9)],
    "label sets": [
        Example(Record(WORST, label=tuple("abcdefgh"[n:])), Prediction(label=(told := ("c", "x", WORST)), scores=dict.fromkeys(told, 0.5)))
        for n in range(9)
    ],
    "numbers": [Example(Record(WORST, label=float(n)), Prediction(label=n * 1.5)) for n in range(9)],
    "entities": [
        Example(
            Record(WORST, entities=tuple(Span(k, k + 1, WORST[k:]) for k in range(n))),
            Prediction(entities=tuple(Span(k, k + 2, "<x>", 0.5) for k in range(0, 9, 3))),
        )
        for n in range(9)
    ],
    "answers": [
        Example(
            Record(WORST, question=WORST, answers=(Span(n, n + 20),)),
            Prediction(answer=WORST[5:15], span=Span(5, 15), confidence=n / 9),
        )
        for n in range(9)
    ],
}


@pytest.mark.parametrize("kind", OF_EACH)
def test_a_row_takes_no_more_than_was_counted(tmp_path, kind):
    examples, verdicts = OF_EACH[kind], judge(OF_EACH[kind])
    page = page_of(scored_run(tmp_path / "run", examples))
    rows = re.findall(r"<li class=.*?</li>", page[page.index('<ol class="examples"') :], re.DOTALL)
    for text, row in zip(rows, browse(examples, verdicts).rows, strict=True):
        assert len(text.encode()) <= row_bytes(row, verdicts[int(row.where) - 1])


def hashed(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@pytest.mark.parametrize("name", ["report", "audit"])
def test_a_page_allows_its_own_style_and_script_by_their_hashes_and_nothing_else(trained, headway_command, name):
    headway_command("audit", "reviews.csv", "--out", "audit")
    path = {"report": trained / "report.html", "audit": trained.parents[1] / "audit/audit.html"}[name]
    page = path.read_text(encoding="utf-8")
    policy = unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1])
    found = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = [f"'{hashed(text)}'" for text in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)]
    styles = [f"'{hashed(text)}'" for text in re.findall(r"<style>(.*?)</style>", page, re.DOTALL)]
    assert found.pop("style-src") == " ".join(styles)
    assert found.pop("script-src") == (" ".join(scripts) or "'none'")
    assert found == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "img-src": "data:"}


def test_what_utf_8_cannot_hold_does_not_stop_a_page(tmp_path):
    assert "half a pair: \ufffd." in page_of(scored_run(tmp_path / "run", [example("half a pair: \ud83d.", "a", "b"), *MIXED]))


# --- what is right, what is confused, which labels are in doubt


def test_confusions_of_entities_count_every_entity_once():
    gold = [Span(0, 3, "PER"), Span(4, 9, "LOC"), Span(10, 12, "ORG"), Span(20, 25, "ORG")]
    model = [Span(0, 3, "PER"), Span(4, 7, "LOC"), Span(10, 12, "LOC"), Span(30, 33, "PER")]
    pairs = entity_pairs(gold, model)
    assert sorted(pairs) == sorted([("PER", "PER"), ("LOC", BORDERS), ("ORG", "LOC"), ("ORG", NOTHING), (NOTHING, "PER")])


labels = st.sets(st.sampled_from("abcdef"))


@given(gold=labels, model=labels)
def test_every_label_of_a_set_is_in_one_pair(gold, model):
    [verdict] = judge([Example(Record("x", label=tuple(gold)), Prediction(label=tuple(model)))])
    assert sorted(pair[0] for pair in verdict.confused if pair[0] != NOTHING) == sorted(gold)
    assert sorted(pair[1] for pair in verdict.confused if pair[1] != NOTHING) == sorted(model)
    assert sum(pair[0] == pair[1] for pair in verdict.confused) == len(gold & model)
    assert sum(pair[0] != pair[1] for pair in verdict.confused) == max(len(gold - model), len(model - gold))


places = st.tuples(st.integers(0, 20), st.integers(1, 5), st.sampled_from("AB"))
spans = st.lists(places.map(lambda place: Span(place[0], place[0] + place[1], place[2])), max_size=6)


@given(gold=spans, model=spans)
def test_every_gold_and_every_predicted_entity_is_in_one_pair(gold, model):
    pairs = entity_pairs(gold, model)
    assert sum(pair[0] != NOTHING for pair in pairs) == len(gold)
    assert sum(pair[1] != NOTHING for pair in pairs) == len(model)


def test_right_verdicts_are_the_accuracy():
    assert sum(verdict.right for verdict in judge(MIXED)) == sum(e.record.label == e.said.label for e in MIXED)


def test_right_answers_are_the_exact_matches():
    text = "Ada lived in London"
    answers = [(), (Span(0, 3),), (Span(13, 19),)]
    told = ["", "Ada", "in London", "London"]
    examples = [
        Example(Record(text, question="q", answers=gold), Prediction(answer=answer, confidence=0.7)) for gold in answers for answer in told
    ]
    verdicts = judge(examples)
    for (record, model), verdict in zip(examples, verdicts, strict=True):
        assert verdict.right == (answer_em([text[a.start : a.end] for a in record.answers], model.answer) == 1)
    assert {verdict.said for verdict in verdicts} == {(NO_ANSWER,), ("answer",), (OTHER_ANSWER,)}


def test_a_label_is_in_doubt_where_the_model_is_as_sure_as_where_it_is_right():
    right = [example(f"r{n}", "a", "a", sure) for n, sure in enumerate((0.8, 0.9))]
    wrong = [example("x", "b", "a", sure) for sure in (0.84, 0.86)]
    assert [verdict.suspect for verdict in judge([*right, *wrong])] == [False, False, False, True]


def test_no_label_is_in_doubt_where_the_model_was_never_right_about_it():
    assert not any(verdict.suspect for verdict in judge([example("x", "b", "a", 0.99), example("y", "b", "b", 0.6)]))


def test_other_borders_put_no_label_in_doubt():
    gold, model = (Span(0, 5, "PER"),), (Span(0, 3, "PER", 0.99), Span(10, 12, "LOC", 0.9))
    right = Example(Record("x" * 20, entities=(Span(0, 5, "PER"),)), Prediction(entities=(Span(0, 5, "PER", 0.6),)))
    assert [v.suspect for v in judge([right, Example(Record("x" * 20, entities=gold), Prediction(entities=model))])] == [False, False]


# --- the examples


def test_errors_come_first_and_the_surest_of_them_first():
    rows = browse(MIXED, judge(MIXED)).rows
    states = [row.state == "right" for row in rows]
    assert states == sorted(states)
    wrong, right = ([row.sure for row in rows if (row.state == "right") is kind] for kind in (False, True))
    assert wrong == sorted(wrong, reverse=True)
    assert right == sorted(right)


def test_filters_name_the_classes_of_every_row():
    verdicts = judge(MIXED)
    found = browse(MIXED, verdicts)
    gold = [[found.gold_names[int(number)] for number in row.gold_numbers.split()] for row in found.rows]
    assert sorted(map(tuple, gold)) == sorted(verdict.gold for verdict in verdicts)


@given(text=st.text(min_size=1, max_size=60), data=st.data())
def test_marked_pieces_are_the_text(text, data):
    """Of a text that is short enough to be shown whole, whatever is marked in it."""
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    sides = [data.draw(st.lists(places, max_size=4)) for _ in range(2)]
    gold, model = (tuple(Span(min(pair), max(pair), "T") for pair in side if pair[0] != pair[1]) for side in sides)
    entities = Example(Record(text, entities=gold), Prediction(entities=model))
    answers = Example(
        Record(text, question="?", answers=gold[:1]), Prediction(answer="x", span=model[0] if model else None, confidence=0.5)
    )
    for one in (entities, answers):
        lines = [line for row in browse([one], judge([one])).rows for line in row.lines if line.name != "question"]
        assert all("".join(piece.text for piece in line.pieces) == text for line in lines)


def test_a_long_text_is_shown_around_what_is_marked():
    text = "far " * 2000 + "Ada" + " away" * 2000
    one = Example(Record(text, entities=(Span(8000, 8003, "PER"),)), Prediction(entities=()))
    [row] = browse([one], judge([one])).rows
    shown = "".join(piece.text for piece in row.lines[0].pieces)
    assert len(shown) < LONGEST
    assert "far … " not in shown[-20:]
    assert "far Ada away" in shown


def test_what_the_rows_take_is_bounded():
    examples = [example("&" * 900, "a", "b", n / 2000) for n in range(1500)]
    found = browse(examples, judge(examples))
    assert found.errors == 1500
    assert sum(5 * len(piece.text) for row in found.rows for line in row.lines for piece in line.pieces) < MOST_BYTES


# --- the model card


def test_the_card_is_what_the_hub_reads(trained):
    card = ModelCard.load(trained / "model" / CARD)
    scores = json.loads((trained / "scores.json").read_text())
    found = {(result.dataset_split, result.metric_name): result.metric_value for result in card.data.eval_results}
    assert found["dev", "accuracy"] == pytest.approx(scores["dev"]["accuracy"]["value"], abs=1e-6)
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.license is None


def test_the_bundled_network_is_named_as_the_hub_names_it(tmp_path):
    folder = scored_run(tmp_path / "run", MIXED, provenance={"base_model": {"name": "all-MiniLM-L6-v2", "licence": "apache-2.0"}})
    (folder / "model").mkdir()
    list(report(folder))
    card = ModelCard.load(folder / "model" / CARD)
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert "licence: apache-2.0" in card.text


def test_a_card_that_somebody_has_written_in_is_left_alone(trained, headway_command):
    card = trained / "model" / CARD
    mine = card.read_text(encoding="utf-8") + "\nMade for the film club.\n"
    card.write_text(mine, encoding="utf-8")
    result = headway_command("report", "runs/first")
    assert "left alone; remove it to have it made anew" in result.output
    assert card.read_text(encoding="utf-8") == mine


def test_a_model_is_whole_with_whatever_its_card_says(trained, headway_command):
    (trained / "model" / CARD).write_text("mine", encoding="utf-8")
    assert find_damage(trained / "model") is None
    assert headway_command("predict", "runs/first", "a good film").exit_code == 0


@given(st.text())
def test_a_sealed_card_is_ours_until_a_letter_changes(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "card.md"
    path.write_bytes(sealed(text).encode("utf-8", "replace"))
    assert is_ours(path)
    path.write_bytes(("x" + sealed(text)).encode("utf-8", "replace"))
    assert not is_ours(path)


def test_where_there_is_no_card_one_may_be_written(tmp_path):
    assert is_ours(tmp_path / "README.md")
    assert cards.SEAL.count("{}") == 1


def test_names_in_a_card_are_no_markup(tmp_path):
    hostile = "a|b <img src=x onerror=alert(1)> [c](javascript:alert(1)) `d`"
    folder = scored_run(tmp_path / "run", [example("t", hostile, hostile), example("u", "b", hostile), example("v", "c", "c")])
    (folder / "model").mkdir()
    (folder / "model/headway.json").write_text(json.dumps({"task": "classification", "settings": {"labels": [hostile, "b", "c"]}}))
    list(report(folder))
    text = ModelCard.load(folder / "model" / CARD).text
    assert re.search(r"(?<!\\)(<img|\[c\]|`d`)", text) is None
    assert r"a\|b \<img" in text


# --- read back


def test_predictions_are_read_as_they_were_written(tmp_path):
    folder = scored_run(tmp_path / "run", MIXED)
    kept = read_examples(folder / "predictions.jsonl")["test"]
    assert [key(e.record) for e in kept] == [key(e.record) for e in MIXED]
    shutil.rmtree(folder)
