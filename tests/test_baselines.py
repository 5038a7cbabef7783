"""What can be had without a neural network."""

import pytest
from test_tasks import ENTITIES, NUMBERS, PAIRS, QUESTIONS, SEVERAL, SINGLE, UNANSWERABLE, asked, marked

from headway import baselines
from headway.config import Config, Data
from headway.metrics import score_spans
from headway.readers import read
from headway.records import Record
from headway.tasks import TASKS

KINDS = {
    "one class": ("classification", SINGLE),
    "pairs": ("classification", PAIRS),
    "several labels": ("classification", SEVERAL),
    "a number": ("classification", NUMBERS),
    "entities": ("ner", ENTITIES),
    "answers": ("qa", QUESTIONS),
    "answers or none": ("qa", UNANSWERABLE),
}
EVERY = [(kind, name) for kind, (task, records) in KINDS.items() for name in baselines.learn(task, records)]
every_baseline = pytest.mark.parametrize(("kind", "name"), EVERY)
ODD = [Record("", label="good"), Record("東京 !", label="bad"), Record("Ada\nAda", label="bad")]


def test_every_kind_of_record_has_its_baselines():
    assert {baselines._kind(*KINDS[kind]) for kind in KINDS} == baselines.BASELINES.keys()


@every_baseline
def test_what_a_baseline_says_can_be_scored_as_a_model_is(kind, name):
    task, records = KINDS[kind]
    scores = TASKS[task].learn(records, Config(), limit=128).score(records, baselines.learn(task, records)[name](records))
    assert all(number == number for number in scores.values.values())


@every_baseline
def test_a_baseline_answers_whatever_it_is_asked(kind, name):
    task, records = KINDS[kind]
    odd = [Record(record.text, question="", text_pair=record.text if kind == "pairs" else None) for record in ODD]
    assert len(baselines.learn(task, records)[name](odd)) == len(odd)


@every_baseline
def test_a_baseline_does_not_look_at_what_people_say(kind, name):
    task, records = KINDS[kind]
    predict = baselines.learn(task, records)[name]
    assert predict(records) == predict([record.unlabelled() for record in records])


TOLD = [("one class", "accuracy", 0.9), ("several labels", "macro_f1", 0.6), ("a number", "spearman", 0.9)]


@pytest.mark.parametrize(("kind", "main", "least"), TOLD)
def test_words_tell_classes_and_numbers(kind, main, least):
    task, records = KINDS[kind]
    name = next(name for name in baselines.BASELINES[kind] if name.startswith("TF-IDF"))
    predicted = baselines.learn(task, records)[name](records)
    assert TASKS[task].learn(records, Config(), limit=128).score(records, predicted).values[main] >= least


def test_the_commonest_class_is_said_of_everything():
    records = [Record("a", label="x"), Record("b", label="y"), Record("c", label="y")]
    assert {said.label for said in baselines.always_commonest(records)(SINGLE)} == {"y"}


def test_what_two_texts_share_tells_whether_they_are_alike():
    texts = ["a good film", "the late order", "paid the price", "moved to the city", "born in Warsaw", "never again"]
    alike = [Record(text, text_pair=f"{text} again", label="yes") for text in texts]
    other = [Record(text, text_pair=texts[number - 1], label="no") for number, text in enumerate(texts)]
    predict = baselines.words_and_logistic([*alike[:4], *other[:4]])
    assert [said.label for said in predict([*alike[4:], *other[4:]])] == ["yes", "yes", "no", "no"]


def test_the_words_of_scripts_without_spaces_are_their_characters():
    assert baselines._words("東京 is Big, don't 1_2") == ["東", "京", "is", "big", ",", "don", "'", "t", "1_2"]


def test_an_entity_of_the_training_texts_is_found_again_and_the_longest_first():
    predict = baselines.gazetteer([marked("Ada met Ada Lovelace", ("Ada Lovelace", "PER")), marked("Ada", ("Ada", "PER"))])
    found = predict([Record("(Ada Lovelace) and Ada, not Adam")])[0].entities
    assert [(span.start, span.end) for span in found] == [(1, 13), (19, 22)]


def test_what_is_no_entity_more_often_than_one_is_not_found():
    texts = [marked("in May", ("May", "PER")), marked("May came"), marked("in May it")]
    assert baselines.gazetteer(texts)([Record("in May")])[0].entities == ()


def test_the_sentence_with_the_rarest_shared_words_answers():
    text = "The order was late. The river Aare flows past Bern! The order was the price of the film."
    said = baselines.nearest_sentence([])([asked("Where does the Aare flow?", text)])[0]
    assert (said.answer, text[said.span.start : said.span.end]) == ("The river Aare flows past Bern!",) * 2


def test_never_answering_is_a_baseline_where_some_questions_have_no_answer():
    assert "no answer" in baselines.learn("qa", UNANSWERABLE)
    assert "no answer" not in baselines.learn("qa", QUESTIONS)


def test_of_very_many_records_a_sample_is_learned_from(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_RECORDS", 6)
    assert len(baselines._sample(SINGLE)) == 6
    assert len(baselines.learn("classification", SINGLE)["TF-IDF + logistic"](SINGLE)) == len(SINGLE)


@pytest.mark.parametrize(("part", "published"), [("eng.testa", 0.7118), ("eng.testb", 0.5961)])
def test_the_gazetteer_is_no_worse_than_the_published_baseline(data_root, part, published):
    """Tjong Kim Sang and De Meulder 2003, table 5."""
    train, test = (list(read(data_root / "conll2003" / name, Data()).records) for name in ("eng.train", part))
    found = baselines.gazetteer(train)(test)
    f1 = score_spans([record.entities for record in test], [said.entities for said in found]).values["f1"]
    assert published <= f1 < published + 0.05
