"""What a ranking has found: its order, its table, its words, and `rank.json`."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from headway.config import Config
from headway.events import Estimate, Listed
from headway.folders import write_text
from headway.jobs.compare import CHANCE
from headway.jobs.corpus import Files
from headway.jobs.rank.features import Contest
from headway.jobs.rank.halving import failed
from headway.jobs.rank.kept import TRAINED, Judged, Plan, Trained, read_judged, read_trained
from headway.jobs.scored import read_run, score
from headway.metrics import Difference, differences, units
from headway.settings_text import to_settings
from headway.wording import metric_text, p_text, score_text

RANKING = "rank.json"
FASTER = 1.15  # times as many texts a second, from which on it is worth saying
_NAMED = ("data.train=", "data.dev=", "data.test=", "model.base_model=")  # by words of their own


@dataclass(frozen=True)
class Place:
    """A candidate in the order of the ranking, the best first."""

    candidate: str
    name: str  # for people
    judged: Judged
    trained: list[Trained]  # rung by rung, as far as it came
    behind: Difference | None  # the best's score over its own, where both were trained on the most records
    failed: int | None = None  # records that it was to learn from last, where that came to no end

    @property
    def level(self) -> bool:
        """Whether nothing shows that it is worse than the best."""
        return self.behind is not None and self.behind.p >= CHANCE


@dataclass(frozen=True)
class Ranking:
    """What `headway models rank` finds; `places[0]` is the winner."""

    folder: Path
    plan: Plan
    places: list[Place]
    dev: int  # records measured on
    train: int  # there are to learn from
    command: str  # trains the winner on all of them

    @property
    def winner(self) -> str:
        return self.places[0].candidate


@dataclass(frozen=True)
class Ranked:
    """A finished ranking, as its folder has it."""

    winner: str
    scores: dict[str, Estimate | None]  # the best first, each of its last training; None where it was not trained
    command: str  # trains the winner
    folder: Path


def read_ranking(folder: Path) -> Ranked:
    """What a ranking has left in its folder."""
    kept = json.loads((folder / RANKING).read_text(encoding="utf-8"))
    scores = {row["candidate"]: Estimate(**row["trained"][-1]["score"]) if row["trained"] else None for row in kept["ranking"]}
    return Ranked(kept["winner"], scores, kept["command"], folder)


def found(contest: Contest, plan: Plan, files: Files) -> Ranking:
    """The order: by score among those that came as far, and whoever came further first; of those never trained, by features."""
    judged, trained = read_judged(contest.folder), read_trained(contest.folder)
    sizes = list(dict.fromkeys(rung.records for rung in plan.rungs))
    reached = {name: [trained[name, size] for size in sizes if (name, size) in trained] for name in judged}
    order = sorted(judged, key=lambda name: _merit(judged[name], reached[name]), reverse=True)
    best = reached[order[0]]
    lost = failed(contest, plan)
    behind = {name: _behind(contest.folder, best, reached[name]) for name in order[1:]}
    places = [Place(name, contest.shown(name), judged[name], reached[name], behind.get(name), lost.get(name)) for name in order]
    command = train_command(files, contest.config, order[0])
    return Ranking(contest.folder, plan, places, len(contest.corpus.dev), len(contest.corpus.train), command)


def _merit(judged: Judged, trained: Sequence[Trained]) -> tuple[float, ...]:
    last = (trained[-1].records, trained[-1].score.value) if trained else (0, 0.0)
    return (*last, judged.explained or 0.0, -judged.parameters)


def _behind(folder: Path, best: Sequence[Trained], other: Sequence[Trained]) -> Difference | None:
    """By the same examples, where both learned from as many records."""
    if not best or not other or best[-1].records != other[-1].records:
        return None
    sides = [read_run(folder / TRAINED / trained.folder).parts["dev"] for trained in (best[-1], other[-1])]
    both = score([*sides[0], *sides[1]])
    return differences(both, units(example.record.unit for example in sides[0]))[None, best[-1].metric]


def train_command(files: Files, config: Config, candidate: str) -> str:
    """The complete command that trains a candidate on all of the data, for a shell; it opens the test set, where the settings name one."""
    named = {"dev": files.dev, "test": config.data.test}
    parts = [word for name, path in named.items() if path is not None for word in (f"--{name}", str(path))]
    settings = [setting for setting in to_settings(config) if not setting.startswith(_NAMED)]
    given = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(["headway", "train", str(files.train), *parts, "--base-model", candidate, *given])


# --- in words


def table(ranking: Ranking) -> Listed:
    sizes = list(dict.fromkeys(rung.records for rung in ranking.plan.rungs))
    columns = ["parameters", *(["explained"] if ranking.places[0].judged.explained is not None else [])]
    columns += [*(f"{size:,} records" for size in sizes), *(["texts/s"] if sizes else [])]
    return Listed(
        "ranking", tuple(columns), tuple((place.name, tuple(_cells(place, sizes)), standing(ranking, place)) for place in ranking.places)
    )


def _cells(place: Place, sizes: Sequence[int]) -> Iterator[str]:
    yield f"{place.judged.parameters / 1e6:.1f} M"
    if place.judged.explained is not None:
        yield score_text(place.judged.explained)
    by_size = {trained.records: trained for trained in place.trained}
    for size in sizes:
        yield score_cell(by_size[size], interval=size == sizes[-1]) if size in by_size else ""
    if sizes:
        yield pace_text(place.trained[-1].texts_per_second) if place.trained else ""


def score_cell(trained: Trained, *, interval: bool) -> str:
    value, low, high = trained.score
    return f"{score_text(value)} ({score_text(low)}–{score_text(high)})" if interval else score_text(value)


def pace_text(texts_per_second: float) -> str:
    return f"{texts_per_second:,.0f}" if texts_per_second >= 10 else f"{texts_per_second:.1f}"


def standing(ranking: Ranking, place: Place) -> str:
    """How a candidate came out, in a few words."""
    if place is ranking.places[0]:
        return "best"
    if place.failed is not None:
        return f"its training on {place.failed:,} records failed"
    if place.behind is not None:
        return f"{p_text(place.behind.p)}: {'no difference to the best is shown' if place.level else 'worse than the best'}"
    if place.trained:
        return f"out after {place.trained[-1].records:,} records"
    return "not trained: its features explain less" if ranking.plan.rungs else ""


def sentences(ranking: Ranking) -> Iterator[str]:
    """The answer, what speaks for the others, and what was not looked at."""
    best = ranking.places[0]
    if not best.trained:
        yield f"{best.name}: its features explain {score_text(best.judged.explained)} of the labels, the most"
        yield "features alone: they order encoders as training does in most cases, and not in all; leave --quick away to train"
        return
    last = best.trained[-1]
    metric = metric_text(last.metric)
    learned = f"{last.records:,} of {ranking.train:,} records" if last.records < ranking.train else f"all {ranking.train:,} records"
    yield f"{best.name}: {metric} {score_cell(last, interval=True)} on {ranking.dev:,} records of dev, after learning from {learned}"
    for place in ranking.places[1:]:
        if place.level:
            yield f"{place.name} is not shown to be worse ({p_text(place.behind.p)}){_instead(best, place)}"


def _instead(best: Place, other: Place) -> str:
    """What the other has over the best."""
    pace = other.trained[-1].texts_per_second / max(best.trained[-1].texts_per_second, 1e-9)
    size = other.judged.parameters / best.judged.parameters
    words = [f"learns {pace:.1f} times as fast"] if pace >= FASTER else []
    words += [f"is {1 - size:.0%} smaller"] if size < 1 / FASTER else []
    return f"; it {' and '.join(words)}" if words else ""


def keep_ranking(ranking: Ranking) -> None:
    """Write down what `read_ranking` reads."""
    write_text(ranking.folder / RANKING, json.dumps(_as_json(ranking), indent=1, ensure_ascii=False))


def _as_json(ranking: Ranking) -> dict:
    rows = [
        {
            "candidate": place.candidate,
            "standing": standing(ranking, place),
            **{name: value for name, value in asdict(place.judged).items() if name != "candidate"},
            "trained": [{**asdict(trained), "score": trained.score._asdict()} for trained in place.trained],
            "behind": place.behind and place.behind._asdict(),
        }
        for place in ranking.places
    ]
    left_out = [name for name in ranking.plan.candidates if name not in {place.candidate for place in ranking.places}]
    return {
        "winner": ranking.winner,
        "ranking": rows,
        "left_out": left_out,
        "rungs": [asdict(rung) for rung in ranking.plan.rungs],
        "records": {"train": ranking.train, "dev": ranking.dev},
        "command": ranking.command,
    }
