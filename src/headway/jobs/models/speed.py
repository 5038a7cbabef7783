"""How fast an encoder reads here, with random weights of its shape: nothing is downloaded, and weights take no time of their own."""

import time
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from headway import engine
from headway.backend import bound_kernel_memory, pick_device, pick_dtype
from headway.catalogue import KnownEncoder
from headway.encoder import Encoder
from headway.errors import ModelError
from headway.events import Event, Said, Worked
from headway.jobs.models.kept import Speed, keep_speeds, read_speeds, shape_key
from headway.pretrained import random_network
from headway.records import Window

WINDOWS, TOKENS = 8, 128  # read at once, and tokens of each
SECONDS = 1.0  # that reading goes on for at least
ROUNDS = 3  # that are made at least, after one to warm up
VOCABULARY = 1_000  # a table is looked up: its size takes memory and no time
ORDINARY = 10  # the first token that no architecture takes for a special one


def measuring(encoders: Sequence[KnownEncoder]) -> Iterator[Event]:
    """Measure what was not measured on this machine before; each is kept when it is done."""
    speeds = read_speeds()
    wanted = {shape_key(known): known for known in encoders if known.shape and shape_key(known) not in speeds}
    for number, (key, known) in enumerate(wanted.items()):
        yield Worked(f"measuring {known.name.rpartition('/')[2]}", number, len(wanted), "shapes")
        try:
            speeds[key] = measure(known)
        except ModelError as error:
            yield Said(known.name, f"not measured: {error}", warning=True)
        keep_speeds(speeds)


def measure(known: KnownEncoder) -> Speed:
    """Tokens a second of the fastest round, as nothing but other work on the machine makes one slower.

    Raises:
        ModelError: its shape is none that transformers knows, or the architecture cannot be read in batches.
    """
    bound_kernel_memory()
    encoder = Encoder(random_network(AutoModelForTokenClassification, _config(known)))
    device = pick_device()
    dtype = pick_dtype("auto", device)
    encoder.network.to(device, dtype)
    windows = [_window(number) for number in range(WINDOWS)]
    rounds, begun = [], time.perf_counter()
    while len(rounds) <= ROUNDS or time.perf_counter() - begun < SECONDS:
        started = time.perf_counter()
        list(
            engine.predict(
                encoder, windows, decide=lambda logits, batch: list(logits[batch.starts_S, 0].cpu()), token_budget=WINDOWS * TOKENS
            )
        )
        rounds.append(time.perf_counter() - started)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    precision = {torch.bfloat16: "bf16", torch.float32: "fp32"}[dtype]
    return Speed(round(WINDOWS * TOKENS / min(rounds[1:]), 1), date.today().isoformat(), name, torch.get_num_threads(), precision)


def _config(known: KnownEncoder):
    shape = dict(known.shape)
    kind = shape.pop("model_type", None)
    special = {"vocab_size": VOCABULARY, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
    try:
        return AutoConfig.for_model(kind, **shape | special)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{known.name}: shape: {(str(error).strip().splitlines() or ['?'])[0]}") from None


def _window(number: int) -> Window:
    ids_N = np.random.default_rng(number).integers(ORDINARY, VOCABULARY, size=TOKENS)
    return Window(0, ids_N, np.zeros_like(ids_N), np.zeros((TOKENS, 2), dtype=np.int32), np.zeros(0, dtype=np.int64))
