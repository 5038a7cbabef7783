"""What `headway audit` finds: known defects of public data and planted ones; and how long a million rows take.

    python benchmarks/audit.py known                              # the defects listed in shared/data/README.md
    python benchmarks/audit.py planted                            # 50 of each, planted into real texts
    python benchmarks/audit.py near                               # held-out texts whose near duplicates are learned from
    python benchmarks/audit.py million                            # 1 M rows of 40 words: seconds and memory of each part

Each prints a table in Markdown. Data is looked for in ../shared/data (see corpora.py). Wrong labels: label_errors.py.
"""

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from corpora import DATA

from headway.audit import UNREADABLE, Finding, audit, unreadable
from headway.audit.duplicates import whole
from headway.audit.minhash import clusters
from headway.config import read_config
from headway.events import unwatched
from headway.jobs.unnamed import UNNAMED, audit_unnamed
from headway.readers import meaning, read
from headway.records import Record, Span
from headway.splits import hold_out

PLANTED = 50
SEED = 1


def records(file: str, *settings: str) -> list[Record]:
    return list(read(DATA / file, read_config(None, settings).data).records)


def found(parts: dict[str, list[Record]], check: str, task: str = "classification") -> int:
    """How many a check counts, warnings and notes alike."""
    return sum(event.count for event in audit(parts, task=task, checks=[check]) if isinstance(event, Finding))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


# --- known defects


class Known(NamedTuple):
    """A line of the README: so many in these files; each part is a file and its settings."""

    defect: str
    check: str
    count: int
    parts: tuple[tuple[str, ...], ...]  # train, then test
    task: str = "classification"


NER, QA = "ner", "qa"
CONLL = [f"conll2003/eng.{part}" for part in ("train", "testa", "testb")]
SWAHILI = (("masakhaner_swa/train.txt",), ("masakhaner_swa/test.txt", "data.scheme=IOB1"))
AGNEWS_TEST = ("agnews/test.csv", "data.text=2+3", "data.label=1")  # title and body in two columns; in the training file they are one
CS224N = "squad_v2/dev-v2.0-cs224n.json"
KNOWN = (
    Known("sst2: texts repeated in train", "exact_duplicates", 9, (("sst2/train.tsv",),)),
    Known("sst2: texts in train and test", "leakage", 2, (("sst2/train.tsv",), ("sst2/test.tsv",))),
    Known("agnews: texts with HTML remains", "markup_remains", 1619, (("agnews/train_5k.csv",),)),
    Known("agnews: texts with stray backslashes", "stray_backslashes", 539, (("agnews/train_5k.csv",),)),
    Known("trec: repeated questions", "exact_duplicates", 71, (("trec/train_5500.label",),)),
    Known("trec: a question with two fine labels", "conflicting_labels", 1, (("trec/train_5500.label",),)),
    Known("trec: test questions in train", "leakage", 10, (("trec/train_5500.label",), ("trec/TREC_10.label",))),
    Known("trec: fine classes absent from test", "absent_labels", 8, (("trec/train_5500.label",), ("trec/TREC_10.label",))),
    Known("sms_spam: repeated messages", "exact_duplicates", 403, (("sms_spam/SMSSpamCollection",),)),
    Known("sms_spam: rare class", "imbalance", 747, (("sms_spam/SMSSpamCollection",),)),
    Known("go_emotions: train texts with two labels", "conflicting_labels", 58, (("go_emotions/train.tsv",),)),
    Known("go_emotions: dev texts in train", "leakage", 41, (("go_emotions/train.tsv",), ("go_emotions/dev.tsv",))),
    Known("go_emotions: test texts in train", "leakage", 32, (("go_emotions/train.tsv",), ("go_emotions/test.tsv",))),
    Known("cola: sentences with both labels", "conflicting_labels", 8, (("cola/train.tsv",),)),
    Known("cola: dev sentences in train", "leakage", 11, (("cola/train.tsv",), ("cola/dev.tsv",))),
    Known("stsb: repeated training pairs", "exact_duplicates", 43, (("stsb/stsb-en-train.csv",),)),
    Known("stsb: dev pairs in train", "leakage", 6, (("stsb/stsb-en-train.csv",), ("stsb/stsb-en-dev.csv",))),
    Known("stsb: test pairs in train", "leakage", 7, (("stsb/stsb-en-train.csv",), ("stsb/stsb-en-test.csv",))),
    Known("agnews: a training text in test", "leakage", 1, (("agnews/train_5k.csv",), AGNEWS_TEST)),
    Known("imdb: training texts with <br />", "markup_remains", 1150, (("imdb/train.csv",),)),
    Known("imdb: a test text repeated", "exact_duplicates", 1, (("imdb/test.csv",),)),
    Known("imdb: a test text in train", "leakage", 1, (("imdb/train.csv",), ("imdb/test.csv",))),
    Known("conll2003: repeated long sentences, train", "exact_duplicates", 417, ((CONLL[0],),), NER),
    Known("conll2003: repeated long sentences, testa", "exact_duplicates", 23, ((CONLL[1],),), NER),
    Known("conll2003: repeated long sentences, testb", "exact_duplicates", 63, ((CONLL[2],),), NER),
    Known("conll2003: testa sentences in train", "leakage", 57, ((CONLL[0],), (CONLL[1],)), NER),
    Known("conll2003: testb sentences in train", "leakage", 26, ((CONLL[0],), (CONLL[2],)), NER),
    Known("wnut17: repeated long sentences", "exact_duplicates", 102, (("wnut17/wnut17train.conll",),), NER),
    Known("masakhaner_swa: test sentences in train", "leakage", 10, SWAHILI, NER),
    Known("squad_v1.1: repeated questions", "exact_duplicates", 29, (("squad_v1.1/train.json",), ("squad_v1.1/dev.json",)), QA),
    Known("squad_v2: repeated questions", "exact_duplicates", 7, (("squad_v2/train.json",), ("squad_v2/dev.json",)), QA),
    Known("squad_v2: cs224n's copy of dev, other ids", "leakage", 6078, (("squad_v2/dev.json",), (CS224N,)), QA),
    Known("squad_v2: cs224n, plausible answers are none", "unanswerable", 3168, ((CS224N,),), QA),
)  # fmt: skip


def known(arguments: argparse.Namespace) -> str:
    rows = [_known(line) for line in KNOWN if arguments.only in line.defect]
    rows += [_known_row(defect, *look()) for defect, look in LOOKED_AT_APART.items() if arguments.only in defect]
    return table(["defect", "check", "known", "found", "missed", "more, per 1,000 rows"], rows)


def _known(line: Known) -> tuple:
    names = ("train", "test") if len(line.parts) == 2 else ("train",)
    parts = {name: records(*part) for name, part in zip(names, line.parts, strict=True)}
    return _known_row(line.defect, line.check, line.count, found(parts, line.check, line.task), sum(map(len, parts.values())))


def _garbled() -> tuple[str, int, int, int]:
    rows = [Record(row["v2"], label=row["v1"]) for row in csv.DictReader((DATA / "sms_spam/spam.csv").open(encoding="latin-1"))]
    return "mojibake", sum("å£" in record.text for record in rows), found({"train": rows}, "mojibake"), len(rows)


def _cut_off() -> tuple[str, int, int, int]:
    """Texts of spam.csv of which the end stands in columns that the header does not name."""
    path = DATA / "sms_spam/spam.csv"
    with path.open(encoding="latin-1", newline="") as file:
        rows = [row for row in csv.reader(file) if row][1:]
    reading = read(path, read_config(None, ["data.encoding=cp1252"]).data)
    told = unwatched(audit_unnamed(path, reading.data, reading.unread, reading.records))
    return UNNAMED, sum(any(row[2:]) for row in rows), sum(finding.count for finding in told), len(rows)


def _stray_tag() -> tuple[str, int, int, int]:
    """The tag that follows no other of its entity is a fault of its sentence, which training stops at."""
    faults: list[str] = []
    count = sum(1 for _ in read(DATA / SWAHILI[1][0], faults=faults).records)
    return UNREADABLE, 1, sum(finding.count for finding in unreadable(faults)), count


def _run_together() -> tuple[str, int, int, int]:
    lines = (DATA / "tweet_irony/train_text.txt").read_text(encoding="utf-8").split("\n")
    tweets = {"train": [Record(line, label="0") for line in lines if line]}
    return "outlying_lengths", 1, found(tweets, "outlying_lengths"), len(lines)


def _shared_paragraphs() -> tuple[str, int, int, int]:
    parts = {"train": records("squad_v1.1/train.json"), "test": records("xquad/xquad.en.json")}
    return "leakage", _shared(parts), found(parts, "leakage", QA), 1190


LOOKED_AT_APART = {  # check, known, found, rows
    "sms_spam: spam.csv, texts with å£": _garbled,
    "sms_spam: spam.csv, texts that are cut off": _cut_off,
    "masakhaner_swa: an I- without a B- in test": _stray_tag,
    "tweet_irony: ten tweets in one line": _run_together,
    "xquad: questions on squad paragraphs": _shared_paragraphs,
}


def _known_row(defect: str, check: str, count: int, seen: int, rows: int) -> tuple:
    return defect, check, count, seen, max(count - seen, 0), f"{1000 * max(seen - count, 0) / rows:.2f}"


def _shared(parts: dict[str, list[Record]]) -> int:
    contexts = {record.text for record in parts["train"]}
    return sum(record.text in contexts for record in parts["test"])


# --- planted defects

SENTENCE = (
    "The committee will meet again on the second Tuesday of next month to talk about the budget for the new library in the old harbour."
)


def _other(record: Record, generator: random.Random) -> Record:
    return replace(record, label="0" if record.label == "1" else "1")


TEXTS: dict[str, Callable[[Record, random.Random], Record]] = {
    "empty_texts": lambda record, _: replace(record, text=" "),
    "mojibake": lambda record, _: replace(record, text=f"{record.text} café – “déjà vu”".encode().decode("cp1252", errors="ignore")),
    "control_characters": lambda record, _: replace(record, text=record.text.replace(" ", "\x0b", 1) + "\x02"),
    "invisible_characters": lambda record, _: replace(record, text=record.text.replace(" ", " \u200b", 1)),
    "stray_tabs": lambda record, _: replace(record, text=record.text + "\t1\tanother row"),
    "stray_backslashes": lambda record, _: replace(record, text=record.text + "\\nand more"),
    "markup_remains": lambda record, _: replace(record, text=record.text + "<br /><br />"),
    "outlying_lengths": lambda record, _: replace(record, text=" ".join([SENTENCE] * 12)),
    "scripts": lambda record, _: replace(record, text="Этот фильм снят по книге, которую я читал в детстве"),
    "languages": lambda record, n: replace(record, text=f"Der Film ist nicht schlecht und die Musik wird auch gespielt {n.random()}"),
    "label_spellings": lambda record, _: replace(record, label=f"{record.label}_"),
    "unlabelled": lambda record, _: replace(record, label=None),
}


def _copy(record: Record, generator: random.Random) -> Record:
    return replace(record)


def _nearly(record: Record, generator: random.Random) -> Record:
    words = record.text.split()
    words[generator.randrange(len(words))] = "zebra"
    return replace(record, text=" ".join(words))


COPIES = {"exact_duplicates": _copy, "conflicting_labels": _other, "near_duplicates": _nearly}
SPANS: dict[str, Callable[[Record], Record]] = {
    "span_places": lambda record: _first(record, lambda span: replace(span, end=len(record.text) + 5)),
    "span_borders": lambda record: _first(record, lambda span: replace(span, start=span.start - 1)),
    "spans_in_words": lambda record: _first(record, lambda span: replace(span, end=span.end - 1)),
    "span_overlaps": lambda record: replace(record, entities=(*record.entities, replace(record.entities[0], label="OTHER"))),
    "uneven_marks": lambda record: replace(record, entities=record.entities[1:]),
}
ANSWERS: dict[str, Callable[[Record], Record]] = {
    "answer_places": lambda record: replace(record, answers=(Span(0, len(record.text) + 3),)),
    "answers_in_words": lambda record: replace(record, answers=(Span(record.text.index(" ") + 2, record.text.index(" ") + 4),)),
    "answers_apart": lambda record: replace(
        record, answers=(Span(0, record.text.index(" ")), Span(len(record.text) - 9, len(record.text)))
    ),
}


def _first(record: Record, change: Callable[[Span], Span]) -> Record:
    return replace(record, entities=(change(record.entities[0]), *record.entities[1:]))


def planted(arguments: argparse.Namespace) -> str:
    """How many more a check counts after planting; what it counted before is an upper bound of its false alarms on real data."""
    generator = random.Random(SEED)
    rows = []
    texts = records("sst2/train.tsv")
    for check, plant in TEXTS.items():
        chosen = set(generator.sample(range(len(texts)), PLANTED))
        after = [plant(record, generator) if n in chosen else record for n, record in enumerate(texts)]
        rows.append(_planted_row(check, "sst2", found({"train": texts}, check), found({"train": after}, check), len(texts)))
    long = [record for record in texts if len(record.text.split()) >= 20]
    for check, plant in COPIES.items():
        after = texts + [plant(record, generator) for record in generator.sample(long, PLANTED)]
        rows.append(_planted_row(check, "sst2", found({"train": texts}, check), found({"train": after}, check), len(texts)))
    test = records("sst2/test.tsv")
    leaked = {"train": texts, "test": test + generator.sample(texts, PLANTED)}
    rows.append(_planted_row("leakage", "sst2", found({"train": texts, "test": test}, "leakage"), found(leaked, "leakage"), len(test)))
    sentences = records("conll2003/eng.train")
    marked = Counter(record.text[span.start : span.end] for record in sentences for span in record.entities)
    frequent = {surface for surface, times in marked.items() if times >= 30}
    for check, plant in SPANS.items():
        fitting = [n for n, record in enumerate(sentences) if _starts_with(record, frequent if check == "uneven_marks" else None)]
        chosen = set(generator.sample(fitting, PLANTED))
        after = [plant(record) if n in chosen else record for n, record in enumerate(sentences)]
        counts = [found({"train": part}, check, NER) for part in (sentences, after)]
        rows.append(_planted_row(check, "conll2003", *counts, len(sentences)))
    questions = records("squad_v1.1/train.json")
    for check, plant in ANSWERS.items():
        chosen = set(generator.sample([n for n, record in enumerate(questions) if _is_plain(record)], PLANTED))
        after = [plant(record) if n in chosen else record for n, record in enumerate(questions)]
        rows.append(_planted_row(check, "squad_v1.1", *(found({"train": part}, check, QA) for part in (questions, after)), len(questions)))
    return table(["check", "planted into", "planted", "found", "counted before, per 1,000 rows"], rows)


def _planted_row(check: str, data: str, before: int, after: int, rows: int) -> tuple:
    return check, data, PLANTED, after - before, f"{1000 * before / rows:.2f}"


def _starts_with(record: Record, frequent: set[str] | None) -> bool:
    """Whether its first entity is one of these words; or, where none are given, has a word before it and four letters at least."""
    if not record.entities:
        return False
    start, end = record.entities[0].start, record.entities[0].end
    first = record.text[start:end]
    return first in frequent if frequent else start > 0 and len(first) > 3 and first.isalpha()


def _is_plain(record: Record) -> bool:
    """Whether the planted answers would be what they are meant to be: nothing wrong before, a long second word, other words at the end."""
    words = record.text.split(" ")
    if len(set(record.answers)) > 1 or words[0].casefold() in record.text[-9:].casefold():
        return False
    return words[1].isalpha() and len(words[1]) > 4


# --- near duplicates on both sides of a cut

CUTS = ("banking77/train.csv", "sms_spam/SMSSpamCollection", "go_emotions/train.tsv", "trec/train_5500.label",
        "conll2003/eng.train", "agnews/train_5k.csv", "sst2/train.tsv", "squad_v1.1/train.json")  # fmt: skip


def near(arguments: argparse.Namespace) -> str:
    """A tenth held out with `split.keep_together` as it is by default and as "near"."""
    rows = []
    for file in CUTS:
        texts = records(file)
        began = time.process_time()
        cluster = clusters(map(whole, texts))
        seconds = time.process_time() - began
        cells = [file.split("/")[0], f"{len(texts):,}", max(Counter(cluster).values()), f"{seconds:.2f}"]
        for kept in (None, cluster):
            cut = hold_out(texts, fraction=0.1, seed=SEED, clusters=kept)
            learned = {cluster[position] for position in cut.train}
            cells.append(f"{sum(cluster[position] in learned for position in cut.held)} of {len(cut.held):,}")
        rows.append(cells)
    return table(["data", "texts", "largest chain", "CPU s", "held and near one of train: equal", "near"], rows)


# --- speed and size


def million(arguments: argparse.Namespace) -> str:
    """Each part in a process of its own, for its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        _write_million(Path(folder), arguments.count)
        rows = []
        for name, checks in {
            "read, exact duplicates, leakage": "exact_duplicates,leakage,conflicting_labels",
            "read, near duplicates": "near_duplicates",
            "everything": "all",
        }.items():
            command = [sys.executable, __file__, "timed", "--folder", folder, "--checks", checks]
            seconds, cpu, gigabytes = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            rows.append((name, f"{seconds:.0f}", f"{cpu:.0f}", f"{gigabytes:.2f}"))
    return table(["1 M rows of 40 words" if arguments.count == 10**6 else f"{arguments.count:,} rows", "s", "CPU s", "peak GB"], rows)


def timed(arguments: argparse.Namespace) -> str:
    from headway.audit import CHECKS
    from headway.jobs.audit import OnDisk

    train = read(Path(arguments.folder) / "train.csv")
    parts = {name: OnDisk(Path(arguments.folder) / f"{name}.csv", meaning(train.data)) for name in ("train", "test")}
    began, checks = time.perf_counter(), list(CHECKS) if arguments.checks == "all" else arguments.checks.split(",")
    list(audit(parts, task="classification", checks=checks))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return json.dumps([time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6])


def _write_million(folder: Path, count: int) -> None:
    """Words as frequent as in a text; 1 row of 100 repeats an earlier one, and 1 of 100 repeats one but for a word."""
    generator = np.random.default_rng(SEED)
    words = np.array(["".join(chr(97 + letter) for letter in generator.integers(0, 26, generator.integers(2, 10))) for _ in range(60_000)])
    shares = 1 / np.arange(5, len(words) + 5)
    for name, rows in (("train", count), ("test", count // 50)):
        kept: list[str] = []
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for start in range(0, rows, 10_000):
                drawn = words[generator.choice(len(words), (min(10_000, rows - start), 40), p=shares / shares.sum())]
                for number, row in enumerate(drawn.tolist()):
                    text = " ".join(row)
                    if number % 100 < 2 and kept:
                        text = kept[generator.integers(len(kept))]
                        text = text.rpartition(" ")[0] + " changed" if number % 100 else text
                    elif number % 50 == 2:
                        kept.append(text)
                    writer.writerow([text, f"class {number % 5}"])


PARTS = {part.__name__: part for part in (known, planted, near, million, timed)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--only", default="", help="of known: defects whose name holds this")
    parser.add_argument("--count", type=int, default=10**6)
    parser.add_argument("--folder")
    parser.add_argument("--checks", default="all")
    given = parser.parse_args()
    print(PARTS[given.part](given))
