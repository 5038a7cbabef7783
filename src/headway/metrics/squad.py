"""Scores of answers in a text, by the rules of the published SQuAD 2.0 evaluation, as shares from 0 to 1 and not as percentages.

Source: Rajpurkar, Jia and Liang 2018, Know What You Don't Know, arXiv:1806.03822, and its evaluate-v2.0.py.
Shape letters: N questions, B ways to weigh them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from string import punctuation

import numpy as np

from headway.metrics.scores import Key, Scores, paired, ratio, scored, unless

NO_PUNCTUATION = str.maketrans("", "", punctuation)  # ASCII only, as published: typographic quotes stay
ARTICLES = re.compile(r"\b(a|an|the)\b")


def score_answers(gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> Scores:
    """Exact match and F1 over all questions; HasAns_ and NoAns_ for the two kinds of question where some have no answer.

    `gold` holds every accepted answer of a question, or none where it has no answer; "" predicts that there is none.
    """
    rows = [(bool(answers), answer_em(answers, guess), answer_f1(answers, guess)) for answers, guess in paired(gold, predicted)]
    answered_N, em_N, f1_N = np.array(rows, dtype=np.float64).T
    kinds = {"": np.ones_like(answered_N)}
    if not answered_N.all():
        kinds |= {"HasAns_": answered_N, "NoAns_": 1 - answered_N}
    about = {(None, kind + name): np.flatnonzero(of_kind_N) for kind, of_kind_N in kinds.items() for name in ("em", "f1")}
    kinds = {kind: of_kind_N for kind, of_kind_N in kinds.items() if of_kind_N.any()}
    return scored("f1", partial(_weigh, kinds, em_N, f1_N), f1_N, about=about)


def _weigh(kinds: Mapping[str, np.ndarray], em_N: np.ndarray, f1_N: np.ndarray, weights_NB: np.ndarray) -> dict[Key, np.ndarray]:
    """Mean exact match and F1 of each kind of question."""
    weighed = {}
    for kind, of_kind_N in kinds.items():
        questions_B, em_B, f1_B = np.stack([of_kind_N, em_N * of_kind_N, f1_N * of_kind_N]) @ weights_NB
        weighed[(None, f"{kind}em")] = unless(questions_B == 0, ratio(em_B, questions_B))
        weighed[(None, f"{kind}f1")] = unless(questions_B == 0, ratio(f1_B, questions_B))
    return weighed


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
