"""Where the seconds of a run go: from one lap to the next."""

import json
import time
from pathlib import Path

from headway.folders import write_text
from headway.jobs.run_folder import DATA


class Laps:
    """Seconds by what they were spent on; a start after a stop counts its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """All since the last lap was spent on this."""
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now

    def keep(self, folder: Path) -> None:
        """Write them beside those that `data.json` has."""
        kept = json.loads((folder / DATA).read_text(encoding="utf-8"))
        kept["seconds"] = kept.get("seconds", {}) | {name: round(spent, 3) for name, spent in self.seconds.items()}
        write_text(folder / DATA, json.dumps(kept, indent=1))
