"""AdamW for an embedding table, of which an update touches few rows.

Dense AdamW moves every row of a table in every update: by its gradient where it has one, and by weight decay and what is left of its
momentum where it has none. Here a row waits until it is read again and then makes up for all it has missed in one go, so that time and
memory go with the tokens of an update and not with the vocabulary, and the weights are those of the dense optimiser but for rounding.

Without a gradient, update i moves a row by rate_i · m b1^j / c1_i / (sqrt(v b2^j / c2_i) + eps), j updates after the last that it has
seen, where c1_i = 1 - b1^i and c2_i = 1 - b2^i. But for eps, which is small beside sqrt(v), that is m / sqrt(v) times a number that depends
on i and j alone. `_ahead` keeps, for each update, the sum of these numbers from there to the newest, shrunk by the decay between.

Shape letters: V rows of the table, D width, U rows that an update reads, T tokens of a piece.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

MEMORY = 512  # updates: what is left of a momentum of 0.9 after so many is below 1e-20


class RowAdamW:
    """AdamW with bias correction on the fp32 master of a table, row by row.

    An update is `read(rows)`, forward and backward passes, `collect` for each of them, `step`. Between updates, `settle` brings every
    row to where dense AdamW would have it.

    Args:
        table: the network's own weight, which is kept equal to the master in the rows that are read.
        rates: the learning rate of every update.
    """

    def __init__(self, table: nn.Parameter, *, rates: Sequence[float], betas: tuple[float, float], eps: float, decay: float):
        self.table, self.master_VD = table, table.detach().float().clone()
        self._betas, self._eps, self._decay = betas, eps, decay
        self._rates = torch.tensor(rates, dtype=torch.float64)
        self._first_VD, self._second_VD = torch.zeros_like(self.master_VD), torch.zeros_like(self.master_VD)
        self._seen_V = torch.zeros(len(table), dtype=torch.int64, device=table.device)  # updates that each row has been through
        self._shrunk = torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-decay * self._rates).cumsum(0)])
        self._ahead = torch.zeros(len(rates) + 1, dtype=torch.float64)
        self._done = 0
        self._rows_U = torch.empty(0, dtype=torch.int64)
        self.gradient_UD = torch.empty(0)

    def read(self, rows_U: Tensor) -> None:
        """Get the rows ready, sorted and each once, that the coming update reads."""
        self._rows_U = rows_U.to(self.table.device)
        self.gradient_UD = torch.zeros(len(rows_U), self.master_VD.shape[1], device=self.table.device)
        self._catch_up(self._rows_U)

    def collect(self) -> None:
        """Add the gradient of a piece to that of the update, and take it off the network."""
        if self.table.grad is not None:
            indices_1T, values_TD = self.table.grad._indices(), self.table.grad._values()
            self.gradient_UD.index_add_(0, torch.searchsorted(self._rows_U, indices_1T[0]), values_TD.float())
            self.table.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the rows that have been read by their gradient."""
        rows_U, gradient_UD = self._rows_U, self.gradient_UD
        number, (beta1, beta2) = self._done + 1, self._betas
        rate = float(self._rates[self._done])
        first_UD = self._first_VD[rows_U].lerp_(gradient_UD, 1 - beta1)
        second_UD = self._second_VD[rows_U].mul_(beta2).addcmul_(gradient_UD, gradient_UD, value=1 - beta2)
        spread_UD = (second_UD / (1 - beta2**number)).sqrt_().add_(self._eps)
        moved_UD = self.master_VD[rows_U].mul_(1 - rate * self._decay).sub_((first_UD / spread_UD).mul_(rate / (1 - beta1**number)))
        self._put(rows_U, moved_UD, first_UD, second_UD)
        self._count_update()
        self._seen_V[rows_U] = self._done

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows to where they are now."""
        self._catch_up(torch.arange(len(self.table), device=self.table.device))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, as it stands: rows that wait go on waiting."""
        return {"master": self.master_VD, "exp_avg": self._first_VD, "exp_avg_sq": self._second_VD, "seen": self._seen_V}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor], *, done: int) -> None:
        """Go on from what `state` gave after `done` updates."""
        for name, kept in self.state().items():
            kept.copy_(state[name])
        self._ahead.zero_()
        self._done = 0
        for _ in range(done):
            self._count_update()
        self.table.copy_(self.master_VD)

    def _count_update(self) -> None:
        """Add the newest update to what each earlier one has ahead of it."""
        self._done += 1
        beta1, beta2 = self._betas
        rate = self._rates[self._done - 1]
        pace = rate * (1 - beta2**self._done) ** 0.5 / (1 - beta1**self._done)
        since = torch.arange(max(self._done - MEMORY, 0), self._done)
        self._ahead *= 1 - rate * self._decay
        self._ahead[since] += pace * (beta1 / beta2**0.5) ** (self._done - since)

    @torch.no_grad()
    def _catch_up(self, rows_U: Tensor) -> None:
        """Move rows by what they have missed since they were last read."""
        rows_U = rows_U[self._seen_V[rows_U] < self._done]
        if not len(rows_U):
            return
        beta1, beta2 = self._betas
        seen_U = self._seen_V[rows_U].cpu()
        missed_U = self._done - seen_U
        shrunk_U = torch.exp(self._shrunk[self._done] - self._shrunk[seen_U])
        eps_U = self._eps * (1 - beta2 ** (seen_U + 1)) ** 0.5
        first_UD, second_UD = self._first_VD[rows_U], self._second_VD[rows_U]
        paces_UD = first_UD / (second_UD.sqrt() + self._column(eps_U))
        moved_UD = self.master_VD[rows_U].mul_(self._column(shrunk_U)).sub_(paces_UD.mul_(self._column(self._ahead[seen_U])))
        self._put(rows_U, moved_UD, first_UD.mul_(self._column(beta1**missed_U)), second_UD.mul_(self._column(beta2**missed_U)))
        self._seen_V[rows_U] = self._done

    def _column(self, numbers_U: Tensor) -> Tensor:
        return numbers_U.to(self.table.device, torch.float32)[:, None]

    def _put(self, rows_U: Tensor, master_UD: Tensor, first_UD: Tensor, second_UD: Tensor) -> None:
        self.master_VD[rows_U], self._first_VD[rows_U], self._second_VD[rows_U] = master_UD, first_UD, second_UD
        self.table[rows_U] = master_UD.to(self.table.dtype)
