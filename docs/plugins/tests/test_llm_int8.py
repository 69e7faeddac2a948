"""The conformance kit, and what is particular to `llm-int8`."""

from pathlib import Path

import pytest
from khichdi.plugins.testing import QuantizerTests, make_base

from khichdi_examples.llm_int8 import LlmInt8, LlmInt8Params


class TestLlmInt8(QuantizerTests):
    """What every quantizer is held to."""

    plugin = LlmInt8
    record = Path(__file__).with_name("version.json")
    wrong_params = ({"threshold": -1.0}, {"compute_dtype": "int8"})


def test_linear_weights_are_stored_in_eight_bits() -> None:
    """Those that are named stay as they are."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    plugin = LlmInt8(LlmInt8Params(skip_modules=("lm_head", "q_proj"), compute_dtype="float32"))
    model = AutoModelForCausalLM.from_pretrained(
        str(make_base()), quantization_config=plugin.config(), dtype=torch.float32
    )
    attention = model.model.layers[0].self_attn
    assert attention.k_proj.weight.dtype == torch.int8
    assert attention.q_proj.weight.dtype == torch.float32
    assert attention.k_proj.state.threshold == 6.0
