"""The examples that ship with Headway are what their README says."""

import re
from collections import Counter
from pathlib import Path

import pytest

from headway.readers import read

EXAMPLES = Path(__file__).parents[1] / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
TASKS = {"messages.csv": "classification", "entities.conll": "ner", "questions.json": "qa"}


def records(name: str):
    return list(read(EXAMPLES / name).records)


@pytest.mark.parametrize("name", TASKS)
def test_an_example_is_recognised(name):
    assert read(EXAMPLES / name).data.task == TASKS[name]


@pytest.mark.parametrize("name", TASKS)
def test_no_example_occurs_twice(name):
    seen = Counter((" ".join(record.text.casefold().split()), record.question) for record in records(name))
    assert seen.most_common(1)[0][1] == 1


def test_the_messages_are_as_many_as_the_readme_says():
    counts = Counter(record.label for record in records("messages.csv"))
    said = dict(re.findall(r"\| `([a-z_]+)`[^|]*\| (\d+) \|", README))
    assert said == {label: str(count) for label, count in counts.items()}


def test_the_entities_are_as_many_as_the_readme_says():
    entities = Counter(span.label for record in records("entities.conll") for span in record.entities)
    assert f"{entities.total()} entities of {len(entities)} types" in README


def test_the_questions_are_as_many_as_the_readme_says():
    questions = records("questions.json")
    silent = sum(not record.answers for record in questions)
    paragraphs = len({record.text for record in questions})
    assert f"{len(questions)} questions on {paragraphs} paragraphs, {silent} of them without an answer" in README
