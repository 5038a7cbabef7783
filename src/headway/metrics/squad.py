"""Scores of answers in a text, by the rules of the published SQuAD 2.0 evaluation, as shares from 0 to 1 and not as percentages.

Source: Rajpurkar, Jia and Liang 2018, Know What You Don't Know, arXiv:1806.03822, and its evaluate-v2.0.py.
"""

import re
from collections import Counter
from collections.abc import Sequence
from string import punctuation

from headway.metrics.scores import Scores, paired

NO_PUNCTUATION = str.maketrans("", "", punctuation)  # ASCII only, as published: typographic quotes stay
ARTICLES = re.compile(r"\b(a|an|the)\b")


def score_answers(gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> Scores:
    """Exact match and F1 over all questions; HasAns_ and NoAns_ for the two kinds of question where some have no answer.

    `gold` holds every accepted answer of a question, or none where it has no answer; "" predicts that there is none.
    """
    rows = [(bool(answers), answer_em(answers, guess), answer_f1(answers, guess)) for answers, guess in paired(gold, predicted)]
    values = _means(rows, "")
    answered, unanswerable = ([row for row in rows if row[0] is kind] for kind in (True, False))
    if unanswerable:
        values |= _means(answered, "HasAns_") | _means(unanswerable, "NoAns_")
    return Scores(main="f1", values=values)


def answer_em(answers: Sequence[str], predicted: str) -> float:
    """1 where the prediction is one of the accepted answers, else 0."""
    return float(_words(predicted) in _accepted(answers))


def answer_f1(answers: Sequence[str], predicted: str) -> float:
    """The share of words in common (0 to 1) with the accepted answer that is nearest."""
    guess = _words(predicted)
    return max(_word_f1(accepted, guess) for accepted in _accepted(answers))


def normalise_answer(text: str) -> str:
    """The text in lower case, without punctuation, without articles, with single spaces: in this order, which matters."""
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    return ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()


def _accepted(answers: Sequence[str]) -> list[list[str]]:
    """The words of each answer; answers of which nothing is left do not count, and no answer at all accepts only silence."""
    return [words for answer in answers if (words := _words(answer))] or [[]]


def _word_f1(accepted: list[str], guess: list[str]) -> float:
    if not (accepted and guess):
        return float(accepted == guess)
    return 2 * (Counter(accepted) & Counter(guess)).total() / (len(accepted) + len(guess))


def _means(rows: list[tuple[bool, float, float]], prefix: str) -> dict[str, float]:
    """Mean exact match and F1 of some questions; nothing where there are none."""
    sums = {"em": sum(row[1] for row in rows), "f1": sum(row[2] for row in rows)}
    return {prefix + name: total / len(rows) for name, total in sums.items() if rows}
