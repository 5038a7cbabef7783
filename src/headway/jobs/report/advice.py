"""What to do next, in words, from what was found; most pressing first."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from headway.events import Estimate
from headway.jobs.failures import BELOW
from headway.jobs.report.evidence import Evidence, number
from headway.jobs.report.examples import short
from headway.jobs.report.verdicts import ANSWER, BORDERS, NO_ANSWER, NOTHING, OTHER_ANSWER, Verdict
from headway.jobs.run_folder import SETTINGS
from headway.jobs.scored import kind_of
from headway.wording import metric_text, score_text, sentence

WIDE = 0.06  # of an interval, from end to end: more says little
FEWEST_CONFUSED = 5  # errors of one kind that are worth a word
PART_OF_ERRORS = 0.15  # and their share of all errors
FAR_BELOW = 0.1  # the mean of all classes
UNCALIBRATED = 0.05
SPARED = 0.97  # precision worth abstaining for
FEWEST_SPARED = 0.2  # of all answers
MOST = 6
ALL_ALIKE = "all alike"  # the failure of saying the same of everything, which explains all confusions
OF_ANSWERS = {  # what is said of the commonest error, and what to do
    (ANSWER, OTHER_ANSWER): ("another answer is given than the labelled one.", "Read some: is it too long, too short, or elsewhere?"),
    (ANSWER, NO_ANSWER): ("none is given where there is an answer.", "Label more questions that the text answers."),
    (NO_ANSWER, ANSWER): ("an answer is given where there is none.", "Label more questions that the text does not answer."),
}


class Advice(NamedTuple):
    found: str  # a sentence of what is so; a model card has only this
    todo: str = ""  # and what can be done about it
    command: str = ""


Advise = Callable[[Evidence, Sequence[Verdict]], Iterator[Advice]]


def advise(evidence: Evidence, verdicts: Sequence[Verdict]) -> list[Advice]:
    """At most six things, each from one finding."""
    return list(chain.from_iterable(one(evidence, verdicts) for one in ADVISERS))[:MOST]


def _nothing_scored(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    if evidence.part is None:
        todo = "Hold something out, or score it on labelled text:"
        yield Advice("Nothing says how good this model is.", todo, f"headway evaluate {shlex.quote(str(evidence.folder))} FILE")


def _failures(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    for topic, text in evidence.scores.get("failures", {}).items():
        yield Advice(f"{sentence(topic)}: {text}.")


def _not_worth_it(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    if evidence.part is None or BELOW in evidence.scores.get("failures", {}):
        return
    reached = {name: number(values[evidence.main]) for name, values in evidence.baselines().items() if evidence.main in values}
    value = _number(evidence, evidence.main)
    if reached and value is not None and max(reached.values()) >= value:
        best = max(reached, key=reached.get)
        yield Advice(
            f"“{best}” reaches {score_text(reached[best])} {metric_text(evidence.main)}, this model {score_text(value)}.",
            "Use that, or give the network more to learn from: more labels, more epochs, a larger base model.",
        )


def _audit(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    grave = [finding for finding in evidence.data.get("audit", []) if finding["severity"] != "note"]
    if grave:
        more = ("", " There is one more such finding.", f" There are {len(grave) - 1} more such findings.")[min(len(grave) - 1, 2)]
        yield Advice(f"In the data, {grave[0]['says']}.", f"{sentence(grave[0]['remedy'])}.{more}", audit_command(evidence))


def _suspects(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    count, errors = sum(verdict.suspect for verdict in verdicts), sum(not verdict.right for verdict in verdicts)
    if count:
        yield Advice(
            f"Of {errors:,} errors on {evidence.part}, {count:,} may be the label’s: the model is as sure there as where it is right.",
            "They are marked among the examples. Most may be the model’s all the same; the first of them are worth reading.",
        )


def _confused(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    pairs = Counter(pair for verdict in verdicts for pair in verdict.confused if pair[0] != pair[1])
    if not pairs or ALL_ALIKE in evidence.scores.get("failures", {}):
        return
    [(pair, count)] = pairs.most_common(1)
    if count < max(FEWEST_CONFUSED, PART_OF_ERRORS * pairs.total()):
        return
    gold, said = map(short, pair)
    of_all = f"{count:,} of {pairs.total():,} errors are of one kind:"
    if pair in OF_ANSWERS and kind_of(evidence.examples[0]) == "answers":
        found, todo = OF_ANSWERS[pair]
        yield Advice(f"{of_all} {found}", todo)
    elif gold == NOTHING:
        yield Advice(f"{of_all} “{said}” where nothing is labelled.", "Are some of these forgotten in the labels?")
    elif said == NOTHING:
        yield Advice(f"{of_all} “{gold}” is not found.", "Label more texts that have it.")
    elif said == BORDERS:
        yield Advice(f"{of_all} “{gold}” begins or ends elsewhere.", "Is it the same in all labels where it does?")
    else:
        yield Advice(f"{of_all} “{gold}” is called “{said}”.", "Does what tells them apart stand in the text?")


def _weakest(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    rows = {name: row for name, row in evidence.of_part("by_label").items() if row.get("support", {}).get("value", 0) >= FEWEST_CONFUSED}
    if len(rows) < 3:
        return
    of_each = {name: row["f1"]["value"] for name, row in rows.items()}
    weakest, mean = min(of_each, key=of_each.get), sum(of_each.values()) / len(of_each)
    if of_each[weakest] > mean - FAR_BELOW:
        return
    seen = evidence.data.get("balance", {}).get("train", {}).get(weakest)
    shown = f" after {seen:,} in training" if seen is not None else ""
    yield Advice(
        f"“{short(weakest)}” is weakest: its F1 is {score_text(of_each[weakest])}{shown}, where the mean is {score_text(mean)}.",
        "What more labels would bring, and of which class:",
        f"headway forecast {_file(evidence, 'train')}",
    )


def _still_learning(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    rows = evidence.evaluations
    if len(rows) > 1 and rows[-1]["best"] and rows[-1]["value"] > max(row["value"] for row in rows[:-1]):  # best, and not level with others
        epochs = evidence.settings.get("train", {}).get("epochs", 1)
        command = again(evidence, f"--set train.epochs={2 * epochs:g}")
        yield Advice("Dev was best at the very end of training.", "It may not have been the end:", command)


def _uncertain(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    value = evidence.score(evidence.main) if evidence.part else None
    if not isinstance(value, Estimate):
        return
    count, wide = len(evidence.examples), value.high - value.low
    either_way, enough = (f"{100 * width / 2:.0f}" for width in (wide, WIDE))
    if wide > WIDE and either_way != enough:
        known = f"{sentence(metric_text(evidence.main))} is known to {either_way} points either way, from {count:,} examples."
        yield Advice(known, f"About {round(count * (wide / WIDE) ** 2, -2):,.0f} would tell it to {enough}.")


def _no_test(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    if evidence.part == "dev":
        yield Advice(
            "Dev chose the best model and where its decisions lie, so its scores are a little too good.",
            "Keep a test set that nothing is chosen by:",
            again(evidence, "--test FILE"),
        )


def _uncalibrated(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    off = _number(evidence, "ece") if evidence.part else None
    if off is not None and off > UNCALIBRATED:
        yield Advice(
            f"How sure it says it is is off by {100 * off:.0f} points in the mean.", "Do not read its confidence as a probability."
        )


def _abstain(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    curve = evidence.of_part("coverage").get("curve")
    if not curve or evidence.settings.get("decide", {}).get("precision") is not None or curve["precision"][-1] >= SPARED:
        return
    shares = [share for share, right in zip(curve["coverage"], curve["precision"], strict=True) if right >= SPARED]
    if max(shares, default=0) > FEWEST_SPARED:
        command = again(evidence, f"--set decide.precision={SPARED:g}")
        found = f"Of the surest {max(shares):.0%} of its answers, {SPARED:.0%} are right."
        yield Advice(found, "To have it answer only these and leave the rest to you:", command)


def _number(evidence: Evidence, metric: str) -> float | None:
    found = evidence.score(metric)
    return found.value if isinstance(found, Estimate) else found


def _file(evidence: Evidence, name: str) -> str:
    return shlex.quote(evidence.data.get("files", {}).get(name, {}).get("path", "DATA"))


def again(evidence: Evidence, options: str = "") -> str:
    """The command that repeats the run, but for what `options` say."""
    return f"headway train --config {shlex.quote(str(evidence.folder / SETTINGS))} {options}".strip()


def audit_command(evidence: Evidence) -> str:
    files = [name for name in evidence.data.get("files", {}) if name in ("dev", "test")]
    return " ".join(["headway audit", _file(evidence, "train"), *(f"--{name} {_file(evidence, name)}" for name in files)])


ADVISERS: tuple[Advise, ...] = (
    _nothing_scored,
    _failures,
    _not_worth_it,
    _audit,
    _confused,
    _weakest,
    _suspects,
    _still_learning,
    _uncertain,
    _no_test,
    _uncalibrated,
    _abstain,
)
