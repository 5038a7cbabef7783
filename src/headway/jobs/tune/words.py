"""Settings in words."""

from collections.abc import Mapping


def settings_words(values: Mapping[str, object]) -> str:
    """learning_rate 8.3e-05, batch_size 16"""
    return ", ".join(f"{name.partition('.')[2]} {short(value)}" for name, value in values.items())


def short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
