"""What a run was made with, beside its settings: the data as they were counted, the network, the versions, the machine, the time."""

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from headway.audit import Finding
from headway.backend import pick_dtype
from headway.folders import hash_files, write_text
from headway.jobs.corpus import Corpus
from headway.jobs.learning import Started
from headway.jobs.run_folder import PROVENANCE
from headway.pretrained import licence
from headway.records import Record, Window

BINS = 20  # of a histogram
LIBRARIES = ("headway", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")


def open_provenance(started: Started) -> dict:
    """What `provenance.json` holds from the start."""
    network, config = started.model.encoder.network, started.config
    dtype = str(pick_dtype(config.train.precision, network.device)).removeprefix("torch.")
    return {
        "started": _now(),
        "base_model": {
            "name": started.source.name,
            "bundled": started.source.bundled,
            "revision": config.model.revision,
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "sha256": hash_files(sorted(started.source.folder.glob("*.safetensors"))),
            "licence": licence(started.source),
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        "machine": _machine(network.device) | {"precision": dtype},
        "left_open": list(started.left_open),  # settings that nobody made
    }


def close_provenance(folder: Path) -> None:
    """Add when the run was finished; a run of before there was such a file has none."""
    path = folder / PROVENANCE
    if path.is_file():
        write_text(path, json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"finished": _now()}, indent=1))


def describe_data(corpus: Corpus, started: Started, findings: Sequence[Finding]) -> dict:
    """What `data.json` holds beside the files: what was found, how often each class or type occurs, how long the texts are."""
    parts = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {
        "audit": [asdict(finding) for finding in findings],
        "balance": {part: balance(records) for part, records in parts.items() if records},
        "lengths": _lengths(started.train),
        "unreachable": started.unreachable,
    }


def balance(records: Sequence[Record]) -> dict[str, int]:
    """Records of each class, entities of each type, questions with an answer and without, or numbers by where they lie; most first."""
    if isinstance(records[0].label, float):
        return _histogram([record.label for record in records], bins=5)
    return dict(Counter(name for record in records for name in _names(record)).most_common())


def _names(record: Record) -> Iterable[str]:
    if record.entities is not None:
        return [span.label for span in record.entities]
    if record.answers is not None:
        return ["answer" if record.answers else "no answer"]
    return (record.label,) if isinstance(record.label, str) else record.label or ("no label",)


def _histogram(numbers: Sequence[float], *, bins: int) -> dict[str, int]:
    counts, edges = np.histogram(numbers, bins=bins)
    return {f"{low:.3g} to {high:.3g}": int(count) for count, (low, high) in zip(counts, pairwise(edges), strict=True)}


def _lengths(windows: Sequence[Window]) -> dict:
    """Of the windows that are learned from, in tokens."""
    lengths = np.array([len(window) for window in windows])
    counts, edges = np.histogram(lengths, bins=min(BINS, int(np.ptp(lengths)) + 1))
    return {
        "median": int(np.median(lengths)),
        "99%": int(np.quantile(lengths, 0.99)),
        "longest": int(lengths.max()),
        "in_several_windows": sum(count > 1 for count in Counter(window.record for window in windows).values()),
        "histogram": {"edges": [round(float(edge), 1) for edge in edges], "counts": counts.tolist()},
    }


def _machine(device: torch.device) -> dict:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def _processor() -> str:
    """Its name in full where Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
