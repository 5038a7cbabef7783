"""What frozen layers give for a text, computed once: without dropout it is the same in every epoch.

Shape letters: T tokens in a batch, M tokens of all texts that are kept, D hidden width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor, nn

from headway.encoder import AGREEMENT, Encoder
from headway.events import Worked, Working
from headway.layers import whole_layers
from headway.packing import Packed, pack, pieces
from headway.records import Window

GIB = 2**30


class Kept:
    """Stands in for the lowest layers wherever all texts of a batch are known; `whole_layers` numbers them from the lowest.

    Texts are told apart by their tokens. Embeddings are looked up as ever: next to a layer that costs nothing.
    """

    def __init__(self, encoder: Encoder, layers: int, windows: Sequence[Window]):
        self._encoder, self._layers = encoder, whole_layers(encoder.network)[:layers]
        self._texts = list({_key(window.input_ids_N, window.token_type_ids_N): window for window in windows}.values())
        ends = list(accumulate(map(len, self._texts)))
        keys = (_key(window.input_ids_N, window.token_type_ids_N) for window in self._texts)
        self._places = {key: range(end - len(window), end) for key, window, end in zip(keys, self._texts, ends, strict=True)}
        self._tokens = ends[-1] if ends else 0
        self._hidden_MD = torch.empty(0)
        self._found_TD: Tensor | None = None  # for the batch that is being read

    @property
    def gib(self) -> float:
        """The memory that it takes."""
        network = self._encoder.network
        return self._tokens * network.config.hidden_size * network.dtype.itemsize / GIB

    def read(self, *, token_budget: int) -> Working[str | None]:
        """Read every text once, always in the same company, so that a run that goes on has the same numbers; gives why it cannot be done.

        Nothing is kept of layers that weights have a part in which learn, or that are not called one after the other.
        """
        network = self._encoder.network.eval()
        if self._encoder.layout == "padded":
            return "this architecture is called padded"
        self._hidden_MD = torch.empty(self._tokens, network.config.hidden_size, dtype=network.dtype, device=network.device)
        done = 0
        for piece in pieces(self._texts, token_budget=token_budget):
            yield Worked("reading frozen layers", done, len(self._texts), "windows")
            batch = pack([self._texts[position] for position in piece])
            hidden = self._below(batch)
            if not isinstance(hidden, Tensor) or hidden.requires_grad:
                return "weights that learn have a part in what they give"
            self._hidden_MD[self._index(batch)] = hidden.squeeze(0)
            if done == 0 and not self._agrees(batch):
                return "this architecture does not call its layers one after the other"
            done += len(piece)
        return None

    def _below(self, batch: Packed) -> Tensor:
        """What the highest of the layers gives, with the way back to weights that learn; nothing above it is computed."""

        def stop(_module: nn.Module, _given: tuple, hidden: Tensor) -> None:
            raise _Reached(hidden)

        hook = self._layers[-1].register_forward_hook(stop)
        try:
            self._encoder(batch)
        except _Reached as reached:
            return reached.hidden
        finally:
            hook.remove()
        raise AssertionError("a layer of the network was not called")

    def _agrees(self, batch: Packed) -> bool:
        with torch.no_grad():
            expected = self._encoder(batch)
            with self.in_place():
                found = self._encoder(batch)
        return bool((found - expected).abs().max() <= AGREEMENT * expected.abs().max())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the network go on from what is kept."""
        for number, layer in enumerate(self._layers):
            layer.forward = self._stand_in(layer.forward, number)
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward  # of the instance: that of the class is found again

    def _stand_in(self, forward: Callable[..., Tensor], number: int) -> Callable[..., Tensor]:
        """The lowest looks whether the batch is known, the highest gives what is kept, and what lies between passes on what it gets."""

        def stand_in(hidden_states: Tensor, *given, **named) -> Tensor:  # named as in transformers, which may call it so
            if number == 0:
                index = self._index(self._encoder.batch)
                self._found_TD = None if index is None else self._hidden_MD[index]
            if self._found_TD is None:
                return forward(hidden_states, *given, **named)
            return self._found_TD[None] if number == len(self._layers) - 1 else hidden_states

        return stand_in

    def _index(self, batch: Packed) -> Tensor | None:
        """Where the tokens of a batch are kept; None where one of its texts is not."""
        ids, types = batch.input_ids_T.cpu().numpy(), batch.token_type_ids_T.cpu().numpy()
        bounds = np.cumsum([0, *batch.lengths])
        places = [self._places.get(_key(ids[start:stop], types[start:stop])) for start, stop in pairwise(bounds)]
        if None in places:
            return None
        return torch.from_numpy(np.concatenate(places)).to(self._hidden_MD.device)


class _Reached(Exception):
    """The layer has been computed that was asked for."""

    def __init__(self, hidden: Tensor):
        super().__init__()
        self.hidden = hidden


def _key(ids: np.ndarray, types: np.ndarray) -> bytes:
    return np.stack([ids, types]).astype(np.int64).tobytes()
