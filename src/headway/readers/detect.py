"""Which format a file is in: told by what it holds, and by its name only where that is what tells it."""

from itertools import islice
from pathlib import Path

from headway.config import Data
from headway.errors import DataError
from headway.readers.brat import looks_like_brat
from headway.readers.columnar import looks_like_arrow, looks_like_saved_dataset
from headway.readers.conll import looks_like_conll, looks_like_sentence_lines
from headway.readers.conllu import looks_like_conllu
from headway.readers.doccano import looks_like_doccano
from headway.readers.files import encoding_of, first_bytes, head_of, pieces_of
from headway.readers.folders_of_texts import labels_beside, looks_like_class_folders
from headway.readers.hub import parse_name
from headway.readers.label_studio import looks_like_label_studio
from headway.readers.lines import looks_like_fasttext, looks_like_label_lines
from headway.readers.objects import is_document, items_of
from headway.readers.prodigy import looks_like_prodigy
from headway.readers.spacy import looks_like_spacy, looks_like_spacy_documents
from headway.readers.squad import looks_like_squad
from headway.readers.tables import looks_like_table
from headway.readers.webanno import looks_like_webanno
from headway.readers.workbooks import looks_like_workbook

_TABLES = {".csv", ".tsv", ".tab", ".psv"}
_OBJECTS = {".json", ".jsonl", ".ndjson"}  # whatever they begin with: a file that lost its beginning is no file of texts
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip", b"\x28\xb5\x2f\xfd": "zstd"}
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
_ZIP = b"PK\x03\x04"
_MOST_LOOKED_AT = 50  # objects: the first of them may be empty of what tells the format


def guess_format(path: Path, data: Data) -> str:
    """The key of READERS that fits the file or folder.

    Raises:
        DataError: it is packed, or a folder that holds nothing to read.
    """
    if parse_name(path) is not None:
        return "hub"
    if path.is_dir():
        return _guess_folder(path)
    start = first_bytes(path, 8)
    if start.startswith(b"PAR1"):
        return "parquet"
    if looks_like_arrow(start):
        return "arrow"
    if start.startswith(_ZIP) and looks_like_workbook(path):
        return "workbook"
    if start.startswith(_OLD_WORKBOOK):
        raise DataError(f"{path.name}: a workbook of an old Excel (.xls); save it as .xlsx or CSV")
    if packed := next((name for mark, name in (_PACKED | {_ZIP: "zip"}).items() if start.startswith(mark)), None):
        raise DataError(f"{path.name}: packed with {packed}; unpack it first")
    if looks_like_brat(path):
        return "brat"
    return _guess_text(path, data)


def _guess_folder(path: Path) -> str:
    looks = {"dataset": looks_like_saved_dataset, "brat": looks_like_brat, "class folders": looks_like_class_folders}
    found = next((name for name, fits in looks.items() if fits(path)), None)
    if found is None:
        raise DataError(f"{path}: a folder with no texts by class, no brat annotations and no saved data set in it; name a file")
    return found


def _guess_text(path: Path, data: Data) -> str:
    encoding = encoding_of(path, data)
    ending = path.suffix.casefold()
    table = ending in _TABLES
    if ending in _OBJECTS or (not table and next(pieces_of(path, encoding)).lstrip().startswith(("{", "["))):
        return _guess_json(path, encoding)
    head = head_of(path, encoding)
    looks = {
        "webanno": looks_like_webanno(head),
        "conllu": looks_like_conllu(head),
        "sentence lines": not table and data.delimiter is None and looks_like_sentence_lines(head),
        "conll": looks_like_conll(path, head),
        "parallel files": labels_beside(path) is not None,
        "table": table or data.delimiter is not None or looks_like_table(head),
        "fasttext": looks_like_fasttext(head),
        "label lines": looks_like_label_lines(head),
    }
    return next((name for name, fits in looks.items() if fits), "text")


def _guess_json(path: Path, encoding: str) -> str:
    """By the first objects, as far as they are whole; what is broken is told when it is read."""
    items = []
    try:
        items.extend(item.value for item in islice(items_of(path, encoding), _MOST_LOOKED_AT))
    except DataError:
        items = items or [None]
    looks = {
        "label studio": looks_like_label_studio,
        "squad": looks_like_squad,
        "spacy documents": looks_like_spacy_documents,
        "prodigy": looks_like_prodigy,
        "spacy": looks_like_spacy,
        "doccano": looks_like_doccano,
        "tokens": looks_like_tokens,
    }
    plain = "json" if is_document(path, encoding) else "jsonl"
    return next((name for name, fits in looks.items() if any(map(fits, items))), plain)


def looks_like_tokens(item: object) -> bool:
    """An object with a list of tokens and a list of tags."""
    lists = [value for value in item.values() if isinstance(value, list)] if isinstance(item, dict) else []
    return isinstance(item, dict) and isinstance(item.get("tokens"), list) and len(lists) > 1 and "text" not in item
