"""Seconds and peak memory of `headway predict` on a file of so many rows, which are written first and not counted.

python benchmarks/contestants/growth.py --model MODEL --texts test.csv --rows 100000
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from predictions import texts_of

WORDS = 8  # of each text: a million whole ones would take an hour

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        with texts.open("w", encoding="utf-8") as file:
            for text in texts_of(given.texts, given.rows):
                file.write(json.dumps({"text": " ".join(text.split()[:WORDS])}) + "\n")
        began = time.perf_counter()
        command = [sys.executable, "-m", "headway", "predict", given.model, str(texts), "--out", f"{folder}/out.jsonl"]
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - began
    print(json.dumps({"rows": given.rows, "seconds": round(seconds, 2), "peak_mb": getrusage(RUSAGE_CHILDREN).ru_maxrss // 1024}))
