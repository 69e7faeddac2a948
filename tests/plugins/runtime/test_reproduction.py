"""The same bits in other processes: another environment, a killed run, other tools."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jobs
import pytest

from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.toolkit.model_loading import quiet

SCRIPT = Path(jobs.__file__)


def run(base: Path, folder: Path, environment: dict[str, str], **options: Any) -> Any:
    """Train in another process; return what came out, or None where it killed itself."""
    command = [sys.executable, str(SCRIPT), base, folder / "work", folder / "output"]
    done = subprocess.run(
        [*map(str, command), json.dumps(options)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "the libraries keep quiet"
    return json.loads(done.stdout)


ENVIRONMENTS = {
    "one thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "many threads": {"OMP_NUM_THREADS": "7"},
    "elsewhere": {
        "PYTHONHASHSEED": "4711",
        "TZ": "Asia/Kolkata",
        "LC_ALL": "C",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":16:8",
    },
}


@pytest.mark.nightly
@pytest.mark.slow
def test_another_environment_gives_the_same_bits(tiny_base: Path, tmp_path: Path) -> None:
    params = {"cpu_threads": 2}
    first = run(tiny_base, tmp_path / "first", {"PYTHONHASHSEED": "0"}, params=params)
    for name, environment in ENVIRONMENTS.items():
        other = {**params, "dataloader_num_workers": 3}
        again = run(tiny_base, tmp_path / name, environment, params=other)
        assert again == first, name


@pytest.mark.nightly
@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(tiny_base: Path, tmp_path: Path) -> None:
    params = {"save_steps": 2, "optimizer": "adamw_8bit"}
    whole = run(tiny_base, tmp_path / "whole", {}, params=params)
    for step in (1, 3, 4):  # before the first checkpoint, between two, at one
        assert run(tiny_base, tmp_path / "killed", {}, params=params, die_at=step) is None
    left = tmp_path / "killed" / "work" / "partial-1-6"  # killed while it wrote
    left.mkdir()
    (left / "adapter.safetensors").write_bytes(b"half")
    assert run(tiny_base, tmp_path / "killed", {}, params=params) == whole
    kept = sorted(p.name for p in left.parent.iterdir())
    assert kept == ["states", "step-00000004", "step-00000006"]


def test_one_and_two_threads_give_the_same_bits_here(tiny_base: Path, tmp_path: Path) -> None:
    """Observed at these shapes and not promised: that is why the number is a parameter."""
    found = []
    for threads in (1, 2):
        output = tmp_path / str(threads)
        job = jobs.job(tiny_base, tmp_path / f"work-{threads}", output)
        found.append(jobs.outcome(jobs.train({"cpu_threads": threads}, job), output))
    assert found[0] == found[1]


PLAIN = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapter, quantized = sys.argv[1], sys.argv[2], sys.argv[3] == "nf4"
options = {"dtype": torch.float32}
if quantized:
    from transformers import BitsAndBytesConfig
    options = {"dtype": torch.bfloat16, "quantization_config": BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16)}
model = AutoModelForCausalLM.from_pretrained(base, **options)
model = PeftModel.from_pretrained(model, adapter).train()  # in eval mode bitsandbytes repacks
with torch.enable_grad():
    logits = model(input_ids=torch.tensor([[5, 9, 13, 40, 8, 8, 21]])).logits
print(json.dumps(logits[0].float().tolist()))
assert not any(name.startswith("khichdi") for name in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-4), ("nf4", 0.1)])
def test_plain_peft_loads_the_adapter_and_computes_the_same(
    tiny_base: Path, tmp_path: Path, kind: str, tolerance: float
) -> None:
    """Tolerance: float32 rounding; for bfloat16 a few units in the last of 8 bits at |x| < 4."""
    import torch

    from khichdi.plugins.toolkit.frozen_linear import install
    from khichdi.plugins.toolkit.model_loading import attach_adapter, load_model

    quantizer = jobs.NF4 if kind == "nf4" else jobs.FULL
    output = tmp_path / "output"
    settings = {"quantizer": quantizer, "adapter": Lora(LoraParams(r=8))}
    jobs.train({}, jobs.job(tiny_base, tmp_path / "work", output, **settings))
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(tiny_base), str(output), kind],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    theirs = torch.tensor(json.loads(done.stdout))
    with quiet(), torch.no_grad():
        base = load_model(tiny_base, quantizer)
        tokens = torch.tensor([[5, 9, 13, 40, 8, 8, 21]])
        install(base, base.dtype)
        without = base(input_ids=tokens).logits[0].float()
        model = attach_adapter(base, output)
        install(model, base.dtype)
        ours = model(input_ids=tokens).logits[0].float()
    assert (without - theirs).abs().max() > 5 * tolerance, "the adapter must show"
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
