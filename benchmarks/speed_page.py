"""The page of speed.py: medians, spread and ratios of what was measured, as Markdown."""

import math
import platform
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import equality
import shapes

from headway.folders import read_log

WARM_UP = 3  # updates at the start of a training that are not counted
GROUP = 50  # updates that Trainer sorts by length together, the longest first: the last of these are a whole group
PARAMETERS = 10_645_632  # of the encoder, without its embedding tables, whose rows are only looked up
LAYERS, WIDTH = 6, 384
MEAN_LENGTHS = {"sst2": 25, "conll2003": 22, "squad_v1.1": 165}  # tokens of a sequence, for the share of attention
TARGETS = {
    "step": "Asked: 12 times the flags of run_*, 1.8 times the best flags (1.5 at least), 0.6 of their memory.",
    "score": "Asked: 3 times faster to the score that Trainer has after 3 epochs.",
    "predict": "Asked: 4 times the best pipeline.",
    "start": "Asked: under 6 s, of which ours under 0.5 s.",
    "growth": "Asked: time in proportion to the rows, memory flat.",
    "gpu": """Asked: 3 times the tokens a second of Trainer with its best flags, half of the peak in updates as long as squad_v1.1's, 60%
where nothing is learned. Networks have the sizes named, and random weights; all read the same tokens.""",
    "kernels": "Kernels' share of the time, by torch's profiler; and how many times as fast it would be if products were all there is.",
}
NAMES = {
    "step": "One update of training",
    "score": "Time to equal score",
    "predict": "Prediction",
    "start": "Start",
    "growth": "Growth",
    "kernels": "Where the time goes",
    "gpu": "On a GPU",
}
READING = "Headway, reading alone"
TOLD = """# Speed

`make bench` measures all of this; a part of it, `python benchmarks/speed.py --parts step`. Encoder: all-MiniLM-L6-v2. Contestants take
turns; each number is the median over turns, with the lowest and highest in brackets. A contestant that could not be run has its own
words below the table."""
EQUALITY = "Still right"
EXPLAINED = {
    "step": """Trainer's best flags sort 50 batches at a time by length, the longest first, and pad little: of their 100 updates, and of
Headway's, the last 50 are counted, a whole group. On short texts they make the same products in bf16 that Headway makes; what can be
saved is what is around those, two fifths of an update ([where the time goes](#where-the-time-goes)). 1.5 times would leave two fifths
of that; what was tried to get there is in LOG.md. `run_ner` pads to the longest sentence of a batch and not to 128 tokens, as `run_glue`
does, so that there is less to save.

Asked of the peak: 60% on sst2, 70% on squad_v1.1. The peak is that of one large product; those of this network, 384 wide and a few
hundred tokens long, reach about three fifths of it, so that an update of nothing else would just get to 60%.

Days differ by more than turns: by over a quarter in bf16, in which Headway and Trainer's best flags learn, and hardly in fp32, in which
run_* does. So questions were 13.5 times as fast as run_qa on one day, and fall short of 12 on another (LOG.md, "speed between days").""",
    "score": """Of banking77 a layer on frozen features has more than that score in a twelfth of the time; of conll2003 one epoch has, in a
little over a third, and nine tenths of one, in less than a third, fall short by .003. On sst2 no training of up to three epochs gets to
Trainer's score: the third comes within .003, about what seeds differ by, and the first within .009.

Nothing is chosen by the test set. Headway's rate follows the epochs (`--set train.epochs=1` takes 3e-4), so Trainer has that one, too;
0 epochs are a layer fitted on frozen features, and nothing else. SetFit learns from pairs of texts: two of each text here, where it
would take all pairs there are by default; it is made for few texts, and stands beside Headway there in `make fewshot`.""",
    "predict": """The best pipeline reads bf16 and a few texts at once. Were products all there is ([below](#where-the-time-goes)),
Headway would still not be 4 times as fast as that one; it is next to what most people run, one text in fp32.""",
    "growth": "A row is the first eight words of a text: a million whole ones would take an hour.",
    "start": """The libraries' own imports are most of it; Headway's part is what is left beside the same imports and loading in plain
transformers.""",
}


def page(lines: list[dict], *, before: str = "") -> str:
    """What `lines` have of each part; of the others, what the page had `before`."""
    kept = {part.splitlines()[0]: part.strip() for part in re.split(r"^## ", before, flags=re.MULTILINE)[1:]}
    by_part = defaultdict(list)
    for line in lines:
        by_part[line["part"]].append(line)
    written = {NAMES[part]: _section(part, by_part[part]) for part in NAMES if by_part[part]}
    if equality.KEPT.is_file() and equality.complete(read_log(equality.KEPT)):
        told = "The same trainings by the fast path and by the plain one (`python benchmarks/equality.py`)."
        written[EQUALITY] = f"{told}\n\n{equality.found(read_log(equality.KEPT))}"
    unmeasured = {NAMES["gpu"]: f"{TARGETS['gpu']}\n\nNot measured."}
    sections = {name: f"{name}\n\n{text}" for name, text in unmeasured.items()} | kept
    sections |= {name: f"{name}\n\n{text}" for name, text in written.items()}
    *ordered, last = NAMES.values()
    return "\n\n".join([TOLD, *(f"## {sections[name]}" for name in (*ordered, EQUALITY, last) if name in sections)]) + "\n"


def _section(part: str, lines: list[dict]) -> str:
    commands = "\n".join(["```", *dict.fromkeys(line["command"] for line in lines), "```"])
    return "\n\n".join([TARGETS[part], TABLES[part](lines).strip(), *filter(None, [EXPLAINED.get(part)]), _machine(lines), commands])


def flops_a_token(row: str) -> float:
    """Of training: 2 a weight forward and 4 backward, and attention's two products with every token of the sequence."""
    return 6 * PARAMETERS + 3 * 4 * LAYERS * WIDTH * MEAN_LENGTHS[row]


def _machine(lines: list[dict]) -> str:
    """Where and when it was measured, and the limit there."""
    peaks = {name: statistics.median(line["peak"][name] for line in lines) for name in ("bf16", "fp32")}
    months: dict[str, dict[str, None]] = defaultdict(dict)
    for line in lines:
        month, machine = line["where"].split(", ", 1)
        months[machine][month] = None
    places = "; ".join(f"{' and '.join(of_machine)}, {machine}" for machine, of_machine in months.items())
    found = f"{peaks['bf16']:.0f} GFLOP/s in bf16, {peaks['fp32']:.0f} in fp32"
    return f"{places} · {lines[-1]['peak']['threads']} threads; best matrix\nproducts in the same turns {found}:"


def where() -> str:
    """Month, machine and versions, to be kept with what is measured now."""
    versions = " · ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "headway"))
    return f"{time.strftime('%B %Y')}, {_processor()} · Python {platform.python_version()} · {versions}"


def _processor() -> str:
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}"


def _steps(lines: list[dict]) -> str:
    found = _by_row(lines, lambda line: statistics.mean(line["step_seconds"][WARM_UP:][-GROUP:]) * 1e3)
    memory = _by_row(lines, lambda line: line["peak_mb"])
    rows = ["| data | | ms an update | times Headway | peak MB | of Headway's |", "|---|---|--:|--:|--:|--:|"]
    for row, contestants in found.items():
        ours, our_memory = (_middle(table[row].get("Headway", [])) for table in (found, memory))
        for name, values in contestants.items():
            middle, megabytes = statistics.median(values), statistics.median(memory[row][name])
            rows.append(
                f"| {row} | {name} | {_spread(values, 0)} | {middle / ours:.2f} | {megabytes:,.0f} | {megabytes / our_memory:.2f} |"
            )
    return "\n".join([*rows, "", *_shares_of_peak(lines), "", *_errors(lines)])


def _shares_of_peak(lines: list[dict]) -> list[str]:
    """Efficiency: what the model's arithmetic takes of what the machine's best matrix product does in the same turn."""
    rows = ["| data | tokens a second | MFLOP a token | share of the bf16 peak |", "|---|--:|--:|--:|"]
    for row in MEAN_LENGTHS:
        ours = [line for line in lines if line["row"] == row and line["contestant"] == "Headway" and "error" not in line]
        if ours:
            shares = [line["tokens_per_second"] * flops_a_token(row) / 1e9 / line["peak"]["bf16"] for line in ours]
            speeds = [line["tokens_per_second"] for line in ours]
            rows.append(f"| {row} | {_spread(speeds, 0)} | {flops_a_token(row) / 1e6:.0f} | {_spread([100 * s for s in shares], 0)} % |")
    return rows


def _scores(lines: list[dict]) -> str:
    seconds = _by_row(lines, lambda line: line["train_seconds"])
    reached = _by_row(lines, lambda line: line["score"])
    rows = ["| data | | test score | seconds of training | Trainer takes |", "|---|---|--:|--:|--:|"]
    for row, contestants in seconds.items():
        peer = _middle(contestants.get("Trainer, best flags", []))
        for name, values in contestants.items():
            ratio = peer / statistics.median(values)
            rows.append(
                f"| {row} | {name} | {statistics.median(reached[row][name]):.3f} | {_spread(values, 0)} | {ratio:.2f} times as long |"
            )
    return "\n".join([*rows, "", *_errors(lines)])


def _predictions(lines: list[dict]) -> str:
    speeds = _by_row(lines, lambda line: line["rows_per_second"])["agnews"]
    ours = _middle(speeds.get("Headway", []))
    rows = ["| | rows a second | Headway is |", "|---|--:|--:|"]
    rows += [f"| {name} | {_spread(values, 0)} | {ours / statistics.median(values):.2f} times as fast |" for name, values in speeds.items()]
    return "\n".join([*rows, "", *_errors(lines)])


def _starts(lines: list[dict]) -> str:
    times = _by_row(lines, lambda line: line["process_seconds"])["agnews"]
    return "\n".join(["| | seconds |", "|---|--:|", *(f"| {name} | {_spread(values, 2)} |" for name, values in times.items())])


def _growth(lines: list[dict]) -> str:
    rows = ["| rows | seconds | rows a second | peak MB |", "|--:|--:|--:|--:|"]
    rows += [f"| {x['rows']:,} | {x['seconds']:,.1f} | {x['rows'] / x['seconds']:,.0f} | {x['peak_mb']:,} |" for x in lines if "rows" in x]
    return "\n".join([*rows, "", *_errors(lines)])


def _on_gpu(lines: list[dict]) -> str:
    """Tokens a second from the mean of the last updates, all of which have as many tokens; what reads alone tells them itself."""
    speeds = _by_row(lines, lambda line: line.get("tokens_per_second") if line["contestant"] == READING else _update_speed(line))
    memory = _by_row(lines, lambda line: line.get("peak_gpu_mb", 0))
    peaks = {line["row"]: line["peak"]["bf16"] for line in lines}
    rows = ["| network, data | | tokens a second | Headway is | share of the bf16 peak | peak MB |", "|---|---|--:|--:|--:|--:|"]
    for row, contestants in speeds.items():
        shape, data = row.split(", ")
        ours = _middle(contestants.get("Headway", []))
        for name, values in contestants.items():
            work = shapes.flops_a_token(shape, MEAN_LENGTHS[data]) / (3 if name == READING else 1)
            share = f"{statistics.median(values) * work / 1e9 / peaks[row]:.0%}"
            ratio = "" if name == READING else f"{ours / statistics.median(values):.2f} times as fast"
            peak = "" if name == READING else f"{statistics.median(memory[row][name]):,.0f}"
            rows.append(f"| {row} | {name} | {_spread(values, 0)} | {ratio} | {share} | {peak} |")
    return "\n".join([*rows, "", f"On {lines[-1]['peak']['device']}.", "", *_errors(lines)])


def _update_speed(line: dict) -> float:
    data = line["row"].split(", ")[1]
    return equality.BATCH_SIZES[data] * MEAN_LENGTHS[data] / statistics.mean(line["step_seconds"][WARM_UP:][-GROUP:])


def _kernels(lines: list[dict]) -> str:
    found = _by_row(lines, lambda line: line["shares"])
    rows = ["| | products | other kernels | were products all |", "|---|--:|---|--:|"]
    for row, contestants in found.items():
        for name, turns in contestants.items():
            shares = {kernel: _middle([turn[kernel] for turn in turns if kernel in turn]) for turn in turns for kernel in turn}
            products = shares.pop("products")
            others = ", ".join(f"{kernel} {share:.0%}" for kernel, share in sorted(shares.items(), key=lambda item: -item[1]))
            rows.append(f"| {row}, {name} | {products:.0%} | {others} | {1 / products:.2f} times |")
    return "\n".join([*rows, "", *_errors(lines)])


TABLES: dict[str, Callable[[list[dict]], str]] = {
    "step": _steps,
    "score": _scores,
    "predict": _predictions,
    "start": _starts,
    "growth": _growth,
    "kernels": _kernels,
    "gpu": _on_gpu,
}


def _by_row(lines: list[dict], value: Callable[[dict], object]) -> dict[str, dict[str, list]]:
    """Of each row of the data, every contestant's values over the turns."""
    found: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if "error" not in line:
            found[line["row"]][line["contestant"]].append(value(line))
    return found


def _middle(values: list[float]) -> float:
    """Their median, or NaN where nothing was measured."""
    return statistics.median(values or [math.nan])


def _spread(values: list[float], digits: int) -> str:
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def _errors(lines: Iterable[dict]) -> list[str]:
    """What the contestants that did not run said."""
    said = {(line["row"], line["contestant"]): line["error"] for line in lines if "error" in line}
    return [f"- {row}, {name}: not run: `{error}`" for (row, name), error in said.items()]
