"""Who wins: not the luckiest trial. The best few are trained again with new seeds on all records, and the best mean is chosen.

Only then is the test set opened, once, by the winner. A search picks what looks best on dev, and the more it tries, the more of that is
luck: Cawley and Talbot 2010, JMLR 11; Liu and Wang 2021, arXiv:2106.09204, who find that of fine-tuning in particular.
"""

import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import fmean

from optuna.trial import FrozenTrial

from headway import model
from headway.config import Config, with_settings
from headway.errors import TrainingError
from headway.events import Evaluated, Event, Said, Stepped, Worked, relay
from headway.folders import put_back, write_text
from headway.jobs.corpus import Files
from headway.jobs.finish import finish
from headway.jobs.laps import Laps
from headway.jobs.learning import STOPPED, Started, fitted_answers, learn
from headway.jobs.provenance import close_provenance, open_provenance
from headway.jobs.report import write_report
from headway.jobs.run_folder import CHECKPOINTS, DATA, MODEL, PROVENANCE, SETTINGS, open_folder
from headway.jobs.seeds import keep_run
from headway.jobs.start import start_on
from headway.jobs.track import tracked
from headway.jobs.tune.page import write_page
from headway.jobs.tune.trial import Search
from headway.wording import metric_text, score_text

FINALS = "finals"
ROUND_MARGIN = 1.1  # times the longest run, that have to be left for another
FEWEST_LEADERS = 2  # that are trained on, where there is no time for all
DEV = "dev.json"  # what a run of the finals scored; the last that is written of it


@dataclass(frozen=True)
class Ran:
    """A finalist trained with one new seed."""

    trial: int
    seed: int
    metric: str
    value: float  # on dev
    seconds: float = 0.0  # that it has taken; not known of searches that were made before it was kept


def finalists(search: Search) -> list[FrozenTrial]:
    """The best trials that differ in their settings; once they are chosen, there are no more trials.

    Raises:
        TrainingError: no trial got to its end.
    """
    if found := search.study.finalists():
        return found
    for trial in search.study.complete():
        if len(found) < search.tune.finalists and all(trial.params != other.params for other in found):
            found.append(trial)
    if not found:
        reasons = [trial.user_attrs.get("why", "") for trial in search.study.finished()]
        raise TrainingError(f"no trial got to its end; the first: {reasons[0] if reasons else 'there was none'}")
    search.study.choose(found)
    return found


def train_finalists(search: Search, files: Files, chosen: Sequence[FrozenTrial]) -> Iterator[Event]:
    """Train each with every new seed; what has been trained before is not trained again.

    Where there is time left, there are further rounds, of all finalists or of the two best of them.
    """
    first = search.base.train.seed + 1
    for seed in count(first):
        begun = [trial for trial in chosen if run_of(search, trial.number, seed).is_dir()]
        round_ = chosen if seed < first + search.tune.seeds else begun or _leaders(search, chosen)
        if not round_:
            return
        for trial in round_:
            if not (run_of(search, trial.number, seed) / DEV).is_file():
                yield from _train(search, files, trial, seed)
            _keep_best(search, trial.number)


def _leaders(search: Search, chosen: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """All finalists where there is time for a run of each, as long as the longest was; else the two best, or none."""
    left, ran = search.deadline.left() - search.plan.answer_seconds, read_finals(search.folder)
    longest = max(run.seconds for run in ran)
    if math.isinf(left) or not longest:
        return []
    fits, of_trial = left / (longest * ROUND_MARGIN), means(ran)
    ordered = sorted(chosen, key=lambda trial: -of_trial[trial.number])
    leaders = ordered if fits >= len(chosen) else ordered[:FEWEST_LEADERS]
    return leaders if fits >= len(leaders) else []


def read_finals(folder: Path) -> list[Ran]:
    """What has been trained in the folder of a search, by trial and seed."""
    found = [Ran(**json.loads(path.read_text(encoding="utf-8"))) for path in (folder / FINALS).glob(f"*/{DEV}")]
    return sorted(found, key=lambda ran: (ran.trial, ran.seed))


def means(ran: Sequence[Ran]) -> dict[int, float]:
    """Trial -> mean over its new seeds."""
    return {trial: fmean(run.value for run in ran if run.trial == trial) for trial in sorted({run.trial for run in ran})}


def best_run(ran: Sequence[Ran]) -> Ran:
    """Of the trial with the best mean the run with the best seed; the earlier one of those that are level."""
    of_trial = means(ran)
    winner = max(of_trial, key=of_trial.__getitem__)
    return max((run for run in ran if run.trial == winner), key=lambda run: run.value)


def crown(search: Search, kept: Ran) -> Iterator[Event]:
    """End the run that is kept as `headway train` ends one, on test too, and give the folder of the search its files."""
    run = run_of(search, kept.trial, kept.seed)
    if search.corpus.test:
        yield Said("test", f"opened now, once, by the winner: {len(search.corpus.test):,} records that no choice has seen")
    laps = Laps()
    yield from finish(_started(search, search.study.trials()[kept.trial].params, kept.seed), search.corpus, run, laps)
    close_provenance(run)
    laps.keep(run)
    laps.keep(search.folder)
    yield from write_report(run)
    shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
    shutil.copyfile(run / SETTINGS, search.folder / SETTINGS)
    keep_run(run, search.folder)
    yield from write_report(search.folder)
    write_page(search.folder)


def run_of(search: Search, trial: int, seed: int) -> Path:
    return search.folder / FINALS / f"trial-{trial}-seed-{seed}"


def _train(search: Search, files: Files, trial: FrozenTrial, seed: int) -> Iterator[Event]:
    begun, run, corpus = time.monotonic(), run_of(search, trial.number, seed), search.corpus
    started = _started(search, trial.params, seed)
    put_back(run / MODEL)
    if not (run / SETTINGS).is_file():
        about = json.loads((search.folder / DATA).read_text(encoding="utf-8"))
        open_folder(run, started.config, corpus, files, about=about)
    if not (run / PROVENANCE).is_file():
        write_text(run / PROVENANCE, json.dumps(open_provenance(started), indent=1))
    laps = Laps()
    yield from relay(tracked(learn(started, run), run, started.config), partial(_progress, folder=search.folder))
    laps.lap("train")
    laps.keep(run)
    how = started.config.train
    best = model.load(run / MODEL, precision=how.precision, device=how.device, token_budget=how.token_budget)
    task, predictions = fitted_answers(best, corpus.dev, started.dev)
    scores = task.score(corpus.dev, predictions)
    ran = Ran(trial.number, seed, scores.main, scores.values[scores.main], round(time.monotonic() - begun, 3))
    for weights in (run / CHECKPOINTS).glob("step-*"):
        shutil.rmtree(weights)  # three times the model's size, and nothing is left to go on with
    write_text(run / DEV, json.dumps(asdict(ran)))
    yield Said(f"trial {trial.number}", f"seed {seed} · {metric_text(ran.metric)} {score_text(ran.value)}")


def _started(search: Search, params: dict, seed: int) -> Started:
    """As `headway train` would start it: loaded anew, since the seed decides the new layer."""
    config = with_seed(with_settings(search.base, params), seed)
    learned = search.pristine.for_settings(config, search.corpus.train)
    return start_on(learned, search.corpus.train, range(len(search.corpus.train)), config)


def with_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})


def _keep_best(search: Search, trial: int) -> None:
    """Of a finalist only the model of the best seed can be wanted."""
    ran = [run for run in read_finals(search.folder) if run.trial == trial]
    best = max(ran, key=lambda run: run.value)
    for run in ran:
        if run != best:
            shutil.rmtree(run_of(search, trial, run.seed) / MODEL, ignore_errors=True)


def _progress(event: Event, folder: Path) -> Iterator[Event]:
    if isinstance(event, Stepped | Evaluated | Worked) or (isinstance(event, Said) and event.warning):
        yield event
    elif isinstance(event, Said) and event.topic == STOPPED:
        yield Said(STOPPED, f"in the finals, saved. Go on with: headway tune --resume {folder}")
