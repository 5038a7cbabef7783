"""Bad input: whatever is in a file, it is read or refused in one line that names it, never by a traceback, in bounded memory."""

import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from pyarrow import parquet

from headway.config import Data
from headway.errors import ConfigError, DataError
from headway.readers import READERS, columnar, formats_for, guess_format, read, write
from headway.readers.faults import RecordError
from headway.readers.writing import Target, save
from headway.records import Record, Span

CAP_MIB = 1024  # of resident memory for any file, with Python and its libraries: where lines and objects are as long as they may be
RECORDS = {
    "ner": [
        Record("Ann Lee saw Rome.", entities=(Span(0, 7, "PER"), Span(12, 16, "LOC")), id="a1", group="d"),
        Record("Bob, too", entities=(Span(0, 3, "PER"),), id="a2", group="d"),
        Record("rain  again", entities=(), id="a3"),
    ]
    * 3,
    "qa": [
        Record("Ann saw Rome.", question="What?", answers=(Span(8, 12),), id="q1", group="t"),
        Record("Ann saw Rome.", question="When?", answers=(), id="q2", group="t"),
    ],
    "classification": [Record(f"a {word} film, {n}", label=word, id=str(n)) for n, word in enumerate(["good", "bad", "fair"] * 4)],
}
NAMES = {
    "csv": "x.csv",
    "tsv": "x.tsv",
    "conll": "x.conll",
    "json": "x.json",
    "squad": "x.json",
    "label studio": "x.json",
    "conllu": "x.conllu",
    "sentence lines": "x.iob",
    "webanno": "x.tsv",
    "spacy documents": "x.json",
    "fasttext": "x.txt",
}
PLAIN = {  # formats that are only read
    "label lines": ("x.txt", "NUM:dist How far ?\nHUM:ind Who ?\nNUM:dist How long ?\nHUM:ind Whose ?\n"),
    "text": ("x.txt", "a film\nanother film\n"),
}


def make_workbook(path: Path) -> None:
    book = Workbook()
    for row in [["text", "label"], *([record.text, record.label] for record in RECORDS["classification"])]:
        book.active.append(row)
    book.save(path)


@pytest.fixture(scope="session")
def seeds(tmp_path_factory) -> dict[str, Path]:
    return make_seeds(tmp_path_factory.mktemp("seeds"))


def make_seeds(root: Path) -> dict[str, Path]:
    """A good file (or folder) of every format and task."""
    found: dict[str, Path] = {}
    for task, records in RECORDS.items():
        for name in formats_for(task):
            found[f"{name}, {task}"] = path = root / task / name / NAMES.get(name, "x.jsonl" if name != "brat" else "x")
            save(write(records, name, Target(task)), path)
    for name, (file, text) in PLAIN.items():
        found[name] = path = root / name / file
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    found["workbook"] = root / "x.xlsx"
    make_workbook(found["workbook"])
    for label in ("good", "bad"):
        (root / "classes" / label).mkdir(parents=True)
        (root / "classes" / label / "1.txt").write_text(f"a {label} film")
    found["class folders"] = root / "classes"
    found["dataset"] = root / "saved"
    found["dataset"].mkdir()
    (found["dataset"] / "state.json").write_text(json.dumps({"_data_files": [{"filename": "x.arrow"}]}))
    save(write(RECORDS["classification"], "arrow", Target("classification")), found["dataset"] / "x.arrow")
    (root / "parallel").mkdir()
    (root / "parallel" / "x_text.txt").write_text("a film\nanother film\n")
    (root / "parallel" / "x_labels.txt").write_text("good\nbad\n")
    found["parallel files"] = root / "parallel" / "x_text.txt"
    return found


SEEDS = [
    *(f"{name}, {task}" for task in RECORDS for name in formats_for(task)),
    *PLAIN, "workbook", "class folders", "dataset", "parallel files",
]  # fmt: skip
HUB = "hf://somebody/something"  # whose files are those of Arrow, wherever `datasets` has put them


def test_every_reader_has_a_good_file(seeds):
    assert list(seeds) == SEEDS
    assert READERS.keys() == {guess_format(path) for path in seeds.values()} | {guess_format(Path(HUB))}


# --- mutations of good files


def _wrong_types(content: bytes, dice: random.Random) -> bytes:
    """Texts become numbers, numbers texts, and lists objects, here and there."""
    swaps = [
        (rb'"[^"\\]*"', b"12"),
        (rb"\d+", b'"x"'),
        (rb"\[", b"{"),
        (rb"null|true|false", b"[[]]"),
        (rb"\d+", b"-1"),
        (rb'"[^"\\]*"', b"null"),
    ]
    for pattern, instead in dice.sample(swaps, 2):
        content = re.sub(pattern, lambda found, i=instead: i if dice.random() < 0.2 else found[0], content)
    return content


def _flipped(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(8 if content else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _shuffled(content: bytes, dice: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    dice.shuffle(lines)
    return b"".join(lines)


def _ragged(content: bytes, dice: random.Random) -> bytes:
    """A delimiter, a quote or a bracket less, or one more."""
    marks = [position for position, byte in enumerate(content) if chr(byte) in ',;\t|"[]{}: ']
    for position in sorted(dice.sample(marks, min(3, len(marks))), reverse=True):
        content = content[:position] + content[position : position + 1] * dice.choice([0, 2]) + content[position + 1 :]
    return content


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut in the middle": lambda content, dice: content[: len(content) // 2],
    "cut before its end": lambda content, dice: content[:-3],
    "beheaded": lambda content, dice: content[len(content) // 3 :],
    "another encoding": lambda content, dice: content.replace(b"a", "ä".encode("cp1252")),
    "utf-16": lambda content, dice: content.decode("latin-1").encode("utf-16"),
    "NULs": lambda content, dice: content.replace(b" ", b"\0", 2),
    "mixed line ends": lambda content, dice: b"".join(
        dice.choice([line + b"\n", line + b"\r\n", line + b"\r"]) for line in content.splitlines()
    ),
    "ragged": _ragged,
    "wrong types": _wrong_types,
    "bits flipped": _flipped,
    "lines shuffled": _shuffled,
    "huge integers": lambda content, dice: re.sub(rb"\d+", b"9" * 5000, content, count=3),
    "deep": lambda content, dice: content.replace(b'"', b'"' + b"[" * 9 + b'"', 1).replace(b"[", b"[" * 100_000, 1),
    "half a character": lambda content, dice: content.replace(b"A", b"\\ud83d", 2),
    "said twice": lambda content, dice: content + content,
    "noise": lambda content, dice: bytes(dice.randrange(256) for _ in range(len(content))),
    "nothing": lambda content, dice: b"",
    "blank": lambda content, dice: b" \n\t\n \n" * 9,
}


def damaged(seed: Path, folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a file or a folder with every file in it changed."""
    files = sorted(path for path in (seed.rglob("*") if seed.is_dir() else seed.parent.glob("x*")) if path.is_file())
    files = files if seed.is_dir() or len(files) == 2 else [seed]
    base = seed.parent
    for file in files:
        target = folder / file.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(change(file.read_bytes()))
    return folder / seed.name


def outcome(path: Path, data: Data = Data(), labels: str = "required") -> str:  # noqa: B008
    """ "" where it is read to its end, else the one line that says why not; everything but an error of data or settings is raised."""
    try:
        for record in read(path, data, labels=labels).records:
            assert all(0 <= span.start < span.end <= len(record.text) for span in (*(record.entities or ()), *(record.answers or ())))
            assert isinstance(record.text, str)
    except (DataError, ConfigError) as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
    assert len(said) < 2000
    assert said == "".join(all_faults(path, data, labels)[:1])
    return said


def all_faults(path: Path, data: Data, labels: str) -> list[str]:
    """What is wrong with single records, and at last what ends the reading."""
    faults: list[str] = []
    try:
        for record in read(path, data, labels=labels, faults=faults).records:
            assert isinstance(record.text, str)
    except RecordError as error:
        raise AssertionError("told as the end of the reading, and is none") from error
    except (DataError, ConfigError) as error:
        faults.append(str(error))
    assert not any("\n" in fault for fault in faults)
    return faults


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_file_is_read_or_named(seeds, tmp_path, seed, mutation):
    dice = random.Random(f"{seed} {mutation}")
    path = damaged(seeds[seed], tmp_path, lambda content: MUTATIONS[mutation](content, dice))
    names = {file.name for file in tmp_path.rglob("*")}
    for labels in ("required", "welcome", "optional"):
        said = outcome(path, labels=labels)
        assert not said or is_placed(said, names), said


OF_THE_WHOLE = (  # what no single line is to blame for
    "the file is empty",
    "no rows in it",
    "no records in it",
    "no column looks like a label",
    "lines of text without labels",
    "goes on; every text needs its label",
    "not a whole workbook",
    "not a whole Parquet file",
    "not a whole Arrow file",
    "not what datasets writes",
    "packed with zip",
)


def is_placed(said: str, names: Iterable[str]) -> bool:
    """Whether a message names a file, and the line, record or question in it where there is one to name."""
    found = [name for name in names if name in said]
    return any(re.search(rf"{re.escape(name)}[:#]\S", said) for name in found) or (
        bool(found) and any(map(said.__contains__, OF_THE_WHOLE))
    )


def test_there_are_enough_of_them():
    assert len(SEEDS) * len(MUTATIONS) >= 200


# --- fuzzing

# FUZZ=100 in the environment looks a hundred times as long
FUZZ = settings(
    max_examples=40 * int(os.environ.get("FUZZ", "1")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
EDIT = st.tuples(
    st.floats(0, 1),
    st.integers(0, 6),
    st.binary(max_size=6) | st.sampled_from([b"\n", b"\t", b'"', b"|", b"[", b"{", b"\\", b"-1", b"B-", b"# ", b"e999"]),
)


def edited(content: bytes, edits: Iterable[tuple[float, int, bytes]]) -> bytes:
    for place, length, instead in edits:
        at = int(place * len(content))
        content = content[:at] + instead + content[at + length :]
    return content


@pytest.mark.parametrize("seed", SEEDS)
def test_edits_anywhere_raise_nothing_else(seeds, tmp_path, seed):
    @FUZZ
    @given(st.lists(EDIT, min_size=1, max_size=6), st.sampled_from([None, "classification", "ner", "qa"]))
    def check(edits, task):
        outcome(damaged(seeds[seed], tmp_path, lambda content: edited(content, edits)), Data(task=task), "optional" if task else "required")

    check()


def test_a_column_that_grows_as_no_text_does_is_refused_beside_honest_ones(tmp_path):
    """Beside 4 MB that do not shrink, so that the whole file grows no more than many do."""
    rows = {"text": ["a" * 2**20] * 257, "label": ["x"] * 257, "noise": [os.urandom(2**14) for _ in range(257)]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "x.parquet", use_dictionary=False, compression="zstd")
    assert re.fullmatch(r"x\.parquet: text would grow [\d,]+ times when it is read; no text does that", outcome(tmp_path / "x.parquet"))


def test_no_byte_of_the_end_of_a_parquet_file_ends_python_itself(seeds, tmp_path):
    """In a process of its own: what pyarrow does not catch is no exception."""
    seed = seeds["parquet, ner"]
    content = seed.read_bytes()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            for place in range(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content)):
                for byte in (content[place] ^ 1, 255):
                    (tmp_path / "x.parquet").write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
                    outcome(tmp_path / "x.parquet")
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_edits_of_what_the_hub_has_given_raise_nothing_else(seeds, tmp_path, monkeypatch):
    monkeypatch.setattr(columnar, "arrow_files", lambda named: (tmp_path / "x.arrow",))

    @FUZZ
    @given(st.lists(EDIT, min_size=1, max_size=6), st.sampled_from(list(RECORDS)))
    def check(edits, task):
        damaged(seeds[f"arrow, {task}"].parent / "x.jsonl", tmp_path, lambda content: edited(content, edits))
        outcome(Path(HUB))

    check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "label", "start", "end", "labels", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value, path=()) -> Iterator[tuple]:
    """The paths of all values inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(value, path, instead):
    if not path:
        return instead
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], instead)
    return copy


OBJECTS = [
    seed
    for seed in SEEDS
    if seed.split(",")[0] in ("jsonl", "json", "tokens", "doccano", "prodigy", "spacy", "spacy documents", "squad", "label studio")
]


@pytest.mark.parametrize("seed", OBJECTS)
def test_values_of_any_type_anywhere_raise_nothing_else(seeds, tmp_path, seed):
    text = seeds[seed].read_text(encoding="utf-8")
    is_lines = seeds[seed].suffix == ".jsonl"
    whole = [json.loads(line) for line in text.splitlines()] if is_lines else json.loads(text)
    everywhere = list(places(whole))

    @FUZZ
    @given(st.sampled_from(everywhere), JSON)
    def check(place, instead):
        value = replaced(whole, place, instead)
        items = value if is_lines and isinstance(value, list) else [value]
        path = tmp_path / seeds[seed].name
        path.write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")
        for labels in ("required", "optional"):
            outcome(path, labels=labels)

    check()


# --- hostile containers


def test_a_link_out_of_a_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    for name, folder in (("brat", "notes"), ("classes", "good")):
        (tmp_path / name / folder).mkdir(parents=True)
        (tmp_path / name / folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "brat" / "notes" / "a.ann").write_text("")
    assert "a link that leads out of" in outcome(tmp_path / "brat")
    assert "a link that leads out of" in outcome(tmp_path / "classes")


def test_folders_that_hold_themselves_end(tmp_path):
    (tmp_path / "a.txt").write_text("Ann")
    (tmp_path / "a.ann").write_text("T1\tPER 0 3\tAnn\n")
    (tmp_path / "self").symlink_to(tmp_path)
    assert outcome(tmp_path) == ""


@pytest.mark.parametrize("named", ["../x.arrow", "/etc/passwd", "", None, 7])
def test_a_data_set_names_no_files_elsewhere(tmp_path, named):
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": named}]}))
    assert "no data files are named in it" in outcome(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("T1\tPER 0 3\tAnn\nX1 huh\n", 'x.ann:2: "X1 huh" is no annotation; expected "T1", a tab, "Person 0 4", a tab, "Anna"'),
        ("T1\tPER 0 99\tAnn\n", "x.ann:1: T1 runs to 99, but the text has 7 characters"),
        ("T1\tPER 3 0\tAnn\n", "x.ann:1: T1 runs to 0, but the text has 7 characters"),
        ("T1\tPER 1 4\tAnn\n", 'x.ann:1: T1 is "Ann", but at 1 stands "nn "'),
        ("T1\tPER 0\tAnn\n", 'x.ann:1: "T1\tPER 0\tAnn" is not laid out as "T1", a tab, "Person 0 4", a tab, "Anna"'),
    ],
)
def test_a_broken_annotation_is_named_with_its_line(tmp_path, lines, message):
    (tmp_path / "x.txt").write_text("Ann ran")
    (tmp_path / "x.ann").write_text(lines)
    assert outcome(tmp_path / "x.ann") == message


def test_json_is_named_with_the_line_of_its_fault(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[\n {"text": "a", "label": "x"},\n {"text": "b" "label": "y"}\n]')
    assert outcome(path) == "x.json:3: not JSON: expecting ',' delimiter at column 15"
    path.write_text('[\n {"text": "a", "label": "x"}\n {"text": "b", "label": "y"}\n]')
    assert outcome(path) == "x.json:3: not JSON: expected ,, found {"


# Each writes a file that is small or plain, and would fill the memory of who reads it without care.


def _long_line(path: Path, before: bytes, after: bytes) -> None:
    with path.open("wb") as file:
        file.write(before)
        for _ in range(100):
            file.write(b"a" * 2**20)
        file.write(after)


def _sheet_bomb(path: Path, part: str) -> None:
    make_workbook(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            if name != part:
                archive.writestr(name, content)
        with archive.open(part, "w", force_zip64=True) as file:
            file.write(
                b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row><c t="inlineStr"><is><t>'
            )
            for _ in range(400):
                file.write(b"a" * 2**20)


def _lying_sheet(path: Path) -> None:
    """The bomb, announced as small."""
    _sheet_bomb(path, "xl/worksheets/sheet1.xml")
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        part = archive.getinfo("xl/worksheets/sheet1.xml")
    size = struct.pack("<I", part.file_size)
    path.write_bytes(content.replace(size, struct.pack("<I", 1000)))


def _entities(path: Path) -> None:
    """A billion laughs: an entity of entities of entities."""
    make_workbook(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    sheet = f'<!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]><worksheet><sheetData><row><c t="str"><v>&l11;</v></c></row></sheetData></worksheet>'
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, sheet if name.endswith("sheet1.xml") else content)


def _same_text(path: Path) -> None:
    """A text of 8 MiB that stands in the file once, and in two hundred rows."""
    long = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200, pyarrow.int32()), pyarrow.array(["a" * 2**23]))
    parquet.write_table(pyarrow.table({"text": long, "label": ["x", "y"] * 100}), path, compression="zstd")


def _lying_parquet(path: Path) -> None:
    """A footer that announces rows that are not there."""
    parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": ["x", "y"]}), path)
    whole = path.read_bytes()
    size = struct.unpack("<I", whole[-8:-4])[0]
    for position in range(len(whole) - 8 - size, len(whole) - 8):
        path.write_bytes(whole[:position] + b"\x7e" + whole[position + 1 :])  # 63, as Thrift writes it
        with suppress(pyarrow.ArrowException, OSError):
            if parquet.read_metadata(path).num_rows == 63:
                return
    raise AssertionError("the footer names no count of rows")


def _gzip_noise(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + zlib.compress(b"a" * 10_000))


HOSTILE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a line of 100 MB, CSV": ("x.csv", lambda path: _long_line(path, b"text,label\nb,x\n", b",y\n")),
    "a quote never closed": ("x.csv", lambda path: path.write_bytes(b'text,label\nb,x\n"' + b"nine more\n" * 10_000_000)),
    "a line of 100 MB, JSONL": (
        "x.jsonl",
        lambda path: _long_line(path, b'{"text": "b", "label": "x"}\n{"text": "', b'", "label": "y"}\n'),
    ),
    "a text of 100 MB, JSON": (
        "x.json",
        lambda path: _long_line(path, b'[{"text": "b", "label": "x"}, {"text": "', b'", "label": "y"}]\n'),
    ),
    "a line of 100 MB, text": ("x.txt", lambda path: _long_line(path, b"a\n", b"\n")),
    "a line of 100 MB, CoNLL": ("x.conll", lambda path: _long_line(path, b"Ann B-PER\nran O\n\n", b" O\n\n")),
    "a sentence of ten million tokens": ("x.conll", lambda path: path.write_bytes(b"Ann B-PER\n\n" + b"ran O\n" * 10_000_000)),
    "lists in lists, JSON": ("x.json", lambda path: path.write_bytes(b"[" * 20_000_000)),
    "lists in lists, JSONL": ("x.jsonl", lambda path: path.write_bytes(b'{"text": "b", "label": "x"}\n{"a":' + b"[" * 10_000_000)),
    "empty lists, JSONL": (
        "x.jsonl",
        lambda path: path.write_bytes(b'{"text": "b", "label": "x"}\n{"a":[' + b"[]," * 4_000_000 + b"[]]}\n"),
    ),
    "empty lists, JSON": ("x.json", lambda path: path.write_bytes(b'[{"a":[' + b"[]," * 8_000_000 + b"[]]}]")),
    "a million columns": ("x.jsonl", lambda path: path.write_text("".join(f'{{"c{n}": {n}}}\n' for n in range(1_000_000)))),
    "a wide table": ("x.csv", lambda path: path.write_bytes((b"a," * 1_000_000 + b"b\n") * 4)),
    "a sheet of 400 MB": ("x.xlsx", lambda path: _sheet_bomb(path, "xl/worksheets/sheet1.xml")),
    "shared texts of 400 MB": ("x.xlsx", lambda path: _sheet_bomb(path, "xl/sharedStrings.xml")),
    "a sheet that lies": ("x.xlsx", _lying_sheet),
    "a billion laughs": ("x.xlsx", _entities),
    "one long text in all rows": ("x.parquet", _same_text),
    "rows that are not there": ("x.parquet", _lying_parquet),
    "no archive": ("x.xlsx", _gzip_noise),
    "a text of 100 MB, brat": (
        "x.ann",
        lambda path: (_long_line(path.with_suffix(".txt"), b"", b""), path.write_text("T1\tPER 0 3\taaa\n")),
    ),
}

SCRIPT = textwrap.dedent("""
    import resource, sys
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    from pathlib import Path
    from headway.errors import DataError
    from headway.readers import read
    try:
        count = sum(1 for _ in read(Path(sys.argv[1])).records)
    except DataError as error:
        count = str(error)
    print(count)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # ru_maxrss would begin with that of the parent
    print(int(status["VmHWM"].split()[0]) // 1024)
""")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_stays_under_the_cap(tmp_path, name):
    file, make = HOSTILE[name]
    make(tmp_path / file)
    check_memory(tmp_path / file)


BINARY = {"workbook", "parquet", "arrow", "dataset", "hub"}  # have no lines; what fills the memory there is in HOSTILE


@pytest.mark.parametrize("name", [name for name in READERS if name not in BINARY])
def test_a_line_of_100_MB_stays_under_the_cap_in_every_format_of_text(seeds, tmp_path, name):
    seed = next(path for path in seeds.values() if guess_format(path) == name)
    check_memory(damaged(seed, tmp_path, lambda content: content + b"a" * 100_000_000))
    shutil.rmtree(tmp_path)  # pytest would keep it for a while


def check_memory(path: Path) -> None:
    said, mebibytes = read_apart(path)
    names = {file.name for file in ([path, *path.rglob("*")] if path.is_dir() else path.parent.glob(f"{path.stem}*"))}
    assert said.isdigit() or is_placed(said, names) or path.suffix in (".xlsx", ".parquet"), said
    assert mebibytes < CAP_MIB, f"{said[:200]}: {mebibytes} MiB"


def read_apart(path: Path) -> tuple[str, int]:
    """What a process of its own says of a file (how many records, or why not), and the most MiB that it takes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said, mebibytes = done.stdout.splitlines()
    return said, int(mebibytes)
