"""Parts of benchmarks/ that a machine may not have what it takes for: they are tried in small."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForSequenceClassification

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import shapes
import speed_page

from headway import pretrained
from headway.encoder import Encoder

every_shape = pytest.mark.parametrize("name", shapes.SHAPES)


def lines_on_gpu(**changed):
    """What a run of the part leaves: updates of 10 ms, in which each learns 32 texts of 25 tokens."""
    common = {
        "part": "gpu",
        "row": "bert-base, sst2",
        "turn": 0,
        "where": "May 2026, one machine",
        "command": "one command",
        "peak_gpu_mb": 100,
    }
    common["peak"] = {"bf16": 100_000, "fp32": 50_000, "threads": 2, "device": "a GPU"}
    step = {"contestant": "Headway", "step_seconds": [1.0] * 3 + [0.01] * 60}
    read = {"contestant": speed_page.READING, "tokens_per_second": 100_000}
    return [common | line | changed for line in (step, step | {"contestant": "Trainer, best flags", "step_seconds": [0.03] * 63}, read)]


@every_shape
def test_networks_to_time_are_read_packed(tmp_path, name):
    config = shapes.config_of(name)
    config.num_hidden_layers = 1
    if hasattr(config, "layer_types"):
        config.layer_types = config.layer_types[:1]
    source = pretrained.find(str(shapes.write(config, tmp_path / name)))
    network = pretrained.load_network(source, AutoModelForSequenceClassification, pretrained.load_config(source))
    assert Encoder(network).layout == "packed"
    read = pretrained.load_tokenizer(source)(["a good film"])
    assert ("token_type_ids" in read) == (name == "bert-base")


@every_shape
def test_work_a_token_is_what_torch_counts(name):
    """Reading one sequence, in eager attention, which multiplies with every token, in sight or not."""
    config = shapes.config_of(name)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        network, ids = AutoModel.from_config(config), torch.zeros(1, 512, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(input_ids=ids)
    attention = 4 * config.hidden_size * 512 * config.num_hidden_layers
    assert counted.get_total_flops() == pytest.approx((shapes.flops_a_token(name, 0) / 3 + attention) * 512, rel=2e-3)


def test_a_window_bounds_what_attention_costs():
    """Of ModernBERT's 22 layers 8 see the whole text, and the others 128 tokens."""
    far, near = (shapes.flops_a_token("modernbert-base", length) for length in (1128, 128))
    assert far - near == 12 * 768 * 8 * 1000


def test_the_page_compares_tokens_a_second():
    text = speed_page.page(lines_on_gpu())
    assert "| bert-base, sst2 | Headway | 80,000 | 1.00 times as fast | 41% | 100 |" in text
    assert "| bert-base, sst2 | Trainer, best flags | 26,667 | 3.00 times as fast | 14% | 100 |" in text
    assert "| bert-base, sst2 | Headway, reading alone | 100,000 |  | 17% |  |" in text


def test_the_page_says_when_and_where_each_part_was_measured():
    later = lines_on_gpu(where="June 2026, one machine", turn=1)
    assert "May 2026 and June 2026, one machine · 2 threads" in speed_page.page(lines_on_gpu() + later)
    assert "May 2026, one machine; June 2026, another · " in speed_page.page(lines_on_gpu() + lines_on_gpu(where="June 2026, another"))


def test_the_page_says_what_was_not_measured():
    assert speed_page.page([]).endswith("Not measured.\n")


def test_what_was_measured_before_keeps_its_section():
    before = speed_page.page(lines_on_gpu())
    assert "26,667" in speed_page.page([], before=before)
