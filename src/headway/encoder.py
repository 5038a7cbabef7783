"""A stock transformers network, made to read packed rows.

Shape letters: T tokens in a batch, S sequences in a batch, L tokens of the longest of them, D hidden width, C outputs of the head.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, ModelOutput

from headway import attention
from headway.errors import ModelError
from headway.packing import Packed, pack
from headway.records import IGNORED, Window
from headway.regularize import Dropout

Pooling = Literal["first", "mean"]

MEAN_NORM = 6.0  # length of a mean-pooled row; see LOG.md, "mean pooling"
AGREEMENT = 1e-4  # how far packed and one-at-a-time may differ in fp32, in units of the largest activation
PROBE_LENGTHS = (7, 4)  # tokens of the two sequences a new network is tried on


class Encoder:
    """A network with its head, called with `Packed`, giving logits: one row a sequence (sentence heads) or a token (token heads).

    The network is not changed but for two things that leave no trace in what it saves: the attention function it looks up, and its
    dropout modules. Architectures that do not look the function up, or that mix tokens in another way, are noticed by trying, and
    get a padded call inside this class (`layout` is then "padded"). The trial wants the weights in fp32.

    Args:
        pooling: what a sentence head reads. "first" is the stock head; "mean" puts the mean over all tokens where it reads the
            first, and for networks with a pooler in place of what that gives, at length `MEAN_NORM`.

    Raises:
        ModelError: the architecture agrees with itself in no layout.
    """

    def __init__(self, network: PreTrainedModel, *, pooling: Pooling = "first"):
        self.network = network
        self.attention_dropout = 0.0
        self.varlen = True
        self._accepts = inspect.signature(network.base_model.forward).parameters
        self._per_token = "SequenceClassification" not in type(network).__name__
        self.batch: Packed | None = None  # that is being read, or was last
        self.still: Sequence[nn.Module] = ()  # parts that drop nothing while the rest learns
        self._layer: int | None = None
        self._only_targets = False
        self._watched: Sequence[int] = ()
        self._states: list[Tensor] = []
        self._dropouts = [
            (module, name) for module in network.modules() for name, child in module.named_children() if isinstance(child, nn.Dropout)
        ]
        self._find_layout()
        self.pooling = pooling

    def __call__(self, batch: Packed) -> Tensor:
        """logits_SC of a sentence head, logits_TC of a token head (start and end of an answer are two columns)."""
        self.batch = batch = batch.to(self.network.device)
        given = self._packed_call(batch) if self.layout == "packed" else _padded_call(batch)
        if getattr(self.network.config, "type_vocab_size", 0) < 2:
            given["token_type_ids"] = torch.zeros_like(given["input_ids"])
        logits = _logits(self.network(**{name: value for name, value in given.items() if name not in _OPTIONAL or name in self._accepts}))
        return logits.squeeze(0) if self._per_token else logits

    def features(self, batch: Packed) -> Tensor:
        """What the last linear layer reads: rows_SD of a sentence head, rows_TD of a token head."""
        read: list[Tensor] = []
        hook = self.head().register_forward_pre_hook(lambda _module, given: read.append(given[0]))
        try:
            self(batch)
        finally:
            hook.remove()
        [rows] = read
        return rows.squeeze(0) if self._per_token else rows

    def train(self) -> None:
        """Get ready to learn."""
        self.network.train()
        for part in self.still:
            part.eval()

    def head(self) -> nn.Linear:
        """The last linear layer: where the new layer's outputs are made."""
        inside = set(self.network.base_model.modules())
        return [m for m in self.network.modules() if isinstance(m, nn.Linear) and m not in inside][-1]

    def head_dropouts(self) -> list[Dropout]:
        """Headway's dropout between the base model and the last linear layer."""
        inside = set(self.network.base_model.modules())
        return [module for module in self.network.modules() if isinstance(module, Dropout) and module not in inside]

    def table(self) -> nn.Embedding | None:
        """The embedding table, where an update reads no other rows than those of its tokens; None also where there is no gain, on a GPU."""
        table = self.network.get_input_embeddings()
        plain = type(table) is nn.Embedding and table.max_norm is None and not table.scale_grad_by_freq
        return table if plain and self.layout == "packed" and table.weight.device.type == "cpu" else None

    def read_layer(self, number: int) -> None:
        """Have a token head read what layer `number` gives, counted from 1, instead of the last; 0 is the embeddings.

        For features of tokens: the head was not made for it.
        """
        self.network.config.output_hidden_states = True
        self._layer = number

    def read_targets(self) -> None:
        """Have a token head read only the tokens that have a target, in order: to fill in words is to choose among a whole vocabulary."""
        self._only_targets = True

    @contextmanager
    def watching(self, layers: Sequence[int]) -> Iterator[list[Tensor]]:
        """While it lasts, the list holds what these layers, counted from 1, gave in the last call, as the head would have read it.

        (S, D) each of a sentence head, (T, D) of a token head.
        """
        config, before = self.network.config, self.network.config.output_hidden_states
        self._watched, config.output_hidden_states = tuple(layers), True
        try:
            yield self._states
        finally:
            self._watched, config.output_hidden_states = (), before
            self._states.clear()

    def set_dropout(self, *, hidden: float | None, attention: float) -> None:
        """Put Headway's dropout in the place of the network's; `hidden` None keeps its probabilities.

        In a network that is called padded, `hidden` is the dropout of its attention too, and `attention` means nothing.
        """
        for module, name in self._dropouts:
            setattr(module, name, Dropout(getattr(module, name).p if hidden is None else hidden))
        self.attention_dropout = attention

    @property
    def drops(self) -> bool:
        """Whether anything is left to chance in training."""
        return self.attention_dropout > 0 or any(module.p > 0 for module in self.network.modules() if isinstance(module, Dropout))

    def _find_layout(self) -> None:
        """Try the layouts on two short sequences, and keep the first that answers what the stock network answers to each alone.

        BERT counts positions from 0, RoBERTa and its kin from the padding token's id + 1: what an architecture does shows here too.
        """
        network, stock = self.network.eval(), self.network.config._attn_implementation
        batch = pack(_probe(network.config.vocab_size)).to(network.device)
        packable = "position_ids" in self._accepts and network._can_set_attn_implementation()
        tries = [("packed", 0), ("packed", (network.config.pad_token_id or 0) + 1)] if packable else []
        self.pooling = "mean" if getattr(network.config, "classifier_pooling", "cls") == "mean" else "first"  # as the stock head has it
        with torch.no_grad():
            expected = _one_at_a_time(network, batch)
            network.base_model.register_forward_hook(self._after_encoder)
            for self.layout, self.first_position in [*tries, ("padded", 0)]:
                network.config._attn_implementation = attention.NAME if self.layout == "packed" else stock
                if self._answers(batch, expected):
                    return
        raise ModelError(
            f"{type(network).__name__} reads a text differently beside other texts than alone, so its answers would depend on the batch; "
            "choose another --base-model"
        )

    def _answers(self, batch: Packed, expected: Tensor) -> bool:
        try:
            logits = self(batch)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError):  # how an architecture that was not made for this fails
            return False
        return bool((logits - expected).abs().max() <= AGREEMENT * expected.abs().max())

    def _packed_call(self, batch: Packed) -> dict:
        return {
            "input_ids": batch.input_ids_T[None],
            "token_type_ids": batch.token_type_ids_T[None],
            "position_ids": batch.positions_T[None] + self.first_position,
            "packed": batch,
            "attention_dropout": self.attention_dropout,
            "varlen": self.varlen,
        }

    def _after_encoder(self, _module: nn.Module, _inputs: tuple, output: BaseModelOutput) -> BaseModelOutput:
        """Between the encoder and the head: give a token head the packed row, and a sentence head one row a sequence."""
        batch = self.batch
        hidden = output.last_hidden_state if self._layer is None else output.hidden_states[self._layer]
        self._states[:] = [self._rows(output.hidden_states[number], batch) for number in self._watched]
        if self._per_token:
            rows_TD = self._rows(hidden, batch)
            output.last_hidden_state = (rows_TD[batch.targets_A != IGNORED] if self._only_targets else rows_TD)[None]
            return output
        rows_SD = self._rows(hidden, batch)
        output.last_hidden_state = rows_SD[:, None]
        if output.get("pooler_output") is not None:
            output.pooler_output = self._pooled(rows_SD)
        return output

    def _rows(self, hidden: Tensor, batch: Packed) -> Tensor:
        """What the head reads of a hidden state: (T, D) of a token head, (S, D) of a sentence head."""
        hidden_TD = hidden.squeeze(0) if self.layout == "packed" else hidden[_padded_inside(batch)]
        if self._per_token:
            return hidden_TD
        return hidden_TD[batch.starts_S] if self.pooling == "first" else _mean(hidden_TD, batch)

    def _pooled(self, rows_SD: Tensor) -> Tensor:
        if self.pooling == "mean":
            return F.normalize(rows_SD, dim=-1) * MEAN_NORM
        base = self.network.base_model
        if isinstance(base.pooler, nn.Linear):
            return getattr(base, _POOLER_ACTIVATION[self.network.config.model_type])(base.pooler(rows_SD))
        return base.pooler(rows_SD[:, None])


_OPTIONAL = ("token_type_ids", "position_ids")
_POOLER_ACTIVATION = {"albert": "pooler_activation", "big_bird": "activation"}  # architectures that keep the pooler's two steps apart


def _mean(hidden_TD: Tensor, batch: Packed) -> Tensor:
    total_SD = hidden_TD.new_zeros(len(batch.lengths), hidden_TD.shape[1], dtype=torch.float32)
    total_SD = total_SD.index_add(0, batch.sequence_T, hidden_TD.float())
    lengths_S1 = torch.tensor(batch.lengths, device=hidden_TD.device)[:, None]
    return (total_SD / lengths_S1).to(hidden_TD.dtype)


def _padded_inside(batch: Packed) -> Tensor:
    """inside_SL: which cells of a padded batch hold a token."""
    lengths = torch.tensor(batch.lengths, device=batch.input_ids_T.device)
    return torch.arange(batch.longest, device=lengths.device) < lengths[:, None]


def _padded_call(batch: Packed) -> dict:
    inside_SL = _padded_inside(batch)

    def padded(row_T: Tensor) -> Tensor:
        return row_T.new_zeros(inside_SL.shape).masked_scatter(inside_SL, row_T)

    return {
        "input_ids": padded(batch.input_ids_T),
        "token_type_ids": padded(batch.token_type_ids_T),
        "attention_mask": inside_SL.long(),
    }


def _one_at_a_time(network: PreTrainedModel, batch: Packed) -> Tensor:
    """The stock answers, each sequence alone and unpadded: logits_SC or logits_TC."""
    outputs = [network(input_ids=ids[None]) for ids in batch.input_ids_T.split(batch.lengths)]
    return torch.cat([_logits(output)[0] if _logits(output).ndim == 3 else _logits(output) for output in outputs])


def _logits(output: ModelOutput) -> Tensor:
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    return output.logits


def _probe(vocabulary: int) -> Sequence[Window]:
    """Two sequences of ordinary tokens, from the middle of the vocabulary, where no special token is."""
    nothing = np.zeros(0, dtype=np.int64)
    ids = [np.arange(length) * 5 % 11 + vocabulary // 2 for length in PROBE_LENGTHS]
    return [Window(0, i, np.zeros_like(i), np.zeros((len(i), 2)), nothing) for i in ids]
