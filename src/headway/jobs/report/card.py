"""The model card: what the model is, what it was measured to do, and what it was made with; nothing that was not measured.

Source: Mitchell et al. 2019, Model Cards for Model Reporting, arXiv:1810.03993; https://huggingface.co/docs/hub/model-cards
"""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from headway.events import Estimate
from headway.jobs.report.advice import Advice
from headway.jobs.report.evidence import Evidence
from headway.jobs.report.spread import say_kept, say_spread
from headway.jobs.scores import IN_DETAIL
from headway.metrics.scores import COUNTS
from headway.wording import metric_text, score_text, sentence

PIPELINES = {"classification": "text-classification", "ner": "token-classification", "qa": "question-answering"}
HEADS = {
    "classification": "AutoModelForSequenceClassification",
    "ner": "AutoModelForTokenClassification",
    "qa": "AutoModelForQuestionAnswering",
}
MINILM = {"all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2"}  # the bundled network's name on the hub
METRICS = {  # of ours, as the hub calls them
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "samples_f1": "f1",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "mcc": "matthews_correlation",
    "em": "exact_match",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "mae": "mae",
}
MOST_LABELS = 40
RECIPE = ("learning_rate", "epochs", "batch_size", "seed")
_MARKED = re.compile(r"([\\`*_\[\]<>#|~&$])")  # what Markdown could read as more than letters


def card(evidence: Evidence, advice: Sequence[Advice]) -> str:
    """Markdown with the metadata of the hub at its head."""
    parts = [_head(evidence), _use(evidence), _scores(evidence), _limits(evidence, advice), _made(evidence)]
    return f"---\n{metadata(evidence).to_yaml()}\n---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def metadata(evidence: Evidence) -> ModelCardData:
    """What the hub reads. The licence of the model is not for us to say, and so is left to its owner."""
    task = evidence.model.get("task") or evidence.data.get("task")
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=PIPELINES.get(task),
        base_model=_hub_name(evidence),
        tags=["headway", *([task] if task else [])],
        model_name=evidence.name if evidence.part else None,
        eval_results=_results(evidence, PIPELINES.get(task, "other")) if evidence.part else None,
    )


def _hub_name(evidence: Evidence) -> str | None:
    name = evidence.provenance.get("base_model", {}).get("name") or ""
    return MINILM.get(name) or (name if name.count("/") == 1 else None)


def _results(evidence: Evidence, pipeline: str) -> list[EvalResult]:
    """Every score that the hub has a name for, on each part."""
    found = []
    for part in evidence.scores["main"]:
        name = _file(evidence, part)
        for metric, value in evidence.scores[part].items():
            if metric in METRICS:
                about = {"dataset_type": re.sub(r"[^\w.-]+", "-", name) or "data", "dataset_name": name, "dataset_split": part}
                result = EvalResult(
                    task_type=pipeline,
                    metric_type=METRICS[metric],
                    metric_name=metric_text(metric),
                    metric_value=round(value["value"], 6),
                    **about,
                )
                found.append(result)
    return found


def _file(evidence: Evidence, part: str) -> str:
    """Where a part came from: its own file, or a piece of the training file."""
    files = evidence.data.get("files", {})
    path = files.get(part, files.get("train", {})).get("path", "")
    return Path(path).name or "data"


def _head(evidence: Evidence) -> str:
    task = evidence.model.get("task") or evidence.data.get("task") or "text"
    labels = evidence.model.get("settings", {}).get("labels") or evidence.model.get("settings", {}).get("types") or []
    base = evidence.provenance.get("base_model", {}).get("name") or evidence.settings.get("model", {}).get("base_model", "")
    what = {"classification": "classes of texts", "ner": "entities in texts", "qa": "answers in texts"}.get(task, "labels of texts")
    said = f"# {_plain(evidence.name)}\n\nFinds {what}. {_plain(base)}, fine-tuned on {_plain(evidence.data_name)} with Headway."
    shown = ", ".join(_plain(str(label)) for label in labels[:MOST_LABELS])
    more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    return said + (f"\n\nIt knows: {shown}{more}." if labels else "")


def _use(evidence: Evidence) -> str:
    task, stock = evidence.model.get("task"), "transformers" in evidence.model.get("loads_in", "")
    asked = '[{"question": "...", "context": "..."}]' if task == "qa" else '["..."]'
    lines = ["## Use", "", "```python", "import headway", "", f'headway.load("path/of/this/folder").predict({asked})', "```"]
    if stock and task in HEADS:
        lines += [
            "",
            f"It also loads in plain transformers, `{HEADS[task]}.from_pretrained(...)`, and gives the same logits there; windows",
        ]
        lines[-1] += " of long texts, temperature and thresholds are in `headway.json`."
    elif task in HEADS:
        lines += ["", "Its head reads the mean of all tokens, which is not a stock head of transformers: it loads in Headway."]
    window = evidence.model.get("settings", {})
    if "max_tokens" in window:
        lines += ["", f"A text of more than {window['max_tokens']} tokens is read in windows that overlap by {window.get('overlap', 0)}."]
    return "\n".join(lines)


def _scores(evidence: Evidence) -> str:
    if evidence.part is None:
        return "## Scores\n\nNone: nothing was held out to measure on."
    tables = []
    for part in evidence.scores["main"]:
        shown = [metric for metric in evidence.scores[part] if metric not in IN_DETAIL | COUNTS]
        rows = [["", *map(metric_text, shown)]]
        for name, values in evidence.baselines(part).items():
            rows.append([_plain(name), *(_estimate(values.get(metric)) for metric in shown)])
        rows.append(["**this model**", *(_estimate(evidence.score(metric, part)) for metric in shown)])
        count = len(evidence.parts.get(part, ()))
        chosen = "; the best model and its thresholds were chosen by it" if part == "dev" else "; nothing was chosen by it"
        title = f"{count:,} examples of {_plain(_file(evidence, part))}, held out as {part}{chosen}:"
        tables.append(f"{title}\n\n{_table(rows)}")
    return "## Scores\n\nWith 95% intervals.\n\n" + "\n\n".join([*tables, *_seeds(evidence)])


def _seeds(evidence: Evidence) -> Iterator[str]:
    """Of several trainings what they score together, as the one that was kept may have been lucky."""
    if not evidence.seeds:
        return
    main = evidence.scores["main"].get("dev")
    said = f"Of {len(evidence.seeds['seeds'])} trainings that differ by their seed alone this is {say_kept(evidence.seeds, main)}."
    yield f"{said} {sentence(say_spread(evidence.seeds, main))}." if evidence.seeds["choice"] else said
    for part, of_part in evidence.seeds["parts"].items():
        shown = [metric for metric in evidence.scores[part] if metric in of_part and metric not in IN_DETAIL | COUNTS]
        means = ["mean of seeds", *(_estimate(Estimate(of_part[m]["mean"], of_part[m]["low"], of_part[m]["high"])) for m in shown)]
        deviations = ["deviation", *(score_text(of_part[m]["deviation"]) for m in shown)]
        yield f"All seeds on {part}; the interval is over seeds:\n\n{_table([['', *map(metric_text, shown)], means, deviations])}"


def _estimate(value: Estimate | float | None) -> str:
    if value is None:
        return ""
    return (
        f"{score_text(value.value)} ({score_text(value.low)}–{score_text(value.high)})"
        if isinstance(value, Estimate)
        else score_text(value)
    )


def _limits(evidence: Evidence, advice: Sequence[Advice]) -> str:
    """What was found to be weak, in the words of the report."""
    rows = evidence.of_part("by_label") if evidence.part else {}
    weakest = sorted((row["f1"]["value"], name) for name, row in rows.items() if row.get("support", {}).get("value"))[:3]
    lines = [f"* F1 of {_plain(name)}: {score_text(value)}" for value, name in weakest if len(rows) > 2]
    lines += [f"* {_plain(one.found)}" for one in advice]
    lines.append("* It was measured on texts of the kind above, and on no others.")
    return "## What is known of its limits\n\n" + "\n".join(lines)


def _made(evidence: Evidence) -> str:
    made, machine = evidence.provenance, evidence.provenance.get("machine", {})
    base, train = made.get("base_model", {}), evidence.settings.get("train", {}) | {"seed": evidence.seed}
    if rolled := evidence.scores.get("rolled_back"):
        times = f"{rolled['times']} time{'s' * (rolled['times'] != 1)}"
        train["learning_rate"] = f"{rolled['learning_rate']:g} (halved {times} from {train['learning_rate']})"
    files = [f"{name} {_plain(Path(of['path']).name)} (sha256 {of['sha256'][:16]}…)" for name, of in evidence.data.get("files", {}).items()]
    counts = ", ".join(f"{count:,} {part}" for part, count in evidence.data.get("records", {}).items() if count)
    lines = [
        ("data", f"{_plain(counts)} records; " + ", ".join(files)),
        ("base model", f"{_plain(base.get('name', '?'))}, licence: {_plain(str(base.get('licence') or 'not said'))}"),
        ("recipe", ", ".join(f"{name.replace('_', ' ')} {train[name]}" for name in RECIPE if train.get(name) is not None)),
        ("machine", _plain(f"{machine.get('device', '?')}, {machine.get('processor', '?')}, {machine.get('precision', '?')}")),
        ("versions", ", ".join(f"{name} {number}" for name, number in made.get("versions", {}).items()) or f"headway {version('headway')}"),
    ]
    return (
        "## How it was made\n\n"
        + "\n".join(f"* {name}: {text}" for name, text in lines)
        + "\n\nWhat licence this model can have depends on the base model and on the data.\n\n"
        + ("`goldens.json` holds texts of the data it was trained with, and what it says of them: think of that before you publish it.")
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, f"|---|{'--:|' * (len(rows[0]) - 1)}", *rest])


def _plain(text: str) -> str:
    """Letters that Markdown and HTML leave alone, on one line."""
    return _MARKED.sub(r"\\\1", " ".join(text.split()))
