import json
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headway import engine, model, pretrained
from headway.config import Config, Data, make_config
from headway.errors import ConfigError, DataError, ModelError
from headway.folders import MANIFEST, whole_folder
from headway.goldens import _as_json, changes
from headway.objective import plain
from headway.optimize import Optimizer
from headway.packing import Order, pack
from headway.probe import fit_head
from headway.records import IGNORED, Record, Span, Window
from headway.tasks import TASKS
from headway.tasks.classification import Classification
from headway.tasks.ner import EntityRecognition, best_legal
from headway.tasks.qa import QuestionAnswering, _candidate

TOKENIZERS = ["bert", "roberta", "xlm-roberta"]
every_tokenizer = pytest.mark.parametrize("name", TOKENIZERS)
promise = settings(max_examples=100)


def entity(text, words, label):
    start = text.index(words)
    return Span(start, start + len(words), label)


def marked(text, *entities):
    return Record(text, entities=tuple(entity(text, words, label) for words, label in entities))


def asked(question, text, *answers):
    return Record(text, question=question, answers=tuple(entity(text, answer, "") for answer in answers))


SINGLE = [
    *(Record(text, label="good") for text in ("a good film", "terrible no wonderful", "fine film by Ada", "the wonderful city", "thanks")),
    *(Record(text, label="bad") for text in ("a bad film", "the terrible order", "never again", "late refund", "not good never")),
]
SEVERAL = [
    Record("a good film", label=("film", "good")),
    Record("the order late", label=("order",)),
    Record("hello world", label=()),
    Record("good order", label=("good", "order")),
    Record("film", label=("film",)),
    Record("wonderful", label=("good",)),
    Record("by the river", label=()),
    Record("fine price paid", label=("order",)),
    Record("never again", label=()),
    Record("good film order", label=("film", "good", "order")),
]
NUMBERS = [Record(" ".join(["good"] * n + ["bad"] * (10 - n)), label=3.0 + n / 2) for n in range(10)]
PAIRS = [
    Record("the film was", text_pair=second, label=label)
    for second, label in [("good", "yes"), ("bad", "no"), ("fine", "yes"), ("late", "no")]
]
PAIRS += [
    Record(second, text_pair="the film was", label=label)
    for second, label in [("good", "no"), ("bad", "yes"), ("fine", "no"), ("late", "yes")]
]
PAIRS += [Record("good", text_pair="", label="no"), Record("", text_pair="good", label="yes")]
ENTITIES = [
    marked("Ada Lovelace lives in Paris", ("Ada Lovelace", "PER"), ("Paris", "LOC")),
    marked("in London was Turing", ("London", "LOC"), ("Turing", "PER")),
    marked("Acme Corp moved to Berlin.", ("Acme Corp", "ORG"), ("Berlin", "LOC")),
    marked("hello world", *()),
    marked("Marie Curie, born in Warsaw", ("Marie Curie", "PER"), ("Warsaw", "LOC")),
    marked("Alan Turing wrote to Globex Inc", ("Alan Turing", "PER"), ("Globex Inc", "ORG")),
    marked("a good film", *()),
    marked("Paris (Berlin) Zürich", ("Paris", "LOC"), ("Berlin", "LOC"), ("Zürich", "LOC")),
    marked("Globex Inc paid Ada", ("Globex Inc", "ORG"), ("Ada", "PER")),
    marked("the order was late again"),
]
QUESTIONS = [
    asked("who wrote", "Ada Lovelace wrote in London", "Ada Lovelace"),
    asked("where", "Ada Lovelace wrote in London", "London"),
    asked("who lives", "in Paris lives Marie Curie", "Marie Curie"),
    asked("where lives Marie", "in Paris lives Marie Curie", "Paris"),
    asked("when born", "Turing was born in 1912 in London", "1912"),
    asked("who was born", "Turing was born in 1912 in London", "Turing"),
    asked("where born", "Turing was born in 1912 in London", "London"),
    asked("who moved", "Acme Corp moved to Berlin", "Acme Corp"),
    asked("where moved", "Acme Corp moved to Berlin", "Berlin"),
    asked("who paid", "Globex Inc paid the price", "Globex Inc"),
]
UNANSWERABLE = [
    *QUESTIONS[:7],
    asked("when", "Acme Corp moved to Berlin"),
    asked("who", "the price was fine"),
    asked("where", "hello again"),
]

LESSONS = {
    "one class": ("classification", SINGLE),
    "sets of classes": ("classification", SEVERAL),
    "a number": ("classification", NUMBERS),
    "pairs": ("classification", PAIRS),
    "entities": ("ner", ENTITIES),
    "answers": ("qa", QUESTIONS),
    "answers or none": ("qa", UNANSWERABLE),
}
every_lesson = pytest.mark.parametrize("lesson", LESSONS)


def start(folder, task, records, **sections):
    """A fresh model for these records, as a training starts it."""
    config = make_config({"regularize": {"dropout": 0.0}, "train": {"precision": "fp32"}} | sections)
    source = pretrained.find(str(folder))
    limit = pretrained.longest_window(pretrained.load_tokenizer(source), pretrained.load_config(source))
    learned = TASKS[task].learn(records, config, limit=limit)
    return model.start(learned, source, config, Data(task=task))


def teach(fresh, records, *, updates=70, rate=2e-3):
    windows = fresh.task.windows(records, fresh.tokenizer)
    config = make_config({"train": {"learning_rate": rate}})
    optimizer = Optimizer(fresh.encoder.network, train=config.train, regularize=config.regularize, steps=updates)
    order = Order(len(windows), len(windows), 1)
    for _ in engine.fit(fresh.encoder, windows, optimizer=optimizer, order=order, loss=plain(fresh.task.loss)):
        pass
    fresh.task = fresh.task.fitted(records, windows, fresh.decisions(windows))
    return fresh


@pytest.fixture(scope="session")
def taught(pretrained_folder):
    """Give the model that has learned a lesson by heart."""
    kept = {}

    def give(lesson):
        if lesson not in kept:
            task, records = LESSONS[lesson]
            kept[lesson] = teach(start(pretrained_folder("bert"), task, records), records)
        return kept[lesson]

    return give


# --- every task


@every_lesson
def test_a_task_learns_ten_records_by_heart(taught, lesson):
    scores = taught(lesson).evaluate(LESSONS[lesson][1])
    assert scores.values[scores.main] > 0.99


@every_lesson
def test_a_model_survives_save_and_load(taught, lesson, tmp_path):
    records = LESSONS[lesson][1]
    taught(lesson).save(tmp_path / "model")
    again = model.load(tmp_path / "model", precision="fp32")
    assert again.task == taught(lesson).task
    assert again.predict(records) == taught(lesson).predict(records)
    assert again.data == taught(lesson).data


@every_lesson
def test_a_run_folder_is_loaded_by_its_model(taught, lesson, tmp_path):
    taught(lesson).save(tmp_path / "run" / "model")
    assert model.load(tmp_path / "run", precision="fp32").task == taught(lesson).task


@every_lesson
def test_a_task_is_what_json_can_hold(taught, lesson):
    task = taught(lesson).task
    back = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(json.dumps(asdict(task))).items()}
    assert type(task)(**back) == task


@every_lesson
def test_a_prediction_does_not_depend_on_what_is_asked_beside_it(taught, lesson):
    records = LESSONS[lesson][1]
    together = taught(lesson).predict(records)
    for record, prediction in zip(records, together, strict=True):
        alone = taught(lesson).predict([record])[0]
        assert alone.label == (pytest.approx(prediction.label, rel=1e-4) if isinstance(prediction.label, float) else prediction.label)
        assert alone.answer == prediction.answer
        assert _places(alone.entities) == _places(prediction.entities)


@every_lesson
def test_what_people_say_of_a_text_has_no_part_in_the_prediction(taught, lesson):
    records = LESSONS[lesson][1]
    bare = [replace(record, label=None, entities=None, answers=None) for record in records]
    assert taught(lesson).predict(bare) == taught(lesson).predict(records)


def test_a_record_with_a_label_that_was_never_learned_is_predicted_all_the_same(taught):
    assert taught("one class").predict([Record("good", label="odd")])[0].label in ("good", "bad")
    assert taught("entities").predict([Record("Ada", entities=(Span(0, 3, "ODD"),))])[0].entities is not None


@every_lesson
def test_loss_is_finite_and_has_a_gradient(taught, lesson):
    task = taught(lesson).task
    windows = task.windows(LESSONS[lesson][1], taught(lesson).tokenizer)
    batch = pack(windows)
    rows = len(windows) if task.name == "classification" else sum(batch.lengths)
    logits = torch.zeros(rows, len(task.outputs()), requires_grad=True)
    loss = task.loss(logits, batch)
    loss.backward()
    assert loss.shape == ()
    assert loss.isfinite()
    assert logits.grad.abs().sum() > 0


@every_lesson
@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.1}, {"focal_gamma": 2.0}])
def test_the_loss_of_a_batch_is_the_sum_of_the_losses_of_its_windows(taught, lesson, settings):
    task = replace(taught(lesson).task, **settings)
    windows = task.windows(LESSONS[lesson][1], taught(lesson).tokenizer)
    torch.manual_seed(0)
    per_window = [torch.randn(1 if task.name == "classification" else len(window), len(task.outputs())) for window in windows]
    together = task.loss(torch.cat(per_window), pack(windows))
    alone = sum(task.loss(logits, pack([window])) for logits, window in zip(per_window, windows, strict=True))
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@every_lesson
def test_an_empty_text_gets_an_answer(taught, lesson):
    given = {"text": "", "question": "who"} if lesson.startswith("answers") else {"text": ""}
    assert len(taught(lesson).predict([given])) == 1


# --- long texts

SHORT = {"max_tokens": 40, "overlap": 10}
PLAIN = {"dropout": 0.0}  # what is to be learned by heart is learned surely
FILLER = "hello world again " * 60  # longer than the longest window of the tiny networks


@every_lesson
def test_windows_are_never_longer_than_the_network_reads(taught, lesson):
    task = taught(lesson).task
    records = [replace(LESSONS[lesson][1][0], text=LESSONS[lesson][1][0].text + " " + FILLER), Record("x" * 3000, question="who")]
    windows = task.windows(records, taught(lesson).tokenizer)
    assert len(windows) > 2
    assert max(map(len, windows)) <= task.max_tokens <= 128
    assert [window.record for window in windows] == sorted(window.record for window in windows)
    assert {window.record for window in windows} == {0, 1}


@every_lesson
def test_a_long_text_is_answered_whole(taught, lesson):
    record = LESSONS[lesson][1][0]
    given = replace(record, text=FILLER + record.text + " " + FILLER)
    prediction = taught(lesson).predict([given])[0]
    filled = [prediction.label, prediction.entities, prediction.answer]
    assert sum(value is not None for value in filled) == 1


def test_an_entity_is_found_wherever_in_a_long_text_it_stands(pretrained_folder):
    text = FILLER + "Ada Lovelace lives in Paris " + FILLER
    records = [marked(text, ("Ada Lovelace", "PER"), ("Paris", "LOC")), *ENTITIES]
    learned = teach(start(pretrained_folder("bert"), "ner", records, windows=SHORT, regularize=PLAIN), records, updates=150)
    assert _places(learned.predict(records)[0].entities) == _places(records[0].entities)


def test_an_answer_is_found_wherever_in_a_long_text_it_stands(pretrained_folder):
    text = FILLER + "Ada Lovelace lives in Paris " + FILLER
    records = [asked("who lives", text, "Ada Lovelace"), asked("where", text, "Paris")]
    learned = teach(start(pretrained_folder("bert"), "qa", records, windows=SHORT, regularize=PLAIN), records, updates=150)
    assert [prediction.answer for prediction in learned.predict(records)] == ["Ada Lovelace", "Paris"]


def test_the_class_of_a_long_text_is_the_mean_over_its_windows_by_their_length(taught):
    learned = taught("one class")
    record = Record("a good film " + FILLER)
    windows = learned.task.windows([record], learned.tokenizer)
    with torch.no_grad():
        rows = torch.cat([learned.encoder(pack([window])) for window in windows]).softmax(dim=-1).double().numpy()
    expected = np.average(rows, axis=0, weights=[len(window) for window in windows])
    learned = replace(learned, task=replace(learned.task, temperature=1.0))
    assert list(learned.predict([record])[0].scores.values()) == pytest.approx(expected.tolist(), rel=1e-5)


@given(st.integers(0, 10_000), st.floats(0.05, 20))
@promise
def test_the_temperature_changes_confidences_and_no_prediction(seed, temperature):
    plain = Classification("single", ("a", "b", "c"), 512, 64)
    windows, logits = random_windows(seed, classes=3)
    before = plain.predictions(range(3), windows, logits)
    after = replace(plain, temperature=temperature).predictions(range(3), windows, logits)
    assert [prediction.label for prediction in before] == [prediction.label for prediction in after]
    assert all(prediction.confidence == max(prediction.scores.values()) for prediction in after)


def random_windows(seed, *, classes):
    """Five windows of three records, and what a network says of them."""
    random = np.random.default_rng(seed)
    ids = [np.zeros(random.integers(1, 9), dtype=np.int32) for _ in range(5)]
    windows = [Window(position, row, row, np.zeros((len(row), 2)), np.zeros(1)) for position, row in zip((0, 0, 1, 2, 2), ids, strict=True)]
    return windows, list(random.normal(size=(5, classes)) * random.choice([0.01, 1, 100]))


def rare(count=200, positives=30):
    """Records of which few are spam, and logits that find the spam, but never think it likelier than not."""
    labels = ["ham"] * (count - positives) + ["spam"] * positives
    records = [Record("", label=label) for label in labels]
    windows, _ = zip(*(random_windows(0, classes=2) for _ in records), strict=True)
    windows = [replace(of_record[0], record=position) for position, of_record in enumerate(windows)]
    logits = [np.array([0.0, -3.0 + n / count if label == "ham" else -1.0]) for n, label in enumerate(labels)]
    return records, windows, logits


def test_a_rare_class_is_found_by_its_own_threshold():
    records, windows, logits = rare()
    plain = Classification("single", ("ham", "spam"), 512, 64)
    fitted = plain.fitted(records, windows, logits)
    assert {prediction.label for prediction in plain.predictions(records, windows, logits)} == {"ham"}
    assert [prediction.label for prediction in fitted.predictions(records, windows, logits)] == [record.label for record in records]
    assert all(said.confidence == said.scores[said.label] for said in fitted.predictions(records, windows, logits))


WARM = [lesson for lesson in LESSONS if lesson != "a number"]


@pytest.mark.parametrize("lesson", WARM)
def test_logits_three_times_as_large_are_as_sure_at_three_times_the_temperature(taught, lesson):
    learned, records = taught(lesson), LESSONS[lesson][1]
    task = replace(learned.task, temperature=1.0)
    windows = task.windows(records, learned.tokenizer)
    decisions = learned.decisions(windows)
    plain = task.predictions(records, windows, decisions)
    warm = replace(task, temperature=3.0)
    if task.name == "qa" and task.no_answer_threshold is not None:  # which is of logits
        warm = replace(warm, no_answer_threshold=3 * task.no_answer_threshold)
    again = warm.predictions(records, windows, [3 * decision for decision in decisions])
    differ = [next(changes(_as_json(one), _as_json(other), tolerance=1e-5), None) for one, other in zip(plain, again, strict=True)]
    assert not any(differ), differ


@pytest.mark.parametrize("lesson", WARM)
@pytest.mark.parametrize("temperature", [0.4, 5.0])
def test_a_temperature_changes_how_sure_an_answer_is_and_no_answer(taught, lesson, temperature):
    learned, records = taught(lesson), LESSONS[lesson][1]
    windows = learned.task.windows(records, learned.tokenizer)
    decisions = [decision / 8 for decision in learned.decisions(windows)]  # of a model that is less than certain
    if learned.task.name == "classification" and learned.task.kind == "multi":
        learned = replace(learned, task=replace(learned.task, thresholds=(0.5,) * len(learned.task.labels)))
    said = [replace(learned.task, temperature=value).predictions(records, windows, decisions) for value in (1.0, temperature)]
    assert [bare(prediction) for prediction in said[0]] == [bare(prediction) for prediction in said[1]]
    assert said[0] != said[1]


def bare(prediction):
    entities = prediction.entities and tuple(replace(span, confidence=None) for span in prediction.entities)
    return replace(prediction, confidence=None, scores=None, entities=entities)


@pytest.mark.parametrize("lesson", WARM)
def test_a_model_that_is_too_sure_of_what_is_wrong_gets_a_temperature_over_one(pretrained_folder, lesson):
    task, records = LESSONS[lesson]
    fresh = start(pretrained_folder("bert"), task, records)
    windows = fresh.task.windows(records, fresh.tokenizer)
    random = np.random.default_rng(1)
    decisions = [random.normal(size=decision.shape) * 20 for decision in fresh.decisions(windows)]
    assert fresh.task.fitted(records, windows, decisions).temperature > 3


@every_lesson
def test_unsure_answers_are_marked_and_given_all_the_same(taught, lesson):
    _, records = LESSONS[lesson]
    learned = taught(lesson)
    if learned.task.right(records, learned.predict(records)) is None:
        assert learned.task.precision is None
        return
    task = replace(learned.task, precision=0.5, least_confidence=0.97)
    before, after = learned.predict(records), replace(learned, task=task).predict(records)
    assert after == [replace(said, abstained=said.confidence < 0.97) for said in before]


@pytest.mark.parametrize("lesson", ["one class", "answers", "answers or none"])
def test_a_wanted_precision_decides_what_is_left_to_a_person(taught, lesson):
    _, records = LESSONS[lesson]
    learned = taught(lesson)
    windows = learned.task.windows(records, learned.tokenizer)
    decisions = learned.decisions(windows)
    lenient, strict = (replace(learned.task, precision=wanted).fitted(records, windows, decisions) for wanted in (0.5, 0.999))
    assert not any(said.abstained for said in lenient.predictions(records, windows, decisions))
    assert all(said.abstained for said in strict.predictions(records, windows, decisions))


@pytest.mark.parametrize("lesson", ["sets of classes", "a number", "entities"])
def test_a_precision_is_refused_where_predictions_are_not_right_as_a_whole(lesson):
    task, records = LESSONS[lesson]
    with pytest.raises(ConfigError, match=r"decide\.precision is for one class a text and for answers, and the task is"):
        TASKS[task].learn(records, make_config({"decide": {"precision": 0.9}}), limit=128)


@pytest.mark.parametrize(("first", "second"), [(5, 5), (5, 500), (500, 5), (500, 400), (400, 500), (500, 500), (0, 500), (500, 0)])
def test_windows_of_a_pair_hold_every_token_of_both_texts(taught, first, second):
    learned = taught("pairs")
    a, b = ("good film was by the river " * 100).split()[:first], ("bad order in a city never " * 100).split()[:second]
    windows = learned.task.windows([Record(" ".join(a), text_pair=" ".join(b))], learned.tokenizer)
    assert max(map(len, windows)) <= learned.task.max_tokens
    seen = [{place for start, end in window.offsets_N2.tolist() for place in range(start, end)} for window in windows]
    assert set().union(*seen) == {place for place, c in enumerate(" ".join(a)) if c != " "}
    specials = sum(int((window.token_type_ids_N == 1).sum()) - 1 for window in windows)
    assert specials >= second


# --- classes


def test_a_class_that_was_never_learned_is_an_error_with_the_nearest_one(taught):
    with pytest.raises(DataError) as error:
        taught("one class").task.check([Record("x", label="goood", where="dev.csv:7")])
    assert str(error.value) == 'dev.csv:7: label "goood" is not one of bad, good; did you mean "good"?'


def test_evaluating_on_a_class_that_was_never_learned_is_an_error(taught):
    with pytest.raises(DataError, match='label "odd" is not one of bad, good'):
        taught("one class").evaluate([Record("x", label="odd", where="a:1")])


def test_one_class_only_is_nothing_to_learn():
    with pytest.raises(DataError) as error:
        Classification.learn([Record("a", label="x"), Record("b", label="x")], make_config({}), limit=128)
    assert str(error.value) == 'every record has the label "x"; at least two classes are needed to learn from'


def test_classes_are_ordered_by_number_then_by_name():
    records = [Record("a", label=name) for name in ("10", "9", "b", "a", "1")]
    assert Classification.learn(records, make_config({}), limit=128).labels == ("1", "9", "10", "a", "b")


def test_balanced_weights_weigh_every_class_the_same():
    records = [Record("a", label=name) for name in "aaabbc"]
    task = Classification.learn(records, make_config({"regularize": {"class_weights": "balanced"}}), limit=128)
    totals = {name: weight * [r.label for r in records].count(name) for name, weight in zip(task.labels, task.class_weights, strict=True)}
    assert len(set(totals.values())) == 1
    assert sum(totals.values()) == pytest.approx(len(records))


LEARNED_FROM = {"classification": SINGLE, "ner": ENTITIES, "qa": QUESTIONS}


@pytest.mark.parametrize("task", LEARNED_FROM)
@pytest.mark.parametrize(("setting", "value"), [("label_smoothing", 0.1), ("focal_gamma", 2.0)])
def test_a_setting_of_the_loss_reaches_every_task(task, setting, value):
    learned = TASKS[task].learn(LEARNED_FROM[task], make_config({"regularize": {setting: value}}), limit=128)
    assert getattr(learned, setting) == value


@pytest.mark.parametrize(("setting", "value"), [("label_smoothing", 0.1), ("focal_gamma", 2.0), ("class_weights", "balanced")])
def test_a_setting_that_is_for_classes_is_refused_for_a_number(setting, value):
    with pytest.raises(ConfigError) as error:
        Classification.learn(NUMBERS, make_config({"regularize": {setting: value}}), limit=128)
    assert str(error.value) == f"regularize.{setting} = {value} is for classes, and there are none in a number; leave it away"


def test_a_number_is_learned_in_units_of_its_spread(taught):
    task = taught("a number").task
    targets = np.concatenate([window.targets_A for window in task.windows(NUMBERS, taught("a number").tokenizer)])
    assert targets.mean() == pytest.approx(0, abs=1e-6)
    assert targets.std() == pytest.approx(1, abs=1e-6)


def test_a_pair_is_read_as_the_tokenizer_pairs_it(taught):
    learned = taught("pairs")
    windows = learned.task.windows(PAIRS[:4], learned.tokenizer)
    for record, window in zip(PAIRS, windows, strict=False):
        expected = learned.tokenizer(record.text, record.text_pair, return_token_type_ids=True)
        assert window.input_ids_N.tolist() == expected["input_ids"]
        assert window.token_type_ids_N.tolist() == expected["token_type_ids"]


def test_a_single_text_is_read_alike_beside_pairs_and_alone(taught):
    learned = taught("pairs")
    alone = learned.task.windows([Record("good")], learned.tokenizer)[0]
    beside = learned.task.windows([Record("good"), PAIRS[0]], learned.tokenizer)[0]
    assert alone.input_ids_N.tolist() == beside.input_ids_N.tolist()


@pytest.mark.parametrize("records", [SINGLE, SEVERAL, NUMBERS, PAIRS], ids=["one class", "sets of classes", "a number", "pairs"])
@pytest.mark.parametrize("left_out", [0, 5, 9])
def test_a_head_can_be_fitted_where_the_sample_lacks_some_classes(pretrained_folder, records, left_out):
    fresh = start(pretrained_folder("bert"), "classification", [*records, replace(records[0], label=_rare(records))])
    windows = fresh.task.windows(records[: len(records) - left_out], fresh.tokenizer)
    fit_head(fresh, windows, seed=1)
    assert all(weight.isfinite().all() for weight in fresh.encoder.head().parameters())
    fitted = [prediction.label for prediction in fresh.predict(records[: len(records) - left_out])]
    assert _rare(records) not in fitted or records is NUMBERS


def _rare(records):
    return {str: "rare", tuple: ("rare",), float: 100.0}[type(records[0].label)]


# --- entities


def _places(entities):
    return None if entities is None else [(span.start, span.end, span.label) for span in entities]


PIECES = [
    "Ada",
    "Lovelace",
    "café",
    "cafe\u0301",
    "naïve",
    "北京",
    "don't",
    "state-of-the-art",
    "3.5",
    "🙂🙂",
    "ﬁne",
    "é",
    "unbekannt",
    "U.S.",
    "½",
]
BETWEEN = [" ", "  ", ", ", "\n", " (", "\u00a0", "\u3000"]


@st.composite
def marked_texts(draw):
    """Words with something between them, and entities of whole words."""
    text, entities, open_ = draw(st.sampled_from(["", " ", "("])), [], None
    for _ in range(draw(st.integers(1, 10))):
        start = len(text)
        text += draw(st.sampled_from(PIECES))
        tag = draw(st.sampled_from(["out", "begin A", "begin B", "in"]))
        if tag.startswith("begin"):
            open_ = Span(start, len(text), tag[-1])
            entities.append(open_)
        elif tag == "in" and open_ is not None:
            entities[-1] = open_ = Span(open_.start, len(text), open_.label)
        else:
            open_ = None
        text += draw(st.sampled_from(BETWEEN))
    return Record(text, entities=tuple(entities))


NER = EntityRecognition(("A", "B"), max_tokens=24, overlap=6, units="parts")
BY_WORDS = replace(NER, units="words", max_tokens=128)


@every_tokenizer
@promise
@given(record=marked_texts())
def test_entities_of_whole_words_are_found_again_in_their_targets(tokenizer_of, name, record):
    windows = NER.windows([record], tokenizer_of(name))
    assert _places(_from_targets(NER, [record], windows)[0].entities) == _places(record.entities)
    assert NER.unreachable([record], windows) == 0


def _from_targets(task, records, windows):
    perfect = [np.log(np.eye(len(task.outputs()))[np.maximum(window.targets_A, 0)] + 1e-9) for window in windows]
    return task.predictions(records, windows, perfect)


@every_tokenizer
@promise
@given(record=marked_texts(), units=st.sampled_from(["words", "parts"]))
def test_every_unit_is_decided_by_one_window(tokenizer_of, name, record, units):
    def decided(max_tokens):
        windows = replace(NER, units=units, max_tokens=max_tokens, overlap=3).windows([record], tokenizer_of(name))
        return [tuple(row) for window in windows for row in window.units[:, 1:].tolist()]

    whole, cut = decided(512), decided(10)
    assert cut == whole
    assert len(set(whole)) == len(whole)


@every_tokenizer
def test_targets_stand_on_the_first_token_of_each_unit_and_nowhere_else(tokenizer_of, name):
    window = NER.windows([Record("Ada Lovelace, naïve", entities=(Span(0, 12, "B"),))], tokenizer_of(name))[0]
    places = np.flatnonzero(window.targets_A != IGNORED)
    assert places.tolist() == window.units[:, 0].tolist()
    assert window.targets_A[places].tolist() == [3, 4, 0, 0]


@pytest.mark.parametrize(
    ("text", "span", "found"),
    [
        pytest.param("Lovelace lives", Span(0, 4, "A"), (0, 8, "A"), id="ends inside a word"),
        pytest.param("Lovelace lives", Span(4, 8, "A"), (0, 8, "A"), id="begins inside a word"),
        pytest.param("Lovelace lives", Span(2, 11, "A"), (0, 14, "A"), id="both"),
    ],
)
def test_an_entity_cut_inside_a_word_is_learned_as_the_word_and_counted_unreachable(tokenizer_of, text, span, found):
    record = Record(text, entities=(span,))
    windows = NER.windows([record], tokenizer_of("bert"))
    assert _places(_from_targets(NER, [record], windows)[0].entities) == [found]
    assert NER.unreachable([record], windows) == 1


def test_of_entities_in_each_other_the_outer_is_learned_and_the_inner_counted_unreachable(tokenizer_of):
    record = Record("bank of Rome fell", entities=(Span(0, 12, "A"), Span(8, 12, "B")))
    windows = NER.windows([record], tokenizer_of("bert"))
    perfect = [np.log(np.eye(5)[np.maximum(window.targets_A, 0)] + 1e-9) for window in windows]
    assert [(span.start, span.end, span.label) for span in NER.predictions([record], windows, perfect)[0].entities] == [(0, 12, "A")]
    assert NER.unreachable([record], windows) == 1


def test_an_entity_of_nothing_but_white_space_is_counted_unreachable(tokenizer_of):
    record = Record("Ada   lives", entities=(Span(3, 5, "A"),))
    assert NER.unreachable([record], NER.windows([record], tokenizer_of("bert"))) == 1


@every_tokenizer
def test_words_between_white_space_are_units_without_the_signs_at_their_ends(tokenizer_of, name):
    text = "Ada's re-elected, (Acme) U.S. +42-"
    units = BY_WORDS.windows([Record(text)], tokenizer_of(name))[0].units
    assert [text[start:end] for _, start, end in units if text[start:end].strip("().,+-")] == ["Ada's", "re-elected", "Acme", "U.S", "42"]


def test_a_vowel_sign_at_the_end_of_a_word_is_part_of_it(tokenizer_of):
    text = "नमस्ते दुनिया"
    units = BY_WORDS.windows([Record(text)], tokenizer_of("xlm-roberta"))[0].units
    assert [text[start:end] for _, start, end in units] == text.split()


@pytest.mark.parametrize(
    ("entities", "units"),
    [
        pytest.param((Span(0, 3, "A"),), "words", id="whole words"),
        pytest.param((Span(5, 17, "A"),), "words", id="without the signs at the end"),
        pytest.param((Span(0, 3, "A"), Span(5, 10, "A")), "parts", id="inside a word"),
    ],
)
def test_units_are_words_where_entities_end_with_words(entities, units):
    learned = EntityRecognition.learn([Record("Ada (Paris-London)", entities=entities)], Config(), limit=64)
    assert learned.units == units


def test_an_entity_may_end_before_a_sign(tokenizer_of):
    record = Record("state-of-the-art", entities=(Span(6, 8, "A"),))
    for name in TOKENIZERS:
        assert NER.unreachable([record], NER.windows([record], tokenizer_of(name))) == 0


def test_neighbouring_entities_of_one_type_stay_two(tokenizer_of):
    record = Record("Ada Alan", entities=(Span(0, 3, "A"), Span(4, 8, "A")))
    windows = NER.windows([record], tokenizer_of("bert"))
    assert len(_from_targets(NER, [record], windows)[0].entities) == 2


def legal(tags):
    return all(tag == 0 or tag % 2 == 1 or before in (tag, tag - 1) for before, tag in zip([0, *tags], tags, strict=False))


@promise
@given(st.integers(1, 5), st.sampled_from([3, 5]), st.integers(0, 10_000))
def test_the_best_legal_tags_are_those_of_trying_all(units, tags, seed):
    scores = np.random.default_rng(seed).normal(size=(units, tags))
    found = best_legal(scores)
    tried = [
        (sum(scores[i, t] for i, t in enumerate(sequence)), sequence) for sequence in product(range(tags), repeat=units) if legal(sequence)
    ]
    assert legal(found.tolist())
    assert scores[np.arange(units), found].sum() == pytest.approx(max(tried)[0])


@promise
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 10_000), st.floats(0, 100))
def test_no_illegal_tags_are_ever_given(units, types, seed, sharpness):
    scores = np.random.default_rng(seed).normal(size=(units, 1 + 2 * types)) * sharpness
    assert legal(best_legal(scores).tolist())


def test_an_entity_type_that_was_never_learned_is_an_error_with_the_nearest_one(taught):
    with pytest.raises(DataError) as error:
        taught("entities").task.check([Record("x", entities=(Span(0, 1, "PRE"),), where="dev.conll:3")])
    assert str(error.value) == 'dev.conll:3: entity type "PRE" is not one of LOC, ORG, PER; did you mean "PER"?'


# --- answers

QA = QuestionAnswering(max_tokens=40, overlap=12)


def _oracle(windows):
    """Logits that say the target of every window."""
    rows = []
    for window in windows:
        logits = np.full((len(window), 2), -5.0, dtype=np.float32)
        logits[window.targets_A[0, 0], 0] = logits[window.targets_A[0, 1], 1] = 5.0
        rows.append(logits)
    return rows


@every_tokenizer
@pytest.mark.parametrize("long", [False, True])
def test_logits_that_say_the_target_give_the_answer(tokenizer_of, name, long):
    records = [*QUESTIONS, asked("who", "naïve  café (北京) 🙂 ok", "café"), asked("who", "naïve  café (北京) 🙂 ok", "北京")]
    if long:
        shift = len(FILLER)
        records = [
            replace(r, text=FILLER + r.text + " " + FILLER, answers=tuple(Span(a.start + shift, a.end + shift) for a in r.answers))
            for r in records
        ]
    task = replace(QA, no_answer_threshold=0.0)
    windows = task.windows(records, tokenizer_of(name))
    predictions = task.predictions(records, windows, _oracle(windows))
    assert [p.answer for p in predictions] == [r.text[r.answers[0].start : r.answers[0].end] for r in records]
    assert [(p.span.start, p.span.end) for p in predictions] == [(r.answers[0].start, r.answers[0].end) for r in records]
    assert task.unreachable(records, windows) == 0


def test_an_answer_cut_inside_a_token_is_counted_unreachable(tokenizer_of):
    records = [Record("Lovelace lives", question="who", answers=(Span(0, 4),)), *QUESTIONS]
    windows = QA.windows(records, tokenizer_of("bert"))
    assert QA.unreachable(records, windows) == 1


def test_white_space_around_an_answer_is_not_part_of_what_is_learned(tokenizer_of):
    windows = [
        QA.windows([Record("Ada  lives", question="who", answers=(span,))], tokenizer_of("bert"))[0] for span in (Span(0, 3), Span(0, 4))
    ]
    assert windows[0].targets_A.tolist() == windows[1].targets_A.tolist() != [[0, 0]]


def test_the_answer_that_most_people_gave_is_learned(tokenizer_of):
    record = asked("who", "Ada Lovelace lives", "Ada Lovelace", "Ada", "Ada")
    window = QA.windows([record], tokenizer_of("bert"))[0]
    start, end = window.targets_A[0]
    assert (window.offsets_N2[start, 0], window.offsets_N2[end, 1]) == (0, 3)


def test_a_window_without_the_answer_says_so_by_its_first_token(tokenizer_of):
    windows = QA.windows([asked("who", "Ada lives " + FILLER, "Ada")], tokenizer_of("bert"))
    assert windows[0].targets_A.tolist() != [[0, 0]]
    assert {tuple(window.targets_A[0].tolist()) for window in windows[1:]} == {(0, 0)}


@promise
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 12))
def test_the_best_passage_is_that_of_trying_all(tokenizer_of, seed, longest, words):
    record = Record(" ".join(["good", "film", "bad"] * 4)[: 5 * words], question="who")
    window = QA.windows([record], tokenizer_of("bert"))[0]
    logits = np.random.default_rng(seed).normal(size=(len(window), 2)).astype(np.float32)
    text = [n for n in range(len(window)) if window.offsets_N2[n, 1] > window.offsets_N2[n, 0]]
    tried = [(float(logits[a, 0]) + float(logits[b, 1]), a, b) for a in text for b in text if a <= b < a + longest]
    score, a, b = max(tried)
    found = _candidate(window, logits, longest)
    assert found.score == pytest.approx(score)
    assert (found.start, found.end) == (window.offsets_N2[a, 0], window.offsets_N2[b, 1])
    assert found.no_answer == pytest.approx(float(logits[0].sum()))


def test_there_is_no_answer_where_that_is_better_by_more_than_the_threshold(tokenizer_of):
    record = Record("Ada lives", question="who")
    windows = QA.windows([record], tokenizer_of("bert"))
    logits = np.zeros((len(windows[0]), 2), dtype=np.float32)
    logits[0] = 1.0  # "no answer" is better by 2
    answers = {
        threshold: replace(QA, no_answer_threshold=threshold).predictions([record], windows, [logits])[0].answer
        for threshold in (None, 1.9, 2.1)
    }
    assert answers[1.9] == ""
    assert answers[2.1] != ""
    assert answers[None] != ""


def test_of_several_windows_one_that_holds_an_answer_is_enough(tokenizer_of):
    record = asked("who", FILLER + "Ada lives", "Ada")
    task = replace(QA, no_answer_threshold=0.0)
    windows = task.windows([record], tokenizer_of("bert"))
    prediction = task.predictions([record], windows, _oracle(windows))[0]
    assert len(windows) > 2
    assert prediction.answer == "Ada"
    assert prediction.confidence > 0.9


def test_the_threshold_is_the_one_that_scores_best(tokenizer_of):
    task = replace(QA, no_answer_threshold=0.0)
    windows = task.windows(UNANSWERABLE, tokenizer_of("bert"))
    logits = [row + np.where(np.arange(len(row)) == 0, 20.0, 0.0)[:, None] for row in _oracle(windows)]  # always in favour of no answer
    before = task.score(UNANSWERABLE, task.predictions(UNANSWERABLE, windows, logits))
    fitted = task.fitted(UNANSWERABLE, windows, logits)
    after = fitted.score(UNANSWERABLE, fitted.predictions(UNANSWERABLE, windows, logits))
    assert before.values["f1"] < 0.5
    assert after.values["f1"] == 1.0


def test_an_empty_text_among_the_records_does_not_disturb_the_threshold(tokenizer_of):
    records = [*UNANSWERABLE, Record("", question="who", answers=())]
    task = replace(QA, no_answer_threshold=0.0)
    windows = task.windows(records, tokenizer_of("bert"))
    fitted = task.fitted(records, windows, _oracle(windows))
    assert np.isfinite(fitted.no_answer_threshold)
    assert task.score(records, fitted.predictions(records, windows, _oracle(windows))).values["f1"] == 1.0


def test_a_question_that_leaves_no_room_is_an_error(tokenizer_of):
    with pytest.raises(DataError) as error:
        QA.windows([Record("Ada", question="who " * 30, where="dev.json#1")], tokenizer_of("bert"))
    assert str(error.value) == (
        "dev.json#1: a question of 30 tokens; at most 20 fit beside the text: shorten it, or raise windows.max_tokens before training"
    )


# --- the model folder


@pytest.fixture
def folder(taught, tmp_path):
    taught("one class").save(tmp_path / "model")
    return tmp_path / "model"


def rewritten(folder, name, change):
    """Change a JSON file of a model folder, and have the manifest agree: somebody's hand, not a broken disk."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    content = json.loads(files[name])
    change(content)
    files[name] = json.dumps(content).encode()
    with whole_folder(folder) as fresh:
        for other, content in files.items():
            (fresh / other).write_bytes(content)


def test_labels_in_another_order_are_refused(folder):
    rewritten(folder, "config.json", lambda config: config.update(id2label={"0": "good", "1": "bad"}, label2id={"good": 0, "bad": 1}))
    with pytest.raises(ModelError) as error:
        model.load(folder)
    assert str(error.value) == (
        f"{folder}: config.json orders the labels ('good', 'bad'), headway.json ('bad', 'good'): they are of different models"
    )


def test_a_newer_format_is_refused(folder):
    rewritten(folder, "headway.json", lambda described: described.update(format=2))
    with pytest.raises(ModelError, match="format 2 of a newer version; this one reads format 1: upgrade headway"):
        model.load(folder)


def test_an_unknown_task_is_refused(folder):
    rewritten(folder, "headway.json", lambda described: described.update(task="poetry"))
    with pytest.raises(ModelError, match='task "poetry" is not one of classification, ner, qa'):
        model.load(folder)


def test_an_unknown_setting_of_a_task_is_refused_with_the_nearest(folder):
    rewritten(folder, "headway.json", lambda described: described["settings"].update(overlp=1))
    with pytest.raises(ModelError, match='unknown setting overlp; did you mean "overlap"'):
        model.load(folder)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "headway.json"])
def test_a_damaged_file_is_refused(folder, name):
    flip_a_bit(folder / name)
    with pytest.raises(ModelError) as error:
        model.load(folder)
    assert str(error.value) == f"{folder}: {name} has changed since it was written; copy the whole folder again, or train again"


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"not a model: neither it nor its model/ holds headway\.json"):
        model.load(tmp_path)


def test_a_folder_that_is_not_there_is_refused_with_the_nearest(folder):
    with pytest.raises(ModelError, match='modle: no such folder; did you mean "model"'):
        model.load(folder.parent / "modle")
