"""What counts as a word, in every script."""

import re

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # scripts in which a character does for a word
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
WORD_OR_MARK = re.compile(rf"{WORD.pattern}|[^\w\s]")
