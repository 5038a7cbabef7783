"""Classes told by where a text lies: folders of texts by class, and files of labels beside files of texts."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path

from headway.config import Data
from headway.errors import DataError
from headway.readers.files import Labels, Opened, check_task, encoding_of, lines_of, whole_text
from headway.readers.rows import read_rows
from headway.readers.survey import Row

_NAMES = (("text", "labels"), ("texts", "labels"), ("text", "label"), ("sentences", "labels"))  # files of texts and of their labels
_MAPPING = "mapping.txt"
_SPLITS = ("train", "test", "dev", "val", "validation")


def looks_like_class_folders(path: Path) -> bool:
    """Whether it is a folder of folders of texts."""
    return path.is_dir() and any(path.glob("*/*.txt"))


def read_class_folders(path: Path, data: Data, labels: Labels) -> Opened:
    """Every file a text, every folder a class. Folders of splits (train, test) are no classes."""
    check_task(path, data, "classification")
    folders = [folder.name for folder in path.iterdir() if folder.is_dir()]
    if splits := sorted(set(folders) & set(_SPLITS)):
        raise DataError(f"{path}: holds {', '.join(splits)}, which are no classes; name one of them, as in {path / splits[0]}")
    left_out = Counter({"files that are no .txt": sum(1 for file in path.glob("*/*") if file.suffix != ".txt")})
    here = data.model_copy(update=_columns(data) | {"id": "id"})
    opened = read_rows(path.name, partial(_files, path, data.encoding or "utf-8"), here, labels)
    return Opened(opened.data, opened.records, left_out)


def _columns(data: Data) -> dict[str, str | None]:
    return {"task": "classification", "text": "text", "text_pair": None, "label": "label", "group": None, "kind": data.kind or "single"}


def _files(path: Path, encoding: str) -> Iterator[Row]:
    inside = path.resolve()
    for file in sorted(path.glob("*/*.txt")):
        where = f"{file.parent.name}/{file.name}"
        if not file.resolve().is_relative_to(inside):
            raise DataError(f"{where}: a link that leads out of {path}; copy the file itself there")
        try:
            text = whole_text(file, encoding).rstrip("\r\n")
        except DataError as error:
            raise DataError(f"{file.parent.name}/{error}") from None  # files of the same name lie in other folders
        yield Row(f"{where}:1", {"text": text, "label": file.parent.name, "id": f"{file.parent.name}/{file.stem}"})


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to a file of texts: train_labels.txt beside train_text.txt."""
    for texts, labels in _NAMES:
        if path.stem == texts or path.stem.endswith((f"_{texts}", f".{texts}", f"-{texts}")):
            beside = path.with_name(f"{path.stem.removesuffix(texts)}{labels}{path.suffix}")
            if beside.is_file():
                return beside
    return None


def read_parallel(path: Path, data: Data, labels: Labels) -> Opened:
    """Line by line a text of one file and its label in the other; mapping.txt beside them may name the labels."""
    check_task(path, data, "classification")
    encoding = encoding_of(path, data)
    beside = labels_beside(path)
    names = dict(_mapping(path.with_name(_MAPPING), encoding))
    here = data.model_copy(update=_columns(data) | {"id": None, "encoding": encoding})
    return read_rows(path.name, partial(_pairs, path, beside, encoding, names), here, labels)


def _mapping(path: Path, encoding: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines_of(path, encoding), 1) if path.is_file() else ():
        parts = line.split(None, 1)
        if len(parts) != 2:
            raise DataError(f"{path.name}:{number}: expected a label, a tab and its name")
        yield parts[0], parts[1].strip()


def _pairs(path: Path, beside: Path, encoding: str, names: dict[str, str]) -> Iterator[Row]:
    pairs = zip_longest(lines_of(path, encoding), lines_of(beside, encoding))
    for number, (text, label) in enumerate(pairs, 1):
        if text is None or label is None:
            short, long = (path, beside) if text is None else (beside, path)
            raise DataError(f"{short.name}: ends after line {number - 1}, but {long.name} goes on; every text needs its label")
        label = label.strip()
        yield Row(f"{path.name}:{number}", {"text": text.rstrip("\r\n"), "label": names.get(label, label)})
