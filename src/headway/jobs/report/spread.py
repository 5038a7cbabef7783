"""What there is to say of trainings that differ by their seed alone, from `seeds.json`: the same words on a screen, a page and a card."""

from collections.abc import Mapping

from headway.wording import metric_text, score_text

SEEN = 0.0005  # of luck: less is not seen in three digits


def say_spread(seeds: Mapping, main: str) -> str:
    """How far they lie apart on dev in the metric that decides, and how far equally good ones would."""
    deviation, noise = score_text(seeds["parts"]["dev"][main]["deviation"]), score_text(seeds["choice"]["noise"])
    return (
        f"{metric_text(main)} differs by {deviation} between seeds (standard deviation); models that are equally good would differ by "
        f"{noise} on a dev set of this size"
    )


def say_kept(seeds: Mapping, main: str | None) -> str:
    """Which was kept, why, and what is to be expected of it; `main` is None where there is no dev set."""
    if not seeds["choice"]:
        return f"seed {seeds['kept']}: there is no dev set to choose by"
    value, expected = seeds["choice"]["value"], seeds["choice"]["expected"]
    said = f"seed {seeds['kept']}, the best on dev: {metric_text(main)} {score_text(value)}"
    if value - expected < SEEN:
        return said
    return f"{said}; about {score_text(expected)} is to be expected on other texts, as the best of {len(seeds['seeds'])} is lucky"
