"""The twelve data sets of our benchmarks as plain rows, read literally from ../shared/data.

Independent of Headway's readers on purpose: two readers that agree check each other. `load` checks the number of rows
of every split against the table in shared/data/README.md.

    python benchmarks/corpora.py        prints the sizes
"""

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class Text(NamedTuple):
    """A text, or a pair of texts, and its label: a name, a tuple of names (kind "multi") or a float (kind "number")."""

    text: str
    text_pair: str | None
    label: str | tuple[str, ...] | float


class Sentence(NamedTuple):
    """Words and one IOB2 tag a word."""

    tokens: list[str]
    tags: list[str]


@dataclass(frozen=True)
class Corpus:
    """One data set.

    Rows are `Text` (task "classification"), `Sentence` ("ner") or, for "qa", dictionaries with id, question, context and
    answers, a list of {"text", "answer_start"} that is empty when the paragraph holds no answer.
    """

    name: str
    task: str  # classification, ner or qa
    metric: str  # accuracy, f1 (of `positive`), macro_f1, spearman, span_f1 or qa_f1
    train: list
    dev: list | None
    test: list
    kind: str | None = None  # single, multi or number; None unless the task is classification
    positive: str | None = None  # the label that metric f1 counts


def lines(path: str, encoding: str = "utf-8") -> list[str]:
    # Not str.splitlines, which also breaks lines at characters that texts hold.
    return (DATA / path).read_text(encoding=encoding).rstrip("\n").split("\n")


def csv_rows(path: str) -> list[list[str]]:
    with (DATA / path).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def sst2() -> Corpus:
    def split(name: str) -> list[Text]:
        pairs = [line.split("\t") for line in lines(f"sst2/{name}.tsv")]
        return [Text(text, None, label) for label, text in pairs]

    return Corpus("sst2", "classification", "accuracy", split("train"), split("dev"), split("test"), "single")


def trec() -> Corpus:
    """Coarse classes: the part of `COARSE:fine` before the colon."""

    def split(name: str) -> list[Text]:
        pairs = [line.split(" ", 1) for line in lines(f"trec/{name}.label")]
        return [Text(text, None, label.split(":")[0]) for label, text in pairs]

    return Corpus("trec", "classification", "accuracy", split("train_5500"), None, split("TREC_10"), "single")


def banking77() -> Corpus:
    def split(name: str) -> list[Text]:
        return [Text(text, None, label) for text, label in csv_rows(f"banking77/{name}.csv")[1:]]

    return Corpus("banking77", "classification", "accuracy", split("train"), None, split("test"), "single")


def sms_spam() -> Corpus:
    """A fifth of the distinct texts, drawn with seed 1, is the test set: 403 messages repeat, a split of rows would leak."""
    rows = [Text(text, None, label) for label, text in (line.split("\t") for line in lines("sms_spam/SMSSpamCollection"))]
    texts = list(dict.fromkeys(row.text for row in rows))
    random.Random(1).shuffle(texts)
    held_out = set(texts[: len(texts) // 5])
    train = [row for row in rows if row.text not in held_out]
    test = [row for row in rows if row.text in held_out]
    return Corpus("sms_spam", "classification", "f1", train, None, test, "single", positive="spam")


def mrpc() -> Corpus:
    def split(name: str, header: int) -> list[Text]:
        columns = [line.split("\t") for line in lines(f"mrpc/{name}.tsv", encoding="utf-8-sig")[header:]]
        return [Text(text, text_pair, label) for label, _, _, text, text_pair in columns]

    return Corpus("mrpc", "classification", "f1", split("train", 0), split("dev", 0), split("test", 1), "single", positive="1")


def stsb() -> Corpus:
    def split(name: str) -> list[Text]:
        return [Text(text, text_pair, float(score)) for text, text_pair, score in csv_rows(f"stsb/stsb-en-{name}.csv")]

    return Corpus("stsb", "classification", "spearman", split("train"), split("dev"), split("test"), "number")


def go_emotions() -> Corpus:
    names = lines("go_emotions/labels.txt")

    def split(name: str) -> list[Text]:
        columns = [line.split("\t") for line in lines(f"go_emotions/{name}.tsv")]
        return [Text(text, None, tuple(names[int(number)] for number in numbers.split(","))) for text, numbers, _ in columns]

    return Corpus("go_emotions", "classification", "macro_f1", split("train"), split("dev"), split("test"), "multi")


def imdb() -> Corpus:
    def split(name: str) -> list[Text]:
        return [Text(text, None, label) for _, text, label in csv_rows(f"imdb/{name}.csv")[1:]]

    return Corpus("imdb", "classification", "accuracy", split("train"), None, split("test"), "single")


def sentences(path: str, separator: str) -> list[Sentence]:
    """Word in the first column, tag in the last, sentences apart by lines without a word; document marks are dropped."""
    found = [Sentence([], [])]
    for line in lines(path):
        columns = line.split(separator)
        if not columns[0].strip() or columns[0] == "-DOCSTART-":
            found.append(Sentence([], []))
        else:
            found[-1].tokens.append(columns[0])
            found[-1].tags.append(columns[-1])
    return [sentence for sentence in found if sentence.tokens]


def iob1_to_iob2(tags: list[str]) -> list[str]:
    """Mark every first word `B-`; IOB1 does so only where an entity follows another of its own type."""
    before = ["O", *tags[:-1]]
    return [f"B-{tag[2:]}" if tag != "O" and tag[2:] != last[2:] else tag for last, tag in zip(before, tags, strict=True)]


def conll2003() -> Corpus:
    def split(name: str) -> list[Sentence]:
        return [Sentence(tokens, iob1_to_iob2(tags)) for tokens, tags in sentences(f"conll2003/eng.{name}", " ")]

    return Corpus("conll2003", "ner", "span_f1", split("train"), split("testa"), split("testb"))


def wnut17() -> Corpus:
    files = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
    train, dev, test = (sentences(f"wnut17/{file}", "\t") for file in files)
    return Corpus("wnut17", "ner", "span_f1", train, dev, test)


def squad(version: str) -> Corpus:
    def split(name: str) -> list[dict]:
        articles = json.loads((DATA / version / f"{name}.json").read_text(encoding="utf-8"))["data"]
        return [
            {"id": qa["id"], "question": qa["question"], "context": paragraph["context"], "answers": qa["answers"]}
            for article in articles
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]

    return Corpus(version, "qa", "qa_f1", split("train"), None, split("dev"))


LOADERS: dict[str, Callable[[], Corpus]] = {
    "sst2": sst2,
    "trec": trec,
    "banking77": banking77,
    "sms_spam": sms_spam,
    "mrpc": mrpc,
    "stsb": stsb,
    "go_emotions": go_emotions,
    "conll2003": conll2003,
    "wnut17": wnut17,
    "squad_v1.1": lambda: squad("squad_v1.1"),
    "squad_v2": lambda: squad("squad_v2"),
    "imdb": imdb,
}

# Rows of train, dev and test in the table of shared/data/README.md; the split of sms_spam is our own.
ROWS = {
    "sst2": (6920, 872, 1821),
    "trec": (5452, 0, 500),
    "banking77": (10003, 0, 3080),
    "sms_spam": (4429, 0, 1145),
    "mrpc": (2576, 1500, 1725),
    "stsb": (5749, 1500, 1379),
    "go_emotions": (43410, 5426, 5427),
    "conll2003": (14041, 3250, 3453),
    "wnut17": (3394, 1009, 1287),
    "squad_v1.1": (7595, 0, 2975),
    "squad_v2": (5795, 0, 6078),
    "imdb": (2000, 0, 2000),
}


def load(name: str) -> Corpus:
    """Give the data set `name`, one of `LOADERS`."""
    corpus = LOADERS[name]()
    rows = (len(corpus.train), len(corpus.dev or []), len(corpus.test))
    assert rows == ROWS[name], f"{name}: {rows} rows, the README's table has {ROWS[name]}"
    return corpus


def write(path: Path, corpus: Corpus, rows: Sequence) -> Path:
    """A file of some rows of `corpus`, as its task is usually written, with the suffix for that."""
    suffix, written = WRITERS[corpus.task]
    path = path.with_suffix(suffix)
    path.write_text(written(rows), encoding="utf-8", newline="")
    return path


def _table(rows: Sequence[Text]) -> str:
    paired = any(row.text_pair is not None for row in rows)
    names = ("text", "text_pair", "label") if paired else ("text", "label")
    file = io.StringIO()
    csv.writer(file).writerows([names, *([getattr(row, name) for name in names] for row in rows)])
    return file.getvalue()


def _tagged(rows: Sequence[Sentence]) -> str:
    return "\n".join("".join(f"{token} {tag}\n" for token, tag in zip(row.tokens, row.tags, strict=True)) for row in rows)


def _questions(rows: Sequence[dict]) -> str:
    paragraphs = [{"context": row["context"], "qas": [{name: row[name] for name in ("id", "question", "answers")}]} for row in rows]
    return json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]})


WRITERS = {"classification": (".csv", _table), "ner": (".conll", _tagged), "qa": (".json", _questions)}


if __name__ == "__main__":
    for name in LOADERS:
        corpus = load(name)
        print(f"{name:12} {corpus.task:14} {corpus.metric:9} {ROWS[name]}")
