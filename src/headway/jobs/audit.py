"""headway audit: labelled files -> what is wrong with them, on the screen, as JSON and as a page; and which labels are probably wrong."""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headway.audit import CHECKS, LOOKED_AT, QUICK, SEVERITIES, UNREADABLE, Finding, Measured, allowed_checks, audit, liberties, unreadable
from headway.config import Config, Data
from headway.errors import DataError, OutputError
from headway.events import Event, Finished, Said, Worked, Working
from headway.folders import write_text
from headway.jobs.corpus import Corpus, Files, audit_command
from headway.jobs.review import Note, Notes, check_place, write_review
from headway.jobs.unnamed import audit_unnamed
from headway.pages import page
from headway.readers import Reading, meaning, read, say_left_out
from headway.records import Record

JSON = "audit.json"
PAGE = "audit.html"
SHOWN_EXAMPLES = 2  # of a finding on the screen
SHOWN_FAULTS = 20  # on the screen, of what cannot be read
SHOWN_WARNINGS = 3  # at the start of a training
SHOWN_SUSPECTS = 20  # on the screen
PAGE_SUSPECTS = 1000
PAGE_EXAMPLES = 1000  # of a finding on the page; audit.json has them all
CELLS = 100  # of an example on the screen


@dataclass(frozen=True)
class Wanted:
    """What an audit is asked for beside its findings."""

    base_model: str | None = None  # the encoder that would read the texts; None: nothing is said of tokens
    label_errors: bool = False
    fix: Path | None = None  # where a copy of the training file goes, with a column for the labels to review
    out: Path | None = None  # where the report goes

    def options(self) -> list[str]:
        """As the command line has them."""
        given = {"--model": self.base_model, "--fix": self.fix, "--out": self.out}
        flags = ["--label-errors"] if self.label_errors else []
        return flags + [str(word) for name, value in given.items() if value is not None for word in (name, value)]


class Suspicion(NamedTuple):
    """A label that is probably wrong, as it is shown."""

    where: str
    given: str
    suggested: str
    surely: float
    before: str
    marked: str  # the words that it is about; "" where it is the whole text
    after: str


class Report(NamedTuple):
    """All that is told of an audit."""

    files: Files
    read_as: Reading  # the training file
    counts: Mapping[str, int]  # records by part
    left_out: Mapping[str, Counter[str]]  # what stands in the file of a part and in no record, by kind
    findings: Sequence[Finding]
    suspects: Sequence[Suspicion] | None  # None where nobody asked
    command: str  # that was given


@dataclass(frozen=True)
class OnDisk:
    """The records of a file that can be read, anew for every pass: memory does not grow with it."""

    path: Path
    data: Data
    passed: list["Passed"] = field(default_factory=list)  # what each pass to the end has met

    def __iter__(self) -> Iterator[Record]:
        count, faults = 0, []
        reading = read(self.path, self.data, faults=faults)
        for record in reading.records:
            count += 1
            yield record
        self.passed.append(Passed(count, faults, reading))


class Passed(NamedTuple):
    records: int
    faults: list[str]  # what is wrong with single records that cannot be read
    reading: Reading  # of which all is counted now


def run_audit(files: Files, *, config: Config, wanted: Wanted) -> Iterator[Event]:
    """Look at the files, tell what was found, and write the report where one is wanted.

    Raises:
        DataError: at the end, where an error was found that is not allowed; or a file cannot be read.
    """
    allowed = allowed_checks(config.audit.allow)
    if wanted.out is not None and (wanted.out / JSON).exists():
        raise OutputError(f"{wanted.out / JSON}: exists; choose another --out")
    readings = yield from _open(files, config)
    train = readings["train"]
    if wanted.fix is not None:
        check_place(wanted.fix, format=train.format)
    yield Said(files.train.name, f"read as {train.data.task} · {train.guessed}")
    parts = {name: OnDisk(path, readings[name].data) for name, path in files}
    measure = None
    if wanted.base_model is not None:
        try:
            measure = _measure(parts, train.data.task, config, wanted.base_model)
        except DataError as error:  # such as one class only, which the checks tell with what to do
            yield Said("tokens", f"not looked at: {error}", warning=True)
    findings = []
    for event in audit(parts, task=train.data.task, measure=measure):
        if isinstance(event, Finding):
            findings.append(event if event.check not in allowed or event.severity != "error" else replace(event, severity="warning"))
        else:
            yield Worked(event.check.replace("_", " ") or "reading", event.rows)
    counts = {name: part.passed[0].records for name, part in parts.items()}
    for part in parts.values():
        findings += yield from audit_unnamed(part.path, part.data, part.passed[0].reading.unread, part)
    findings = [*_of_reading(parts), *sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))]
    left_out = {name: +part.passed[0].reading.left_out for name, part in parts.items()}
    yield from _say_left_out(files, left_out)
    yield from _say(findings, counts)
    suspects: list[Suspicion] | None = None
    if wanted.label_errors or wanted.fix:
        suspects = yield from _suspects(files, train, config, wanted)
        yield from _say_suspects(suspects)
    if wanted.out is not None:
        command = audit_command(files, config, wanted.options())
        yield from _write(wanted.out, Report(files, train, counts, left_out, findings, suspects, command))
    stop_on_errors(findings)


def quick_audit(corpus: Corpus, files: Files, config: Config) -> Generator[Event, None, list[Finding]]:
    """What training says of its records before it starts; gives what was found.

    Raises:
        DataError: an error was found that is not allowed.
    """
    allowed = allowed_checks(config.audit.allow)
    parts = {name: records for name, records in (("train", corpus.train), ("dev", corpus.dev), ("test", corpus.test)) if records}
    chosen = [name for name in QUICK if name not in allowed]
    found = []
    for event in audit(parts, task=corpus.task, checks=chosen):
        if isinstance(event, Finding):
            found.append(event)
        else:
            yield Worked("audit", event.rows)
    if corpus.unread is not None:
        found += yield from audit_unnamed(files.train, corpus.data, corpus.unread, chain(corpus.train, corpus.dev))
    stop_on_errors(found)
    warnings = [finding for finding in found if finding.severity == "warning"]
    if not warnings:
        yield Said("audit", f"nothing to warn of in {len(chosen)} checks")
        return found
    for finding in warnings[:SHOWN_WARNINGS]:
        yield Said("audit" if finding is warnings[0] else "", finding.says, warning=True)
    more = f"{len(warnings) - SHOWN_WARNINGS} more warnings, " if len(warnings) > SHOWN_WARNINGS else ""
    yield Said("", f"{more}examples and what to do: {audit_command(files, config)}")
    return found


def stop_on_errors(findings: Sequence[Finding]) -> None:
    """Raise DataError where there is one."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        first, more = errors[0], f" (and {len(errors) - 1} more error{'s' * (len(errors) > 2)})" if len(errors) > 1 else ""
        place = f"{first.examples[0].where}: " if first.examples else ""
        names = ",".join(dict.fromkeys(finding.check for finding in errors))
        allow = f". If it is meant: --set audit.allow={names}" if first.check != UNREADABLE else ""
        raise DataError(f"{place}{first.says}{more}; {first.remedy}{allow}")


def _of_reading(parts: Mapping[str, OnDisk]) -> list[Finding]:
    """What the readers have met, the gravest first."""
    counts, places = Counter(), {}
    for part in parts.values():
        taken = part.passed[0].reading.liberties
        counts += taken.counts
        for kind, of_kind in taken.places.items():
            places[kind] = places.get(kind, []) + of_kind
    return unreadable([fault for part in parts.values() for fault in part.passed[0].faults]) + liberties(counts, places)


# --- what is looked at


def _open(files: Files, config: Config) -> Working[dict[str, Reading]]:
    """Every file as training would read it; what has no label is counted, not refused."""
    yield Worked(f"reading {files.train.name}", 0)
    readings = {"train": read(files.train, config.data, faults=[])}
    others = meaning(readings["train"].data, given=config.data)
    for name, path in files:
        if name != "train":
            yield Worked(f"reading {path.name}", 0)
            readings[name] = read(path, others, faults=[])
    return readings


def _measure(parts: dict[str, OnDisk], task_name: str, config: Config, base_model: str):
    """How the encoder would read records: a function for the checks of `headway.audit.windows`."""
    from headway import pretrained  # here: an audit without an encoder needs no torch
    from headway.tasks import TASKS
    from headway.tokens import encode, unknown_id

    source = pretrained.find(base_model, revision=config.model.revision)
    tokenizer, network = pretrained.load_tokenizer(source), pretrained.load_config(source)
    unknown = unknown_id(tokenizer)
    sample = [record for records in parts.values() for record in islice(records, LOOKED_AT)]
    task = TASKS[task_name].learn(sample, config, limit=pretrained.longest_window(tokenizer, network))

    def measure(records: Sequence[Record]) -> list[Measured]:
        texts = encode(tokenizer, [f"{record.text} {record.text_pair or ''}" for record in records])
        windows: list[list] = [[] for _ in records]
        for window in task.windows(records, tokenizer):
            windows[window.record].append(replace(window, record=0))
        return [
            Measured(len(text.ids), int(np.count_nonzero(text.ids == unknown)), len(own), task.unreachable([record], own))
            for record, text, own in zip(records, texts, windows, strict=True)
        ]

    return measure


# --- label errors


def _suspects(files: Files, reading: Reading, config: Config, wanted: Wanted) -> Iterator[Event]:
    """Gives the labels of the training file that are probably wrong; writes the copy to review where one is wanted."""
    from headway import label_errors, model, pretrained  # here: only this part of an audit needs torch
    from headway.tasks import TASKS

    path = files.train
    yield Worked(f"reading {path.name}", 0)
    records = list(model.labelled(OnDisk(path, reading.data)))
    source = pretrained.find(wanted.base_model or config.model.base_model, revision=config.model.revision)
    limit = pretrained.longest_window(pretrained.load_tokenizer(source), pretrained.load_config(source))
    task = TASKS[reading.data.task].learn(records, config, limit=limit)
    label_errors.check_task(getattr(task, "kind", task.name))
    started = model.start(task, source, config, reading.data)
    started.cast(config.train.precision)
    found = []
    for event in label_errors.find_label_errors(started, records, seed=config.train.seed):
        if isinstance(event, label_errors.Looked):
            yield Worked(event.what, event.done, event.total, "records" if event.what == "reading features" else "folds")
        else:
            found.append(event)
    if wanted.fix is not None:
        yield Worked(f"writing {wanted.fix.name}", 0)
        write_review(path, reading.data, _notes(found, records), wanted.fix, format=reading.format)
        yield Said("to review", f"{wanted.fix} · a copy of {path.name} in which {len(found):,} labels are suspected")
    return [_shown(suspect, records[suspect.record]) for suspect in found]


def _shown(suspect, record: Record) -> Suspicion:
    text, span = record.text, suspect.span
    if span is None:
        return Suspicion(record.where, suspect.given, suspect.suggested, suspect.surely, text[:400], "", "")
    before, after = text[max(span.start - 60, 0) : span.start], text[span.end : span.end + 60]
    return Suspicion(record.where, suspect.given, suspect.suggested, suspect.surely, before, text[span.start : span.end], after)


def _notes(found: Sequence, records: Sequence[Record]) -> Notes:
    notes: dict[str, list[Note]] = {}
    for suspect in found:
        record, span = records[suspect.record], suspect.span
        words = range(record.text.count(" ", 0, span.start), record.text.count(" ", 0, span.end) + 1) if span else range(0)
        notes.setdefault(record.where, []).append(Note(f"{suspect.suggested}? {suspect.surely:.2f}", span, words))
    return notes


# --- what is said and written


def _say_left_out(files: Files, left_out: Mapping[str, Counter[str]]) -> Iterator[Said]:
    for name, path in files:
        if said := say_left_out(left_out[name]):
            yield Said(path.name, f"not in the records: {said}", warning=True)


def _say(findings: Sequence[Finding], counts: Mapping[str, int]) -> Iterator[Said]:
    of_severity = Counter(finding.severity for finding in findings)
    rows = " · ".join(f"{count:,} rows of {part}" for part, count in counts.items())
    yield Said("audit", f"{_several(of_severity)} in {rows}")
    for finding in findings:
        kind = "" if finding.severity == "note" else f"{finding.severity} · "
        yield Said(finding.check.replace("_", " "), f"{kind}{finding.says}", warning=finding.severity != "note")
        if finding.severity != "note":
            most, width = (SHOWN_FAULTS, None) if finding.check == UNREADABLE else (SHOWN_EXAMPLES, CELLS)
            for example in finding.examples[:most]:
                shown = " ".join(example.text.split())[:width]
                yield Said("", f"{example.where}  {shown}" + (f"  [{' '.join(example.detail.split())[:CELLS]}]" if example.detail else ""))
            if finding.check == UNREADABLE and finding.count > most:
                yield Said("", f"and {finding.count - most:,} more; --out DIR writes all of them into {JSON}")
            yield Said("", f"-> {finding.remedy}")


def _several(counts: Counter[str]) -> str:
    return " · ".join(f"{counts[name]} {name}{'' if counts[name] == 1 else 's'}" for name in ("error", "warning", "note"))


def _say_suspects(suspects: Sequence[Suspicion]) -> Iterator[Said]:
    yield Said("label errors", f"{len(suspects):,} labels are probably wrong, the surest first", warning=bool(suspects))
    for one in suspects[:SHOWN_SUSPECTS]:
        text = " ".join((one.marked or one.before).split())[:CELLS]
        yield Said("", f"{one.surely:.2f}  {one.given} -> {one.suggested}  {one.where}  {text}")


def _write(out: Path, report: Report) -> Iterator[Event]:
    files, read_as, counts, left_out, findings, suspects, command = report
    told = {
        "headway": version("headway"),
        "files": {name: str(path) for name, path in files},
        "task": read_as.data.task,
        "read_as": read_as.guessed,
        "records": dict(counts),
        "left_out": {name: dict(kinds) for name, kinds in left_out.items()},
        "findings": [asdict(finding) for finding in findings],
        "label_errors": None if suspects is None else [suspect._asdict() for suspect in suspects],
        "command": command,
    }
    of_severity = Counter(finding.severity for finding in findings)
    values = {
        "name": files.train.name,
        "verdict": _verdict(findings),
        "read_as": f"Read as {read_as.data.task} · {read_as.guessed}",
        "records": counts,
        "left_out": [(path.name, said) for name, path in files if (said := say_left_out(left_out[name]))],
        "counts": {name: of_severity[name] for name in ("error", "warning", "note")},
        "findings": [replace(finding, examples=finding.examples[:PAGE_EXAMPLES]) for finding in findings],
        "suspects": suspects and _shown_suspects(suspects),
        "command": command,
        "quiet": [name for name in CHECKS if name not in {finding.check for finding in findings}],
        "version": version("headway"),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / JSON, json.dumps(told, indent=1, ensure_ascii=False))
    write_text(out / PAGE, page("audit.html", values))
    yield Finished(out)


def _shown_suspects(suspects: Sequence[Suspicion]) -> dict:
    return {
        "count": len(suspects),
        "says": f"{len(suspects):,} labels are probably wrong; of these the {min(len(suspects), PAGE_SUSPECTS):,} surest, in order.",
        "how": "A linear model on the frozen encoder's features predicted each text without having seen it; confident learning "
        "(Northcutt et al. 2021) tells which of the labels that it disagrees with are errors. Some of these labels are right.",
        "rows": suspects[:PAGE_SUSPECTS],
    }


def _verdict(findings: Sequence[Finding]) -> str:
    grave = [finding for finding in findings if finding.severity != "note"]
    if not grave:
        return "Nothing to warn of."
    things = f"{len(grave)} things are" if len(grave) > 1 else "One thing is"
    worst = "Training would stop here" if grave[0].severity == "error" else f"{things} worth a look"
    return f"{worst}; first of all: {grave[0].says}."
