"""Tags of tokens -> entities, strictly: which scheme the tags follow, and where they break it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from headway.errors import did_you_mean
from headway.records import Span

# What each prefix says of its token, by scheme. The IOB schemes have no end: an entity ends where the next tag does not continue it.
SCHEMES: dict[str, dict[str, str]] = {
    "IOB2": {"B": "begin", "I": "inside"},
    "IOB1": {"B": "begin", "I": "inside"},  # B- only where an entity follows one of its own type
    "BIOES": {"B": "begin", "I": "inside", "E": "end", "S": "single"},
    "BILOU": {"B": "begin", "I": "inside", "L": "end", "U": "single"},
    "BMEWO": {"B": "begin", "M": "inside", "E": "end", "W": "single"},
    "BMES": {"B": "begin", "M": "inside", "E": "end", "S": "single"},
    "IOE2": {"I": "inside", "E": "end"},  # I- begins, or E- where the entity is one token
    "IOE1": {"I": "inside", "E": "end"},  # E- only where an entity is followed by one of its own type
}


_LOOSE = ("IOB1", "IOE1", "IOE2")  # an entity needs no tag that begins it


_MOST_DIFFERENT = 10_000  # tags; a column with more of them holds something else, and the first tag of it will be refused


class TagFault(NamedTuple):
    """A tag that its scheme does not allow."""

    position: int  # of its token
    says: str


class TagFaults(Exception):
    """All that is wrong with the tags of a sentence."""

    def __init__(self, faults: Sequence[TagFault]):
        super().__init__(faults[0].says)
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Tagging:
    """How a file tags: its scheme, and how often each tag occurs."""

    scheme: str
    known: Counter[str]


class Entity(NamedTuple):
    """Tokens `start` to `end`, without the end."""

    start: int
    end: int
    label: str


def is_tag(text: str) -> bool:
    """Whether `text` has the form of a tag: O, or a capital, a hyphen and a type."""
    return text == "O" or (len(text) > 2 and text[0].isupper() and text[1] == "-")


def survey_tags(sequences: Iterable[Sequence[str]], *, scheme: str | None) -> Tagging:
    """The tags in use and the scheme they follow; `scheme` overrides the guess. Reads all, forgives all."""
    known: Counter[str] = Counter()
    by_inside = by_begin = unended = 0
    for tags in sequences:
        known.update(tags if len(known) < _MOST_DIFFERENT else filter(known.__contains__, tags))
        for before, tag in pairwise(["O", *tags]):
            continues = before[1:] == tag[1:] and before != "O"
            by_inside += tag.startswith("I-") and not continues
            by_begin += tag.startswith("B-") and not continues
        unended += sum(tag.startswith("I-") and after[1:] != tag[1:] for tag, after in pairwise([*tags, "O"]))
    return Tagging(scheme or _guess_scheme(known, starts_inside=by_inside, starts_begin=by_begin, unended=unended), known)


def _guess_scheme(known: Counter[str], *, starts_inside: int, starts_begin: int, unended: int) -> str:
    """The first scheme that knows the most of the prefixes; IOB1 where I- begins more entities than B-, IOE1 where one ends in I-."""
    prefixes: Counter[str] = Counter()
    for tag, count in known.items():
        prefixes[tag[0] if is_tag(tag) else ""] += count
    best = max(SCHEMES, key=lambda name: sum(prefixes[prefix] for prefix in SCHEMES[name]))
    if prefixes["E"] and not any(prefixes[prefix] for prefix in "BSULWM"):
        return "IOE1" if unended else "IOE2"
    return "IOB1" if best == "IOB2" and starts_inside > starts_begin else best


def entities(tags: Sequence[str | None], tagging: Tagging) -> list[Entity]:
    """The entities of one sentence, in order. None stands for the tag of a token that is at fault itself.

    Raises:
        TagFaults: tags are none of the scheme, or stand where the scheme does not allow it. What follows one that is at fault is looked
            at as if it had begun what it names.
    """
    found: list[Entity] = []
    faults: list[TagFault] = []
    start, label, before, known = None, "", "O", True  # known: whether it can be told what the last tag names
    loose = tagging.scheme in _LOOSE
    has_end = "end" in SCHEMES[tagging.scheme].values() and tagging.scheme != "IOE1"
    for position, tag in enumerate([*tags, "O"]):
        said = None if tag == "O" else _unknown(tag, tagging)
        if said is not None:
            faults += [TagFault(position, said)] if said else []
            start, known = None, False
            continue
        role, kind = _parse(tag, tagging)
        continues = role in ("inside", "end")
        if start is not None and continues and kind == label:
            if role == "end":
                found.append(Entity(start, position + 1, label))
                start = None
        else:
            if start is not None and has_end:
                faults.append(TagFault(min(position, len(tags) - 1), _unfinished(tag if position < len(tags) else "", before, tagging)))
            elif continues and not loose and known:
                faults.append(TagFault(position, _stray(tag, before if position else "", tagging)))
            if start is not None:
                found.append(Entity(start, position, label))
            if role in ("single", "end"):
                found.append(Entity(position, position + 1, kind))
            start, label = (position, kind) if role in ("begin", "inside") else (None, "")
        before, known = tag, True
    if faults:
        raise TagFaults(faults)
    return found


def to_tags(found: Iterable[Entity | tuple[int, int, str]], count: int, *, scheme: str) -> list[str]:
    """The tags of `count` tokens that say which entities stand there, none of them in another: what `entities` reads back."""
    prefix = {role: letter for letter, role in SCHEMES[scheme].items()}
    ordered = sorted(found)
    tags = ["O"] * count
    for position, (start, end, label) in enumerate(ordered):
        inside = prefix["inside"]
        tags[start:end] = [f"{inside}-{label}"] * (end - start)
        neighbour = ordered[position - 1] if position else None
        if "begin" in prefix and (scheme != "IOB1" or (neighbour and neighbour[1:] == (start, label))):
            tags[start] = f"{prefix['begin']}-{label}"
        neighbour = ordered[position + 1] if position + 1 < len(ordered) else None
        if "end" in prefix and (scheme != "IOE1" or (neighbour and (neighbour[0], neighbour[2]) == (end, label))):
            tags[end - 1] = f"{prefix['end']}-{label}"
        if "single" in prefix and end - start == 1:
            tags[start] = f"{prefix['single']}-{label}"
    return tags


def join_tokens(tokens: Sequence[str], found: Iterable[Entity]) -> tuple[str, tuple[Span, ...]]:
    """The tokens with one space between them, and the entities as characters of that text."""
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    return " ".join(tokens), tuple(Span(starts[entity.start], starts[entity.end] - 1, entity.label) for entity in found)


def _unknown(tag: str | None, tagging: Tagging) -> str | None:
    """Why nothing is known of what a tag names: "" where that has been told already, None where it is known."""
    if tag is None:
        return ""
    if not is_tag(tag):
        return f'tag "{tag}" is neither O nor a prefix and a type, such as B-PER'
    roles = SCHEMES[tagging.scheme]
    if tag[0] in roles:
        return None
    others = [other for other in tagging.known if other[0] in roles and is_tag(other)]
    allowed = f"{tagging.scheme} knows {', '.join(roles)} and O"
    return f'tag "{tag}" begins with {tag[0]}; {allowed}{did_you_mean(tag, others)}'


def _parse(tag: str, tagging: Tagging) -> tuple[str, str]:
    return ("outside", "") if tag == "O" else (SCHEMES[tagging.scheme][tag[0]], tag[2:])


def _stray(tag: str, before: str, tagging: Tagging) -> str:
    """Why an entity cannot begin with `tag`: most often a slip in its type, else a B- that became an I-."""
    where = f'tag "{tag}" follows "{before}"' if before else f'tag "{tag}" begins a sentence'
    label = tag[2:]
    others = [other for other in tagging.known if is_tag(other) and other != "O" and other[2:] != label]
    alone = sum(count for other, count in tagging.known.items() if other[2:] == label) == 1
    nearest = did_you_mean(tag, others)
    if alone and nearest:
        return f"{where} and no other tag ends in {label}{nearest}"
    remedy = f'in {tagging.scheme} an entity begins with B-: write "B-{label}"'
    loose = ", or let I- begin entities: add --set data.scheme=IOB1" if tagging.scheme == "IOB2" else ""
    return f"{where}; {remedy}{loose}"


def _unfinished(tag: str, before: str, tagging: Tagging) -> str:
    roles = SCHEMES[tagging.scheme]
    allowed = " or ".join(f'"{prefix}-{before[2:]}"' for prefix, role in roles.items() if role in ("inside", "end"))
    found = f'tag "{tag}" follows "{before}"' if tag else f'the sentence ends after "{before}"'
    return f"{found}; in {tagging.scheme} only {allowed} can follow"
