"""Checks of texts: what is in them that nobody meant to write, and how long they are."""

import re
from array import array
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import numpy as np

from headway.audit.findings import About, Finding, Row, Tally, Watch, around, names, share, some
from headway.records import Record

OFTEN = 0.01  # the share of texts from which on a blemish is a warning
MOST_EMPTY = 0.5  # of texts: above, the column is the wrong one
OUTLYING = 5.0  # times the 99th percentile
OUTLYING_WORDS = 50  # no text below is called long
LANGUAGE_TEXTS = 20_000  # of which the language is guessed
LANGUAGE_WORDS = 8  # shorter texts are of no language
LANGUAGE_HITS = 3  # function words that tell a language
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def empty_texts(about: About) -> Watch:
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if not all(map(_VISIBLE.search, _texts(row.record))):
            found.add(row, repr(row.record.text), detail=f"label {some(names(row.record.label))}" if row.record.label else "")
    severity = "error" if found.count > MOST_EMPTY * rows else "warning"
    return found.finding(
        "empty_texts",
        severity,
        f"{share(found.count, rows)} texts are empty",
        why="a label without a text teaches that nothing at all has this label",
        remedy="take the rows out; where there are many, the column of the text is another one: --set data.text=",
    )


_VISIBLE = re.compile("[^\\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def control_characters(about: About) -> Watch:
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if place := _first(row.record, lambda text: None if text.isprintable() else _span(_CONTROL.search(text))):
            found.add(row, _named(place))
    return found.finding(
        "control_characters",
        "warning",
        f"{share(found.count, rows)} texts hold control characters",
        why="they are left over from a conversion; tokenizers drop them or read them as unknown, and words grow together",
        remedy="replace them by a space, or read the file in the encoding it was written in: --set data.encoding=",
    )


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufff0-\uffff]")


def invisible_characters(about: About) -> Watch:
    """Characters of no width, and signs of the direction of writing, where the script has no use for them."""
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if place := _first(row.record, lambda text: None if text.isascii() or text.isprintable() else _first_invisible(text)):
            found.add(row, _named(place))
    return found.finding(
        "invisible_characters",
        "warning" if found.count > OFTEN * rows else "note",
        f"{share(found.count, rows)} texts hold invisible characters",
        why="what looks alike is not: words are torn or joined where nobody sees it, and equal texts are not found",
        remedy="take them out, here and of the texts that the model will read",
    )


def _first_invisible(text: str) -> tuple[int, int] | None:
    """Joiners shape the letters of Arabic, of Indic scripts and emoji; Thai and its like part words by a space of no width; and where
    letters run from right to left, signs of direction belong to the text."""
    for place in _INVISIBLE.finditer(text):
        beside = text[max(place.start() - 1, 0) : place.start()] + text[place.end() : place.end() + 1]
        if place[0] in _DIRECTIONS:
            used = _RIGHT_TO_LEFT.search(text)
        elif place[0] in _JOINERS:
            used = not all(map(_LATIN_OR_SPACE.match, beside))
        else:
            used = _UNSPACED.search(beside)
        if not used:
            return place.span()
    return None


_DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_JOINERS = "\u200c\u200d"
_INVISIBLE = re.compile(f"[\u00ad\u200b\u2060{_JOINERS}{_DIRECTIONS}]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LATIN_OR_SPACE = re.compile("[\\s!-~\u00c0-\u024f\u1e00-\u1eff]")
_UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")


def stray_tabs(about: About) -> Watch:
    """Tabs, where texts do not usually hold any."""
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if place := _first(row.record, lambda text: _span(_TAB.search(text)) if "\t" in text else None):
            found.add(row, around(place.text, *place.span).replace("\t", "[tab]"))
    if found.count > OFTEN * rows:
        return []
    return found.finding(
        "stray_tabs",
        "warning",
        f"{share(found.count, rows)} texts hold a tab",
        why="a tab parts columns: here several rows have most likely run together into one text",
        remedy="look at these rows, and cut them apart",
    )


_TAB = re.compile("\t")


def mojibake(about: About) -> Watch:
    """UTF-8 that was read as a one-byte encoding, and characters that a conversion has given up."""
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if place := _first(row.record, lambda text: None if text.isascii() else _first_garbled(text)):
            found.add(row, around(place.text, *place.span), detail=place.text[slice(*place.span)])
    return found.finding(
        "mojibake",
        "warning",
        f"{share(found.count, rows)} texts hold garbled characters",
        why="they were written in one encoding and read in another; the encoder has never seen such words",
        remedy="make the file anew from its source, or repair it with a tool such as ftfy",
    )


def _first_garbled(text: str) -> tuple[int, int] | None:
    for place in _BEYOND_ASCII.finditer(text):
        if "\ufffd" in place[0] or _BROKEN_SIGN.search(place[0]) or _decodes(place[0]):
            return place.span()
    return None


def _decodes(run: str) -> bool:
    """Whether the characters are, as bytes of cp1252, UTF-8 of fewer characters: no two real letters are, but by rare chance."""
    try:
        return len(run) > 1 and len(run.encode("cp1252").decode("utf-8")) < len(run)
    except UnicodeError:
        return False


_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")
_BROKEN_SIGN = re.compile("[ÂÃâå][£¥¢]|â€|Ã[©¨¼¶¤±³¡]|Â[°±²³·»«]")


def markup_remains(about: About) -> Watch:
    return (yield from _remains("markup_remains", _MARKUP, "HTML that was not taken out", "unescape and strip it, as html.unescape does"))


_MARKUP = re.compile(
    r"&(?:amp|lt|gt|quot|apos|nbsp|#x?[0-9a-f]{1,6});|(?<![&\w])(?:#\d{2,4}|quot|amp|lt|gt|nbsp);|</?(?:br|p|div|span|a|b|i|em|strong|li|ul|td|tr|img)\b[^<>]*>",
    re.IGNORECASE,
)


def stray_backslashes(about: About) -> Watch:
    return (
        yield from _remains(
            "stray_backslashes", _BACKSLASH, "backslashes from escaped line breaks or quotes", "put back what they stood for"
        )
    )


_BACKSLASH = re.compile(r"\\+(?=[\w\s\"'$])|(?<![:;=])\\+$")  # at the end not after eyes: that is a face


def _remains(check: str, pattern: re.Pattern, what: str, remedy: str) -> Watch:
    found, rows = Tally(), 0
    while (row := (yield)) is not None:
        rows += 1
        if place := _first(row.record, lambda text: _span(pattern.search(text))):
            found.add(row, around(place.text, *place.span), detail=place.text[slice(*place.span)])
    return found.finding(
        check,
        "warning" if found.count > OFTEN * rows else "note",
        f"{share(found.count, rows)} texts hold {what}",
        why="it is noise that the model learns to look past, and may learn from where it goes with a label",
        remedy=f"{remedy}; do the same to the texts that the model will read",
    )


class Place(NamedTuple):
    """Characters in one of the texts of a record."""

    text: str
    span: tuple[int, int]


def _texts(record: Record) -> tuple[str, ...]:
    """All that people have written in it."""
    return tuple(text for text in (record.text, record.text_pair, record.question) if text is not None)


def _first(record: Record, find: Callable[[str], tuple[int, int] | None]) -> Place | None:
    """What `find` finds in the first of the texts where it finds something."""
    return next((Place(text, span) for text in _texts(record) if (span := find(text)) is not None), None)


def _span(match: re.Match | None) -> tuple[int, int] | None:
    return None if match is None else match.span()


def _named(place: Place) -> str:
    """What nobody sees, by its number."""
    unseen = place.text[slice(*place.span)]
    return around(place.text, *place.span).replace(unseen, f"[{ord(unseen):04X}]")


def scripts(about: About) -> Watch:
    """Texts whose letters are mostly of another script than those of most texts."""
    counts: Counter[str] = Counter()
    found: dict[str, Tally] = {}
    while (row := (yield)) is not None:
        script = _script(row.record.text)
        if script:
            counts[script] += 1
            found.setdefault(script, Tally()).add(row)
    if len(counts) < 2:
        return []
    (usual, _), *others = counts.most_common()
    count = sum(number for _, number in others)
    which = ", ".join(f"{name} {number:,}" for name, number in others)
    return [
        Finding(
            "scripts",
            "note",
            count,
            f"{share(count, counts.total())} texts are not in {usual} letters: {which}",
            why="an encoder that was trained on one script reads others as single bytes or as unknown",
            remedy="choose an encoder for several languages, or take these texts out",
            examples=tuple(chain.from_iterable(found[name].examples for name, _ in others))[:5],
            table=(("script", "texts"), *((name, f"{number:,}") for name, number in counts.most_common())),
        )
    ]


_SCRIPTS = {
    "Latin": re.compile("[a-zA-Z\u00c0-\u024f\u1e00-\u1eff]"),
    "Cyrillic": re.compile("[\u0400-\u052f]"),
    "Greek": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "Arabic": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "Hebrew": re.compile("[\u0590-\u05ff]"),
    "Devanagari": re.compile("[\u0900-\u097f]"),
    "Bengali": re.compile("[\u0980-\u09ff]"),
    "Tamil": re.compile("[\u0b80-\u0bff]"),
    "Thai": re.compile("[\u0e00-\u0e7f]"),
    "Ethiopic": re.compile("[\u1200-\u139f]"),
    "Georgian": re.compile("[\u10a0-\u10ff]"),
    "Armenian": re.compile("[\u0530-\u058f]"),
    "Hangul": re.compile("[\u1100-\u11ff\uac00-\ud7af]"),
    "Kana": re.compile("[\u3040-\u30ff]"),
    "Han": re.compile("[\u3400-\u9fff]"),
}


def _script(text: str) -> str:
    """The script of most letters; "" where there is no letter. Han beside kana is Japanese, and counted as kana."""
    if text.isascii():
        return "Latin" if _SCRIPTS["Latin"].search(text) else ""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    best = max(counts, key=counts.get)
    return "" if not counts[best] else "Kana" if best == "Han" and counts["Kana"] else best


def languages(about: About) -> Watch:
    """The language of texts in Latin letters, told by the function words of some; the first `LANGUAGE_TEXTS` texts are looked at."""
    counts: Counter[str] = Counter()
    found: dict[str, Tally] = {}
    rows = 0
    while (row := (yield)) is not None:
        rows += 1
        if rows <= LANGUAGE_TEXTS and (language := _language(row.record.text)):
            counts[language] += 1
            found.setdefault(language, Tally()).add(row)
    others = [(name, number) for name, number in counts.most_common()[1:] if number > OFTEN * counts.total()]
    if not others:
        return []
    count = sum(number for _, number in others)
    return [
        Finding(
            "languages",
            "note",
            count,
            f"texts are in several languages: {', '.join(f'{name} {number:,}' for name, number in [counts.most_common(1)[0], *others])}",
            why="an encoder for one language reads others badly",
            remedy="choose an encoder for several languages, and look at the score of each language by itself",
            examples=tuple(chain.from_iterable(found[name].examples[:2] for name, _ in others))[:5],
            table=(("language", "texts"), *((name, f"{number:,}") for name, number in counts.most_common())),
        )
    ]


_FUNCTION_WORDS = {  # none of them a word of another language here, as far as that can be had
    "English": "the and of is that it was for with this are you have not what how my",
    "German": "der das und ist nicht ein eine ich mit auf den zu wird auch wie",
    "French": "les et est une dans qui pas vous avec sur nous pour des ce je",
    "Spanish": "el los las y una por es del como pero muy más está qué su",
    "Italian": "il che di è sono della gli anche più questo nel alla dei perché",
    "Portuguese": "os não uma com foi dos você ao ele são em mais isso também",
    "Dutch": "het een van niet voor zijn ook naar wordt dat ik maar deze",
    "Swedish": "och att det som är på av för med inte till har ett jag",
    "Swahili": "ya wa kwa ni katika za hiyo kuwa cha yake alisema huo hii hilo",
    "Polish": "nie na się że jest jak ale przez od po czy oraz dla tak",
    "Turkish": "ve bir bu için çok gibi daha ne olarak kadar olan var değil",
}
_LANGUAGES = {name: frozenset(words.split()) for name, words in _FUNCTION_WORDS.items()}


def _language(text: str) -> str:
    """ "" where no language is clearly ahead."""
    words = text.casefold().split()
    if len(words) < LANGUAGE_WORDS:
        return ""
    hits = sorted(((sum(word in known for word in words), name) for name, known in _LANGUAGES.items()), reverse=True)
    (most, best), (next_most, _) = hits[:2]
    return best if most >= LANGUAGE_HITS and most > 2 * next_most else ""


def lengths(about: About) -> Watch:
    """How long texts are, in words."""
    counted = {part: array("i") for part in about.parts}
    while (row := (yield)) is not None:
        counted[row.part].append(_words(row.record))
    filled = {part: np.array(numbers) for part, numbers in counted.items() if numbers}
    if not filled:
        return []
    head = ("part", "shortest 1%", "25%", "median", "75%", "95%", "99%", "longest")
    rows = tuple((part, *(f"{value:,.0f}" for value in np.quantile(numbers, QUANTILES))) for part, numbers in filled.items())
    everything = np.concatenate(list(filled.values()))
    middle, long = np.quantile(everything, [0.5, 0.99])
    return [
        Finding(
            "lengths",
            "note",
            0,
            f"texts have {middle:,.0f} words in the median, 99% under {long + 1:,.0f}",
            why="long texts are read in several windows, and cost more",
            remedy="nothing has to be done: no text is cut off",
            table=(head, *rows),
        )
    ]


def _words(record: Record) -> int:
    return len(record.text.split()) + (len(record.text_pair.split()) if record.text_pair else 0)


def outlying_lengths(about: About) -> Watch:
    """Texts so much longer than the others that they may be several."""
    longest: list[tuple[int, Row]] = []
    counts: Counter[int] = Counter()
    while (row := (yield)) is not None:
        words = _words(row.record)
        counts[words] += 1
        if words > OUTLYING_WORDS and (len(longest) < 50 or words > longest[-1][0]):
            longest = sorted([*longest, (words, row)], key=lambda pair: -pair[0])[:50]
    if not longest:
        return []
    found, limit = Tally(), max(OUTLYING * _quantile(counts, 0.99), OUTLYING_WORDS)
    for words, row in longest:
        if words > limit:
            found.add(row, detail=f"{words:,} words")
    found.count = sum(count for words, count in counts.items() if words > limit)
    return found.finding(
        "outlying_lengths",
        "warning",
        f"{share(found.count, counts.total())} texts have more than {limit:,.0f} words, five times what 99% have",
        why="a quote or a line end that is missing makes one text of many rows, and their labels are lost",
        remedy="look at these rows; where they are what they should be, nothing has to be done",
    )


def _quantile(counts: Counter[int], part: float) -> int:
    """The smallest number that `part` of all do not exceed."""
    left = part * counts.total()
    for number in sorted(counts):
        left -= counts[number]
        if left <= 0:
            return number
    return max(counts)
