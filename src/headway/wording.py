"""Numbers and names as a person reads them, on a screen and on a page alike."""

ACRONYMS = {"f1", "mcc", "mae", "rmse", "em", "ece"}
PEOPLE = {"pearson", "spearman", "brier"}


def score_text(value: float) -> str:
    """.881, -.012, 1.000, 12.345: three digits, and no zero that says nothing."""
    text = f"{round(value, 3) + 0.0:,.3f}"  # adding 0.0 makes -0.0 a plain 0
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def signed_text(value: float) -> str:
    """+.012, -.004: of a difference."""
    return ("+" if round(value, 3) > 0 else "") + score_text(value)


def p_text(p: float) -> str:
    """p = .456, or p < .001: of a test."""
    return "p < .001" if p < 0.001 else f"p = {score_text(p)}"


def clock_text(seconds: float) -> str:
    """0:41, 12:07, 1:02:41."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def sentence(text: str) -> str:
    """The same with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def metric_text(metric: str) -> str:
    """The name of a metric in words: macro_f1 -> macro F1, spearman -> Spearman."""
    return " ".join(_spelt(word) for word in metric.split("_"))


def _spelt(word: str) -> str:
    return word.upper() if word.lower() in ACRONYMS else word.title() if word in PEOPLE else word
