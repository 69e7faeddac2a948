"""The conformance kit, and what is particular to `ia3`."""

from pathlib import Path

import pytest
from khichdi.plugins import StepError
from khichdi.plugins.testing import AdapterTests, make_base

from khichdi_examples.ia3 import Ia3, Ia3Params


class TestIa3(AdapterTests):
    """What every adapter is held to."""

    plugin = Ia3
    record = Path(__file__).with_name("version.json")
    wrong_params = (
        {"target_modules": []},
        {"target_modules": ["k_proj"], "feedforward_modules": ["up_proj"]},
    )


def test_it_trains_a_vector_for_each_module() -> None:
    """A module that the model lacks is named, with those that it has."""
    pytest.importorskip("peft")
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(make_base()))
    with pytest.raises(StepError, match="query") as caught:
        Ia3(Ia3Params(target_modules=("query",), feedforward_modules=())).config(model)
    assert "q_proj" in str(caught.value.hint)
    adapted = get_peft_model(model, Ia3(Ia3Params()).config(model))
    sizes = [p.numel() for p in adapted.parameters() if p.requires_grad]
    assert (
        sorted(sizes) == [32] * 4 + [128] * 2
    )  # k_proj and v_proj put out 32, down_proj takes 128
