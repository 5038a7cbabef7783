"""Whether 95% intervals hold the truth 95% of the time: samples from populations whose true scores are known, scored as runs are.

    python benchmarks/intervals.py            writes benchmarks/intervals.md; some minutes of one core

The truth is the score of a sample so large that it hardly varies. Beside the interval that Headway gives stand the percentiles of the same
replicates, and BCa (Efron 1987, Better Bootstrap Confidence Intervals), the usual choices.
"""

import argparse
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
from scipy.stats import norm

from headway.metrics import (
    Scores,
    differences,
    score_answers,
    score_classes,
    score_label_sets,
    score_numbers,
    score_spans,
    units,
    with_intervals,
    with_probabilities,
)
from headway.metrics.resampling import replicated
from headway.records import Prediction, Record, Span

Sample = tuple[Scores, list[str]]  # and the group of each record
Draw = Callable[[np.random.Generator, int], Sample]
USUAL = 133  # samples of which percentiles and BCa are made too, which takes far longer
PAGE = Path(__file__).with_name("intervals.md")


def drawn_classes(prior: list[float], rates: list[float]) -> Draw:
    """Classes as frequent as `prior`, called right as often as `rates`, and otherwise any other class."""

    def draw(generator: np.random.Generator, count: int) -> Sample:
        gold_N = generator.choice(len(prior), p=prior, size=count)
        other_N = (gold_N + generator.integers(1, len(prior), size=count)) % len(prior)
        said_N = np.where(generator.random(count) < np.array(rates)[gold_N], gold_N, other_N)
        return score_classes([*map(str, gold_N)], [*map(str, said_N)]), [""] * count

    return draw


def drawn_probabilities(generator: np.random.Generator, count: int) -> Sample:
    """Three classes, said too surely."""
    honest_NC = generator.dirichlet([0.6, 0.6, 0.6], size=count)
    gold_N = (honest_NC.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    said_NC = honest_NC**1.7 / (honest_NC**1.7).sum(axis=1, keepdims=True)
    records = [Record("", label="abc"[min(gold, 2)]) for gold in gold_N]
    said = [Prediction(label="abc"[row.argmax()], confidence=row.max(), scores=dict(zip("abc", row, strict=True))) for row in said_NC]
    scores = score_classes([record.label for record in records], [prediction.label for prediction in said])
    return with_probabilities(scores, records, said), [""] * count


def drawn_label_sets(generator: np.random.Generator, count: int) -> Sample:
    """Five labels, from frequent to rare."""
    has_NL = generator.random((count, 5)) < [0.4, 0.3, 0.2, 0.15, 0.1]
    said_NL = np.clip(generator.normal(0.25 + 0.45 * has_NL, 0.25), 0, 1)
    labels = np.array(list("abcde"))
    records = [Record("", label=tuple(labels[row])) for row in has_NL]
    said = [Prediction(label=tuple(labels[row > 0.5]), scores=dict(zip("abcde", row, strict=True))) for row in said_NL]
    scores = score_label_sets([record.label for record in records], [prediction.label for prediction in said])
    return with_probabilities(scores, records, said), [""] * count


def drawn_numbers(generator: np.random.Generator, count: int) -> Sample:
    gold_N = generator.gamma(2.0, size=count)
    return score_numbers(gold_N.tolist(), (gold_N + generator.normal(scale=1.0, size=count)).tolist()), [""] * count


def drawn_entities(generator: np.random.Generator, count: int) -> Sample:
    """Sentences of two entities, eight sentences a document; some documents are hard as a whole."""
    ease_D = generator.beta(6, 1.5, size=-(-count // 8))
    ease_N2 = np.repeat(ease_D, 8)[:count, None]
    luck_N2, kind_N2 = generator.random((count, 2)), generator.choice(["PER", "LOC", "ORG"], p=[0.5, 0.35, 0.15], size=(count, 2))
    found_N2 = np.select([luck_N2 < ease_N2, luck_N2 < (1 + 3 * ease_N2) / 4, luck_N2 < (1 + ease_N2) / 2], [0, 1, 2], 3)
    gold, predicted = [], []
    for kinds, found in zip(kind_N2.tolist(), found_N2.tolist(), strict=True):
        truth = [Span(start, start + 5, kind) for start, kind in zip((0, 10), kinds, strict=True)]
        guesses = [(span, Span(span.start, span.end - 2, span.label), Span(span.start, span.end, "LOC")) for span in truth]
        gold.append(truth)
        predicted.append([guess[how] for guess, how in zip(guesses, found, strict=True) if how < 3])
    groups = [f"document {number // 8}" for number in range(count)]
    return score_spans(gold, predicted), groups


def drawn_answers(generator: np.random.Generator, count: int) -> Sample:
    """Ten questions a paragraph, a third without an answer; some paragraphs are hard as a whole."""
    gold, predicted, groups = [], [], []
    ease_D = generator.beta(4, 2, size=-(-count // 10))
    for number in range(count):
        answered, right = generator.random() < 0.67, generator.random() < ease_D[number // 10]
        wrong = generator.choice(["", "one", "two three four"]) if answered else "one"
        gold.append(["one two three"] if answered else [])
        predicted.append(("one two three" if answered else "") if right else wrong)
        groups.append(f"paragraph {number // 10}")
    return score_answers(gold, predicted), groups


class Population(NamedTuple):
    draw: Draw
    sizes: tuple[int, ...]
    metrics: tuple[tuple[str | None, str], ...]
    truth_of: int = 200_000  # records that the truth is taken from


def overall(*metrics: str) -> tuple[tuple[None, str], ...]:
    return tuple((None, metric) for metric in metrics)


POPULATIONS = {
    "2 classes, balanced, 90% right": Population(drawn_classes([0.5, 0.5], [0.9, 0.9]), (50, 200), overall("accuracy", "macro_f1", "mcc")),
    "3 classes, the rarest 10%": Population(
        drawn_classes([0.6, 0.3, 0.1], [0.95, 0.85, 0.6]), (50, 200, 1000), (*overall("accuracy", "macro_f1", "mcc"), ("2", "f1"))
    ),
    "spam, 13%, nearly all right": Population(
        drawn_classes([0.87, 0.13], [0.995, 0.95]), (50, 200, 1000), (*overall("accuracy", "macro_f1", "mcc"), ("1", "f1"), ("1", "recall"))
    ),
    "label sets": Population(
        drawn_label_sets, (200,), (*overall("micro_f1", "macro_f1", "samples_f1", "average_precision"), ("e", "average_precision")), 60_000
    ),
    "numbers": Population(drawn_numbers, (50, 200), overall("pearson", "spearman", "mae", "rmse")),
    "probabilities": Population(drawn_probabilities, (200, 1000), overall("brier", "ece")),
    "entities, by document": Population(
        drawn_entities, (200, 400), (*overall("f1", "macro_f1", "partial_f1", "type_f1"), ("ORG", "recall")), 80_000
    ),
    "answers, by paragraph": Population(drawn_answers, (300,), overall("em", "f1", "HasAns_f1", "NoAns_f1"), 80_000),
}


def bca(value: float, replicates_B: np.ndarray, without_U: np.ndarray) -> tuple[float, float]:
    """`without_U`: the score without each unit."""
    middle = norm.ppf(np.clip((np.mean(replicates_B < value) + np.mean(replicates_B <= value)) / 2, 1e-4, 1 - 1e-4))
    off_U = without_U.mean() - without_U
    spread = (off_U**2).sum() ** 1.5
    skew = (off_U**3).sum() / (6 * spread) if spread > 0 else 0.0
    at = middle + norm.ppf([0.025, 0.975])
    return tuple(np.quantile(replicates_B, norm.cdf(middle + at / (1 - skew * at))))


def intervals_of(sample: Sample, keys: tuple, *, seed: int, usual: bool) -> dict[str, dict[tuple, tuple[float, float]]]:
    """By method, the interval of each score."""
    scores, groups = sample
    found = {"Headway": with_intervals(scores, groups, seed=seed).intervals}
    if usual:
        unit_N = units(groups)
        drawn = replicated(scores.weigh, unit_N, seed=seed)
        without = scores.weigh((unit_N[:, None] != np.arange(unit_N.max() + 1)).astype(float))
        known = {key: values_B[~np.isnan(values_B)] for key, values_B in drawn.items() if key in keys}
        known = {key: values_B for key, values_B in known.items() if len(values_B) and not np.isnan(without[key]).any()}
        found["percentile"] = {key: tuple(np.quantile(values_B, [0.025, 0.975])) for key, values_B in known.items()}
        found["BCa"] = {key: bca(_value(scores, key), values_B, without[key]) for key, values_B in known.items()}
    return found


def _value(scores: Scores, key: tuple) -> float:
    label, metric = key
    return scores.values[metric] if label is None else scores.by_label[label][metric]


def coverage(population: Population, count: int, *, samples: int, truth: dict) -> dict[tuple, dict[str, tuple[int, int, float]]]:
    """By score and method: how often the interval held the truth, of how many, and how wide it was in the mean."""
    held: dict = defaultdict(lambda: defaultdict(lambda: [0, 0, 0.0]))
    generator = np.random.default_rng(count)
    for number in range(samples):
        by_method = intervals_of(population.draw(generator, count), population.metrics, seed=number, usual=number < USUAL)
        for method, intervals in by_method.items():
            for key in population.metrics:
                if key in intervals:
                    low, high = intervals[key]
                    tally = held[key][method]
                    tally[:] = tally[0] + (low - 1e-9 <= truth[key] <= high + 1e-9), tally[1] + 1, tally[2] + high - low
    return {key: {m: (hits, of, width / of) for m, (hits, of, width) in methods.items()} for key, methods in held.items()}


def difference_coverage(count: int, *, samples: int) -> tuple[dict[str, float], float]:
    """How often the interval of a difference of two models holds it, and how often equally good ones are called different."""
    generator = np.random.default_rng(count)
    held = {"accuracy": 0, "macro_f1": 0}
    prior, rates = np.array([0.7, 0.3]), (np.array([0.85, 0.8]), np.array([0.9, 0.85]))

    def said(gold_N, rates_C, hard_N):
        return np.where(hard_N * 0.5 + generator.random(len(gold_N)) * 0.5 < rates_C[gold_N], gold_N, 1 - gold_N)

    def both(count: int, rates_of: tuple) -> Scores:
        gold_N, hard_N = generator.choice(2, p=prior, size=count), generator.random(count)
        first_N, second_N = (said(gold_N, of, hard_N) for of in rates_of)
        return score_classes([*map(str, gold_N)] * 2, [*map(str, first_N), *map(str, second_N)])

    large = differences(both(200_000, rates), np.arange(200_000), replicates=2, exchanges=1)
    called = 0
    for number in range(samples):
        found = differences(both(count, rates), np.arange(count), exchanges=1, seed=number)
        for metric in held:
            held[metric] += found[None, metric].low <= large[None, metric].value <= found[None, metric].high
        equal = differences(both(count, (rates[0], rates[0])), np.arange(count), replicates=2, exchanges=500, seed=number)
        called += equal[None, "macro_f1"].p < 0.05
    return {metric: hits / samples for metric, hits in held.items()}, called / samples


def row(name: str, count: int, key: tuple, methods: dict, truth: float) -> str:
    cells = [f"{100 * methods[m][0] / methods[m][1]:.1f}" if m in methods else "" for m in ("Headway", "percentile", "BCa")]
    score = key[1] if key[0] is None else f"{key[1]} of one"
    return f"| {name} | {count:,} | {score} | {truth:.3f} | {methods['Headway'][2]:.3f} | {' | '.join(cells)} |"


def outside(rows: list[str]) -> str:
    """Which of Headway's intervals hold less or more often than wanted, and what that means."""
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in rows]
    held = {f"{score} of {count} records ({name})": float(of) for name, count, score, _, _, of, _, _ in cells}
    less, more = ({name: of for name, of in held.items() if of < 93}, {name: of for name, of in held.items() if of > 97})
    said = f"Wanted: 93 to 97, where {len(rows) - len(less) - len(more)} of {len(rows)} are."
    for found, meaning in ((less, "Too sure, under 93"), (more, "Wider than they need to be, over 97")):
        said += f"\n\n{meaning}: " + ("; ".join(f"{name} {of:.1f}" for name, of in found.items()) or "none") + "."
    return said


def page(rows: list[str], pairs: list[str], *, samples: int, seconds: float) -> str:
    machine = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    return f"""# Do 95% intervals hold?

{__doc__.split(chr(10))[0]}

```
python benchmarks/intervals.py --samples {samples}
```

{machine}; {seconds:.0f} CPU seconds. Headway: of {samples} samples, so that 95% show as {95 - 196 * (0.0475 / samples) ** 0.5:.1f} to \
{95 + 196 * (0.0475 / samples) ** 0.5:.1f} (19 times in 20); percentiles and BCa, from the same 1,000 replicates: of the first \
{min(USUAL, samples)}.

| population | records | score | truth | width | Headway | percentile | BCa |
|---|--:|---|--:|--:|--:|--:|--:|
{chr(10).join(rows)}

{outside(rows)}

Near 1, few records make few different scores, and an interval that holds often enough holds too often.

Differences of two models on the same records, of accuracy and of macro F1, and how often two models that are equally good are called
different in macro F1 (p < .05 by approximate randomisation):

| records | accuracy | macro F1 | called different |
|--:|--:|--:|--:|
{chr(10).join(pairs)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=PAGE)
    wanted = parser.parse_args()
    started, rows, pairs = time.process_time(), [], []
    for name, population in POPULATIONS.items():
        scores, _ = population.draw(np.random.default_rng(99), population.truth_of)
        truth = {key: _value(scores, key) for key in population.metrics}
        for count in population.sizes:
            found = coverage(population, count, samples=wanted.samples, truth=truth)
            rows += [row(name, count, key, found[key], truth[key]) for key in population.metrics]
            print("\n".join(rows[-len(population.metrics) :]), f"{time.process_time() - started:.0f} s", flush=True)
    for count in (100, 400):
        held, called = difference_coverage(count, samples=wanted.samples // 2)
        pairs.append(f"| {count} | {100 * held['accuracy']:.1f} | {100 * held['macro_f1']:.1f} | {100 * called:.1f} |")
        print(pairs[-1], f"{time.process_time() - started:.0f} s")
    wanted.out.write_text(page(rows, pairs, samples=wanted.samples, seconds=time.process_time() - started), encoding="utf-8")


if __name__ == "__main__":
    main()
