"""Checks of questions and their answers."""

from itertools import combinations

from headway.audit.findings import About, Finding, Tally, Watch, around, share
from headway.audit.spans import cuts_word
from headway.records import Span

OFTEN = 0.01  # the share of answers from which on a slip is a warning


def answer_places(about: About) -> Watch:
    """Answers that are empty or reach outside their text."""
    found, total = Tally(), 0
    while (row := (yield)) is not None:
        for span in row.record.answers or ():
            total += 1
            if not 0 <= span.start < span.end <= len(row.record.text):
                found.add(row, row.record.question, detail=f"{span.start}-{span.end} of {len(row.record.text)} characters")
    return found.finding(
        "answer_places",
        "error",
        f"{share(found.count, total)} answers are empty or reach outside their text",
        why="no prediction can match them",
        remedy="positions count characters from 0 and without the end",
    )


def answers_in_words(about: About) -> Watch:
    """Answers that begin or end inside a word."""
    found, total = Tally(), 0
    while (row := (yield)) is not None:
        for span in row.record.answers or ():
            total += 1
            if cuts_word(row.record.text, span):
                found.add(row, around(row.record.text, span.start, span.end), detail=f'"{row.record.text[span.start : span.end]}"')
    return found.finding(
        "answers_in_words",
        "warning" if found.count > OFTEN * total else "note",
        f"{share(found.count, total)} answers begin or end inside a word",
        why="where many do, answer_start is shifted against the text",
        remedy="see whether the text was changed after the positions were counted",
    )


def answers_apart(about: About) -> Watch:
    """Questions whose gold answers have no character and no word in common."""
    found, several = Tally(), 0
    while (row := (yield)) is not None:
        answers = row.record.answers or ()
        several += len(answers) > 1
        if any(_apart(row.record.text, one, other) for one, other in combinations(answers, 2)):
            given = " | ".join(dict.fromkeys(row.record.text[span.start : span.end] for span in answers))
            found.add(row, row.record.question, detail=given)
    return found.finding(
        "answers_apart",
        "warning" if found.count > OFTEN * several else "note",
        f"{share(found.count, several)} questions with several answers have two that share no word",
        why="the better half of any prediction is then right by one answer and wrong by the other; one of them may be wrong",
        remedy="look at these questions; several right answers in one text are allowed",
    )


def _apart(text: str, one: Span, other: Span) -> bool:
    words = [set(text[span.start : span.end].casefold().split()) for span in (one, other)]
    return (one.end <= other.start or other.end <= one.start) and words[0].isdisjoint(words[1])


def unanswerable(about: About) -> Watch:
    """How many questions their text does not answer, by part."""
    counts = {part: [0, 0] for part in about.parts}
    while (row := (yield)) is not None:
        if row.record.answers is not None:
            counts[row.part][0] += 1
            counts[row.part][1] += not row.record.answers
    filled = {part: pair for part, pair in counts.items() if pair[0]}
    without = sum(none for _, none in filled.values())
    if not filled:
        return []
    shares = {part: none / questions for part, (questions, none) in filled.items()}
    apart = without and max(shares.values()) - min(shares.values()) > 0.2
    return [
        Finding(
            "unanswerable",
            "warning" if apart else "note",
            without,
            f"questions without an answer: {', '.join(f'{part} {share(none, questions)}' for part, (questions, none) in filled.items())}",
            why="the share decides how readily a model says that there is no answer; it should be that of the questions to come",
            remedy="make the parts alike" if apart else "nothing has to be done",
            table=(("part", "questions", "without an answer"), *((part, f"{n:,}", f"{none:,}") for part, (n, none) in filled.items())),
        )
    ]
