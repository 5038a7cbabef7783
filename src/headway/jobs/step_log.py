"""steps.jsonl: a line for each update, and how fast they come."""

import json
import math
import time
from pathlib import Path

from headway.engine import Step


class Diverged(Exception):
    """The loss of an update, or its gradient, is not a number: the weights are lost."""

    def __init__(self, step: int):
        super().__init__(step)
        self.step = step


class StepLog:
    """The log of a training. With `behind`, an update is looked at when the next one is on its way: to look at a loss is to wait for it,
    and an accelerator should have something to do meanwhile."""

    def __init__(self, path: Path, *, behind: bool) -> None:
        self.path, self.behind = path, behind
        self.tokens, self.steps, self.seconds = 0, 0, 0.0
        self._unread: list[Step] = []
        self._last = time.monotonic()

    def add(self, step: Step) -> list[Step]:
        """Take an update; gives those that have been written.

        Raises:
            Diverged: the numbers of one of these are none.
        """
        self._unread.append(step)
        return self._write(len(self._unread) - self.behind)

    def rest(self) -> list[Step]:
        """Write what is left; the same otherwise."""
        return self._write(len(self._unread))

    def _write(self, count: int) -> list[Step]:
        ready, self._unread = self._unread[:count], self._unread[count:]
        with self.path.open("a", encoding="utf-8") as file:  # and closed each time: a killed run has its whole log
            for step in ready:
                if not math.isfinite(step.loss) or not math.isfinite(step.gradient_norm):
                    raise Diverged(step.number)
                file.write(json.dumps(_line(step, self._count(step))) + "\n")
        return ready

    def _count(self, step: Step) -> float:
        """The seconds of an update."""
        now = time.monotonic()
        spent, self._last = now - self._last, now
        self.tokens, self.steps, self.seconds = self.tokens + step.tokens, self.steps + 1, self.seconds + spent
        return spent

    def pause(self) -> None:
        """What was done since the last update, evaluating or saving, is none of the next one's time."""
        self._last = time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    @property
    def seconds_a_step(self) -> float:
        return self.seconds / max(self.steps, 1)


def _line(step: Step, seconds: float) -> dict:
    return {
        "step": step.number,
        "loss": float(step.loss),
        "learning_rate": step.learning_rate,
        "gradient_norm": float(step.gradient_norm),
        "tokens": step.tokens,
        "seconds": round(seconds, 4),
    }
