"""What to do next, in words, from what was found; most pressing first."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from headway.events import Estimate
from headway.jobs.report.evidence import Evidence
from headway.jobs.report.verdicts import NOTHING, Verdict
from headway.jobs.run_folder import SETTINGS
from headway.wording import metric_text, score_text

WIDE = 0.06  # of an interval, from end to end: more says little
FEWEST_CONFUSED = 5  # errors of one kind that are worth a word
PART_OF_ERRORS = 0.15  # and their share of all errors
FAR_BELOW = 0.1  # the mean of all classes
UNCALIBRATED = 0.05
SPARED = 0.97  # precision worth abstaining for
MOST = 6


class Advice(NamedTuple):
    text: str
    command: str = ""


Advise = Callable[[Evidence, Sequence[Verdict]], Iterator[Advice]]


def advise(evidence: Evidence, verdicts: Sequence[Verdict]) -> list[Advice]:
    """At most six things, each from one finding."""
    return list(chain.from_iterable(one(evidence, verdicts) for one in ADVISERS))[:MOST]


def _nothing_scored(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    if evidence.part is None:
        train = _file(evidence, "train")
        yield Advice("Nothing says how good this model is: hold something out, or score it on labelled text.", f"headway train {train}")


def _failures(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    for topic, text in evidence.scores.get("failures", {}).items():
        yield Advice(f"{topic.capitalize()}: {text}.")


def _not_worth_it(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    reached = {name: values[evidence.main] for name, values in evidence.of_part("baselines").items() if evidence.main in values}
    value = _main(evidence)
    if reached and value is not None and max(reached.values()) >= value and "below chance" not in evidence.scores.get("failures", {}):
        best = max(reached, key=reached.get)
        metric = metric_text(evidence.main)
        yield Advice(
            f"{best} reaches {score_text(reached[best])} {metric}, this model {score_text(value)}: "
            "use that, or give the network more to learn from (more labels, more epochs, a larger base model)."
        )


def _audit(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    grave = [finding for finding in evidence.data.get("audit", []) if finding["severity"] != "note"]
    if grave:
        more = f" And {len(grave) - 1} more." if len(grave) > 1 else ""
        yield Advice(f"Look at the data: {grave[0]['says']}. {_sentence(grave[0]['remedy'])}{more}", audit_command(evidence))


def _suspects(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    count, errors = sum(verdict.suspect for verdict in verdicts), sum(not verdict.right for verdict in verdicts)
    if count and evidence.parts:
        yield Advice(
            f"Of {errors:,} errors on {evidence.part}, {count:,} may be the label's: the model is as sure there as where it is right. "
            "They are marked among the examples; read the first of them before anything else."
        )


def _confused(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    pairs = Counter(pair for verdict in verdicts for pair in verdict.confused if pair[0] != pair[1])
    if not pairs or (count := pairs.most_common(1)[0][1]) < max(FEWEST_CONFUSED, PART_OF_ERRORS * pairs.total()):
        return
    gold, said = pairs.most_common(1)[0][0]
    of_all = f"{count:,} of {pairs.total():,} errors"
    if gold == NOTHING:
        yield Advice(f"{of_all} are of one kind: “{said}” where nothing is labelled. Are some of these forgotten in the labels?")
    elif said == NOTHING:
        yield Advice(f"{of_all} are of one kind: “{gold}” is not found. Label more texts that have it.")
    else:
        yield Advice(f"{of_all} are of one kind: “{gold}” is called “{said}”. Does what tells them apart stand in the text?")


def _weakest(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    rows = {name: row for name, row in evidence.of_part("by_label").items() if row.get("support", {}).get("value", 0) >= FEWEST_CONFUSED}
    if len(rows) < 3:
        return
    of_each = {name: row["f1"]["value"] for name, row in rows.items()}
    weakest, mean = min(of_each, key=of_each.get), sum(of_each.values()) / len(of_each)
    if of_each[weakest] > mean - FAR_BELOW:
        return
    seen = evidence.data.get("balance", {}).get("train", {}).get(weakest)
    of_train = f", of which training has {seen:,}" if seen is not None else ""
    yield Advice(
        f"“{weakest}” is weakest, with an F1 of {score_text(of_each[weakest])} where the mean is {score_text(mean)}{of_train}. "
        "What more labels of it would bring:",
        f"headway forecast {_file(evidence, 'train')}",
    )


def _still_learning(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    rows = evidence.evaluations
    if len(rows) > 1 and rows[-1]["best"]:
        epochs = evidence.settings.get("train", {}).get("epochs", 1)
        yield Advice(
            "Dev was best at the very end of training: it may not have ended there.", again(evidence, f"--set train.epochs={2 * epochs:g}")
        )


def _uncertain(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    value = evidence.score(evidence.main) if evidence.part else None
    if isinstance(value, Estimate) and value.high - value.low > WIDE:
        count = len(evidence.examples)
        needed = round(count * ((value.high - value.low) / WIDE) ** 2, -2)
        yield Advice(
            f"{metric_text(evidence.main).capitalize()} is known to {100 * (value.high - value.low) / 2:.0f} points either way, from "
            f"{count:,} examples. About {needed:,.0f} would tell it to 3."
        )


def _no_test(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    if evidence.part == "dev":
        yield Advice(
            "Dev chose the best model and where its decisions lie, so its scores are a little too good. Keep a test set that nothing is "
            "chosen by.",
            again(evidence, "--test FILE"),
        )


def _uncalibrated(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    found = evidence.score("ece") if evidence.part else None
    off = found.value if isinstance(found, Estimate) else found
    if off is not None and off > UNCALIBRATED:
        yield Advice(f"How sure it says it is is off by {100 * off:.0f} points in the mean: do not read its confidence as a probability.")


def _abstain(evidence: Evidence, verdicts: Sequence[Verdict]) -> Iterator[Advice]:
    curve = evidence.of_part("coverage").get("curve")
    if not curve or evidence.settings.get("decide", {}).get("precision") is not None or curve["precision"][-1] >= SPARED:
        return
    shares = [share for share, right in zip(curve["coverage"], curve["precision"], strict=True) if right >= SPARED]
    if shares and max(shares) > 0.2:
        text = (
            f"The surest {max(shares):.0%} of its answers are {SPARED:.0%} right. To have it answer only these, and leave the rest to you:"
        )
        yield Advice(text, again(evidence, f"--set decide.precision={SPARED:g}"))


def _main(evidence: Evidence) -> float | None:
    found = evidence.score(evidence.main) if evidence.part else None
    return found.value if isinstance(found, Estimate) else found


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _file(evidence: Evidence, name: str) -> str:
    return shlex.quote(evidence.data.get("files", {}).get(name, {}).get("path", "DATA"))


def again(evidence: Evidence, options: str = "") -> str:
    """The command that repeats the run, but for what `options` say."""
    return f"headway train --config {shlex.quote(str(evidence.folder / SETTINGS))} {options}".strip()


def audit_command(evidence: Evidence) -> str:
    files = [name for name in evidence.data.get("files", {}) if name != "train"]
    return " ".join(["headway audit", _file(evidence, "train"), *(f"--{name} {_file(evidence, name)}" for name in files)])


ADVISERS: tuple[Advise, ...] = (
    _nothing_scored,
    _failures,
    _not_worth_it,
    _audit,
    _suspects,
    _confused,
    _weakest,
    _still_learning,
    _uncertain,
    _no_test,
    _uncalibrated,
    _abstain,
)
