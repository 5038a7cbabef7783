"""Tagged tokens: columns, schemes, and tags that break their scheme."""

from collections import Counter
from pathlib import Path

import pytest

from headway.config import Data
from headway.errors import DataError
from headway.readers import read
from headway.records import Record, Span

FORMATS = Path(__file__).parents[2] / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="the sample files of shared/data are not here")
SAMPLE = {"corporation": 2, "creative-work": 5, "group": 1, "location": 10, "person": 27, "product": 3}
HEALTHY = "Ann B-PER\nLee I-PER\nsaw O\nRome B-LOC\n\nBob B-PER\nsaw O\nAnn B-PER\n\n"


def tags(folder: Path, text: str) -> Path:
    path = folder / "tags.conll"
    path.write_text(text, encoding="utf-8")
    return path


def everything(path: Path, **settings) -> list[Record]:
    return list(read(path, Data(**settings)).records)


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        everything(path)
    return str(caught.value)


def test_tokens_are_joined_by_single_spaces_and_tags_are_spans_of_that(tmp_path):
    record = everything(tags(tmp_path, HEALTHY))[0]
    assert (record.text, record.where) == ("Ann Lee saw Rome", "tags.conll:1")
    assert record.entities == (Span(0, 7, "PER"), Span(12, 16, "LOC"))


@pytest.mark.parametrize(
    ("scheme", "lines"),
    [
        ("IOB2", "B-X I-X B-X O"),
        ("IOB1", "I-X I-X B-X O"),
        ("BILOU", "B-X L-X U-X O"),
        ("BIOES", "B-X E-X S-X O"),
        ("BMEWO", "B-X E-X W-X O"),
        ("IOE2", "I-X E-X E-X O"),
        ("IOE1", "I-X E-X I-X O"),
    ],
)
def test_every_scheme_is_recognised_and_says_the_same(tmp_path, scheme, lines):
    reading = read(tags(tmp_path, "".join(f"t {tag}\n" for tag in lines.split()) + "\n"))
    assert reading.data.scheme == scheme
    assert next(reading.records).entities == (Span(0, 3, "X"), Span(4, 5, "X"))


@pytest.mark.parametrize(
    "line",
    ["{token} {tag}", "{tag} {token}", "x {token} {tag}", "{token} NN B-NP {tag}", "{token} {tag} NN"],
    ids=lambda line: line.replace(" ", "-"),
)
def test_columns_may_stand_in_any_order(tmp_path, line):
    rows = [("Ann", "B-PER"), ("saw", "O"), ("Rome", "B-LOC")] * 3
    first = "x" not in line
    path = tags(tmp_path, "".join(line.format(token=token, tag=tag) + "\n" for token, tag in rows) + "\n")
    record = everything(path, text=None if first else "2")[0]
    assert [record.text[s.start : s.end] for s in record.entities] == ["Ann", "Rome"] * 3


def test_documents_are_groups(tmp_path):
    path = tags(tmp_path, "-DOCSTART- O\n\na O\n\nb B-X\n\n-DOCSTART- O\n\nc O\n")
    assert [record.group for record in everything(path)] == ["tags.conll#1", "tags.conll#1", "tags.conll#2"]


def test_a_hash_is_a_comment_only_where_it_is_no_token(tmp_path):
    path = tags(tmp_path, "# newdoc id = 1\n# O\n#tag O\nRome B-LOC\n\n")
    assert everything(path)[0].text == "# #tag Rome"


def test_lines_of_white_space_part_sentences(tmp_path):
    path = tags(tmp_path, "a O\n\t\nb B-X\n  \nc O\n")
    assert len(everything(path)) == 3


def test_a_column_of_another_layer_can_be_named(tmp_path):
    path = tags(tmp_path, "Rome B-NP B-LOC\nfell B-VP O\n\n")
    assert everything(path, label="2")[0].entities == (Span(0, 4, "NP"), Span(5, 9, "VP"))


def test_a_stray_tag_is_read_when_the_scheme_says_so(tmp_path):
    path = tags(tmp_path, HEALTHY + "in O\n2020 I-PER\n")
    assert everything(path, scheme="IOB1")[2].entities == (Span(3, 7, "PER"),)


BROKEN = {
    "a slip in the type": (
        "in O\nRome I-PRE\n",
        'tags.conll:11: tag "I-PRE" follows "O" and no other tag ends in PRE; did you mean "I-PER"?',
    ),
    "an I- after O": (
        "in O\nRome I-LOC\n",
        'tags.conll:11: tag "I-LOC" follows "O"; in IOB2 an entity begins with B-: write "B-LOC", '
        "or let I- begin entities: add --set data.scheme=IOB1",
    ),
    "an I- at the start": (
        "Rome I-LOC\n",
        'tags.conll:10: tag "I-LOC" begins a sentence; in IOB2 an entity begins with B-: write "B-LOC", '
        "or let I- begin entities: add --set data.scheme=IOB1",
    ),
    "a prefix of no scheme": ("Rome X-LOC\n", 'tags.conll:10: tag "X-LOC" begins with X; IOB2 knows B, I and O; did you mean "B-LOC"?'),
    "no type": ("Rome B-\n", 'tags.conll:10: tag "B-" is neither O nor a prefix and a type, such as B-PER'),
    "no tag": ("in O\nRome\n", 'tags.conll:11: token "Rome" has no tag'),
    "a column too many": ("in O\nRome B-LOC extra\n", "tags.conll:11: 3 columns, but the other lines have 2"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_tag_is_named_with_its_line(tmp_path, broken):
    lines, message = BROKEN[broken]
    assert error_of(tags(tmp_path, HEALTHY + lines)) == message


def test_a_tag_without_a_token_is_named_with_its_line(tmp_path):
    (tmp_path / "x.iob").write_text("Ann|NNP|B-PER ran|VBD|O\n" * 3 + "|NNP|B-PER ran|VBD|O\n", encoding="utf-8")
    assert error_of(tmp_path / "x.iob") == 'x.iob:4: no token stands beside the tag "B-PER"'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Ann B-PER\nsaw O\n", 'tags.conll:5: tag "O" follows "B-PER"; in BILOU only "I-PER" or "L-PER" can follow'),
        ("saw O\nAnn B-PER\n", 'tags.conll:5: the sentence ends after "B-PER"; in BILOU only "I-PER" or "L-PER" can follow'),
        ("saw O\nAnn L-PER\n", 'tags.conll:5: tag "L-PER" follows "O"; in BILOU an entity begins with B-: write "B-PER"'),
    ],
)
def test_an_entity_that_must_end_does(tmp_path, lines, message):
    assert error_of(tags(tmp_path, f"Rome U-LOC\nfell O\n\n{lines}")) == message


def test_tags_are_not_for_questions(tmp_path):
    with pytest.raises(DataError, match=r"^tags.conll: its format is for ner, but data.task is qa$"):
        everything(tags(tmp_path, HEALTHY), task="qa")


@needs_formats
@pytest.mark.parametrize(
    "name", ["bilou.txt", "bioes.txt", "bmewo.txt", "iob1.txt", "iob2.txt", "conll2003_4col_docstart.txt", "iob2_tab_crlf_bom.tsv"]
)
def test_sample_files_of_all_schemes_hold_the_same_entities(name):
    records = everything(FORMATS / "conll" / name)
    assert (len(records), sum(len(record.text.split(" ")) for record in records)) == (43, 709)
    assert Counter(span.label for record in records for span in record.entities) == SAMPLE


@needs_formats
@pytest.mark.parametrize(("name", "sentences", "found"), [("iob2_comments_ids.tsv", 20, 17), ("iob2_header.tsv", 10, 9)])
def test_comments_indices_and_headers_are_not_tokens(name, sentences, found):
    records = everything(FORMATS / "conll" / name)
    assert (len(records), sum(len(record.entities) for record in records)) == (sentences, found)


@needs_formats
def test_the_first_fault_of_a_broken_file_is_told():
    assert error_of(FORMATS / "conll" / "iob2_broken.txt").startswith('iob2_broken.txt:7: tag "I-LOC" follows "O"; ')
