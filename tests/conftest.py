"""What many tests share: tiny random pretrained networks in local folders, with real tokenizers, loaded as any other is."""

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast
from typer.testing import CliRunner

from headway import pretrained
from headway.cli import app
from headway.config import Config
from headway.jobs.answers import answer
from headway.jobs.scored import Example, score
from headway.jobs.scores import scores_json
from headway.metrics import with_intervals
from headway.optimize import Optimizer
from headway.settings_text import to_toml

hypothesis.settings.register_profile("unhurried", deadline=None)  # a machine with other work is no failure
hypothesis.settings.load_profile("unhurried")

DATA_ROOT = Path(__file__).parents[2] / "shared" / "data"

VOCABULARY = """the a good bad fine film was by and in of to is not who where when wrote lives works born moved city near river
Ada Lovelace Paris London Berlin Turing Alan Acme Corp Globex Inc Marie Curie Warsaw Zürich café naïve don't state-of-the-art
1912 42 3.5 hello world again never always price paid order late refund please thanks terrible wonderful"""
WORDS = VOCABULARY.split()
CORPUS = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))] + [" ".join(WORDS).lower(), "北京 東京 ok", "( ) , . ! ? ' \" : ;"]


REVIEWS = "review,sentiment\n" + "".join(
    f"a {word} film number {n},{label}\n" for n in range(12) for word, label in [("good", "pos"), ("bad", "neg")]
)
TAGGED = "".join(f"Ada B-PER\nlives O\nin O\n{place} B-LOC\n. O\n\n" for place in ("Paris", "London", "Berlin", "Warsaw") * 3)
PARAGRAPH = "Ada Lovelace lived in London . Marie Curie was born in Warsaw ."


def squad(questions: list[dict]) -> str:
    return json.dumps({"version": "2.0", "data": [{"title": "t", "paragraphs": [{"context": PARAGRAPH, "qas": questions}]}]})


def question(number: int, answer: str | None) -> dict:
    answers = [] if answer is None else [{"text": answer, "answer_start": PARAGRAPH.index(answer)}]
    return {"id": str(number), "question": f"who or where {number}", "is_impossible": answer is None, "answers": answers}


QUESTIONS = squad([question(n, ("London", "Warsaw", "Marie Curie", None)[n % 4]) for n in range(12)])
FILES = {"reviews.csv": REVIEWS, "tags.conll": TAGGED, "questions.json": QUESTIONS}


def _words(tokenizer: Tokenizer) -> list[str]:
    """The words of the corpus as the tokenizer cuts them. Trainers of vocabularies are not used on them: two of the three break ties at
    random, and tests would see another network in every process."""
    text = tokenizer.normalizer.normalize_str(" ".join(CORPUS))
    return sorted({word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)})


def _halves(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The first and the second halves of the words, for tokens that are not whole words."""
    return [word[: len(word) // 2] for word in words if len(word) > 3], [word[len(word) // 2 :] for word in words if len(word) > 3]


def _wordpiece() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece())
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = _words(tokenizer)
    starts, ends = _halves(words)
    characters = sorted(set("".join(words)))
    pieces = dict.fromkeys([*special, *characters, *words, *starts, *(f"##{end}" for end in [*characters, *ends])])
    tokenizer.model = models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=["input_ids", "token_type_ids", "attention_mask"], **names)


_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_ROBERTA_NAMES = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")


def _like_roberta(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(_ROBERTA_NAMES, _ROBERTA, strict=True)) | {"cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **names)


def _byte_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=list(_ROBERTA), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _like_roberta(tokenizer)


def _metaspace() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    words = _words(tokenizer)
    plain = [word for word in words if "-" not in word]
    starts, ends = _halves(plain)
    scores = dict.fromkeys(_ROBERTA, 0.0) | dict.fromkeys(sorted(set("".join(words))), -9.0)
    scores |= dict.fromkeys([*starts, *ends], -6.0) | dict.fromkeys(plain, -4.0)
    tokenizer.model = models.Unigram(list(scores.items()), unk_id=list(scores).index("<unk>"))
    return _like_roberta(tokenizer)


_TOKENIZERS = {"wordpiece": cache(_wordpiece), "byte_level": cache(_byte_level), "metaspace": cache(_metaspace)}
_DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 128}
_ROBERTA_KIN = {"max_position_embeddings": 130, "type_vocab_size": 1}  # two positions are lost to padding
_RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8, "max_relative_positions": 16}
_MODERN = {"global_attn_every_n_layers": 2, "local_attention": 6, "max_position_embeddings": 128}

# name -> model_type, tokenizer, what its configuration says beside width and depth
NETWORKS: dict[str, tuple[str, str, dict]] = {
    "bert": ("bert", "wordpiece", {}),
    "roberta": ("roberta", "byte_level", _ROBERTA_KIN),
    "distilbert": ("distilbert", "wordpiece", _DISTIL),
    "electra": ("electra", "wordpiece", {"embedding_size": 16}),
    "albert": ("albert", "wordpiece", {"embedding_size": 16}),
    "xlm-roberta": ("xlm-roberta", "metaspace", _ROBERTA_KIN),
    "camembert": ("camembert", "metaspace", _ROBERTA_KIN),
    "mpnet": ("mpnet", "byte_level", {"max_position_embeddings": 130}),
    "deberta-v2": ("deberta-v2", "wordpiece", {"type_vocab_size": 0, "pooler_hidden_size": 32}),
    "deberta-v3": ("deberta-v2", "wordpiece", {"type_vocab_size": 0, "pooler_hidden_size": 32, "position_biased_input": False} | _RELATIVE),
    "modernbert": ("modernbert", "wordpiece", _MODERN),
    "modernbert-mean": ("modernbert", "wordpiece", _MODERN | {"classifier_pooling": "mean"}),
    "fnet": ("fnet", "wordpiece", {"type_vocab_size": 4}),
}


def tiny_config(name: str):
    """2 layers of width 32, with weights ten times larger than usual, so that what a token sees shows in the answer."""
    model_type, kind, own = NETWORKS[name]
    tokenizer = _TOKENIZERS[kind]()
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 128}
    if model_type == "distilbert":
        shape = {}
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    if model_type == "modernbert":
        special |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    return AutoConfig.for_model(model_type, vocab_size=len(tokenizer), initializer_range=0.2, **(shape | special | own))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """More of them only get in each other's way where networks are this small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """What is not on the disk yet is lost with the power of a machine, not with a process that is killed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def pretrained_folder(tmp_path_factory):
    """Give the folder of a tiny pretrained network by its name in `NETWORKS`: config.json, model.safetensors, tokenizer."""
    root = tmp_path_factory.mktemp("pretrained")

    @cache
    def folder(name: str) -> Path:
        config = tiny_config(name)
        with torch.random.fork_rng():
            torch.manual_seed(7)
            network = AutoModel.from_config(config)
        network.save_pretrained(root / name)
        _TOKENIZERS[NETWORKS[name][1]]().save_pretrained(root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def tokenizer_of(pretrained_folder):
    """Give the tokenizer of a tiny pretrained network, as Headway loads it."""
    return cache(lambda name: pretrained.load_tokenizer(pretrained.find(str(pretrained_folder(name)))))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The data sets that do not belong to the repository."""
    if not DATA_ROOT.is_dir():
        pytest.skip(f"{DATA_ROOT} is not here: real data sets are not part of the repository")
    return DATA_ROOT


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in, with a file for each task."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def headway_command(pretrained_folder):
    """Run a command of the command line; `train` gets a tiny network."""

    def run(*words: str):
        tiny = ["--base-model", str(pretrained_folder("bert"))] if words[0] == "train" and "--resume" not in words else []
        return CliRunner().invoke(app, [*words, *tiny])

    return run


@pytest.fixture
def fragile(monkeypatch):
    """Let update `at` of a run fail at any rate over `above`; unless `told`, its own loss and gradient are still numbers."""

    def give(*, at, above, told=True):
        def step(optimizer, number):
            norm = stepped(optimizer, number)
            if number + 1 == at and optimizer.train.learning_rate > above:
                with torch.no_grad():
                    for weight in optimizer._masters:
                        weight.fill_(math.nan)
                norm = norm * math.nan if told else norm
            return norm

        stepped = Optimizer.step
        monkeypatch.setattr(Optimizer, "step", step)

    return give


def scored_run(
    folder: Path, examples: Sequence[Example], *, part: str = "test", data: dict | None = None, provenance: dict | None = None
) -> Path:
    """The folder of a run that said this of its test set, as training would have left it, but for a model."""
    folder.mkdir(parents=True)
    scores = with_intervals(score(examples), [example.record.unit for example in examples])
    rows = [{"part": part, **answer(record, said, gold=True)} for record, said in examples]
    steps = [
        {"step": n, "loss": 2 / n, "learning_rate": 1e-4 / n, "gradient_norm": 1.0, "tokens": 512, "seconds": 0.1} for n in range(1, 41)
    ]
    evaluations = [{"step": n, "metric": scores.main, "value": n / 50, "best": n < 40} for n in (10, 20, 30, 40)]
    files = {
        "run.toml": to_toml(Config()),
        "data.json": json.dumps({"task": "classification", "records": {"train": 100, part: len(examples)}} | (data or {})),
        "provenance.json": json.dumps({"started": "2026-11-23T10:00:00+00:00"} | (provenance or {})),
        "scores.json": json.dumps(scores_json({part: scores}, {})),
        "predictions.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "steps.jsonl": "".join(json.dumps(row) + "\n" for row in steps),
        "evaluations.jsonl": "".join(json.dumps(row) + "\n" for row in evaluations),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
