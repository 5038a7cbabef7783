"""Real data sets, as their users meet them: every count is the one that their README states."""

from pathlib import Path

import pytest

from headway.config import Data
from headway.readers import meaning, read

DATA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the data sets of shared/data are not here")

CLASSIFICATION = [  # file, settings, records, classes
    ("sst2/train.tsv", {}, 6920, 2),
    ("sst2/test.tsv", {}, 1821, 2),
    ("agnews/train_5k.csv", {}, 5000, 4),
    ("agnews/test.csv", {"text": "2+3", "label": "1"}, 7600, 4),
    ("trec/train_5500.label", {}, 5452, 50),
    ("trec/TREC_10.label", {"label": "coarse"}, 500, 6),
    ("sms_spam/SMSSpamCollection", {}, 5574, 2),
    ("sms_spam/spam.csv", {"encoding": "cp1252"}, 5572, 2),
    ("banking77/train.csv", {}, 10003, 77),
    ("banking77/test.csv", {}, 3080, 77),
    ("cola/train.tsv", {}, 7250, 2),
    ("cola/dev.tsv", {}, 1043, 2),
    ("imdb/train.csv", {}, 2000, 2),
    ("imdb/test_reviewed.csv", {}, 1310, 2),
]
PAIRS = [
    ("mrpc/train.tsv", 2576),
    ("mrpc/dev.tsv", 1500),
    ("mrpc/test.tsv", 1725),
    ("stsb/stsb-en-train.csv", 5749),
    ("stsb/stsb-de-dev.csv", 1500),
]
ENTITIES = [  # file, settings, sentences, entities
    ("conll2003/eng.testa", {}, 3250, 5942),
    ("conll2003/eng.testb", {}, 3453, 5648),
    ("conllpp/conllpp_test.txt", {}, 3453, 5702),
    ("wnut17/wnut17train.conll", {}, 3394, 1975),
    ("wnut17/emerging.dev.conll", {}, 1009, 836),
    ("wnut17/emerging.test.annotated", {}, 1287, 1079),
    ("masakhaner_swa/dev.txt", {}, 942, 2018),
    ("masakhaner_swa/test.txt", {"scheme": "IOB1"}, 1883, 4330),
    ("masakhaner_amh/train.txt", {}, 1750, 2247),
    ("masakhaner_amh/test.txt", {}, 500, 558),
]
QUESTIONS = [  # file, questions, unanswerable
    ("squad_v1.1/train.json", 7595, 0),
    ("squad_v1.1/dev.json", 2975, 0),
    ("squad_v2/train.json", 5795, 2777),
    ("squad_v2/dev-v2.0-cs224n.json", 6078, 3168),
    ("xquad/xquad.de.json", 1190, 0),
]


@pytest.mark.parametrize(("name", "settings", "count", "classes"), CLASSIFICATION)
def test_classes_are_read_in_full(name, settings, count, classes):
    labels = [record.label for record in read(DATA / name, Data(**settings)).records]
    assert (len(labels), len(set(labels))) == (count, classes)


@pytest.mark.parametrize(("name", "count"), PAIRS)
def test_pairs_are_read_in_full(name, count):
    records = list(read(DATA / name).records)
    assert len(records) == count
    assert all(record.text and record.text_pair and record.label is not None for record in records)


def test_a_score_between_two_texts_is_a_number():
    labels = [record.label for record in read(DATA / "stsb/stsb-en-test.csv").records]
    assert (len(labels), min(labels), max(labels)) == (1379, 0.0, 5.0)


def test_what_a_file_without_header_means_is_understood_of_one_with():
    train = read(DATA / "mrpc/train.tsv").data
    assert [record.label for record in read(DATA / "mrpc/test.tsv", meaning(train)).records].count("1") == 1147


def test_label_numbers_between_commas_are_several_labels():
    records = list(read(DATA / "go_emotions/dev.tsv").records)
    assert (len(records), len({label for record in records for label in record.label})) == (5426, 28)


@pytest.mark.parametrize(("name", "settings", "sentences", "count"), ENTITIES)
def test_entities_are_read_in_full(name, settings, sentences, count):
    records = list(read(DATA / name, Data(**settings)).records)
    assert (len(records), sum(len(record.entities) for record in records)) == (sentences, count)


def test_documents_are_kept_together():
    assert len({record.group for record in read(DATA / "conll2003/eng.testa").records}) == 216


@pytest.mark.parametrize(("name", "questions", "unanswerable"), QUESTIONS)
def test_questions_are_read_in_full(name, questions, unanswerable):
    records = list(read(DATA / name).records)
    assert (len(records), sum(record.answers == () for record in records)) == (questions, unanswerable)
