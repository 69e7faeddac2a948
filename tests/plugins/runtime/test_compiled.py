"""Compiled parts of layers: right, the same in every process, refused without a compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jobs
import pytest
import torch
from pydantic import ValidationError

from khichdi.plugins import StepError
from khichdi.plugins.builtin.runtime.qlora.acceleration import torch_compile as compiled
from khichdi.plugins.builtin.runtime.qlora.acceleration.liger import modeling_put_back
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler"
)
SCRIPT = Path(jobs.__file__)


def run(base: Path, folder: Path, cache: Path, **params: Any) -> Any:
    """Train in another process, with compiled code of its own, and return what came out."""
    options = {"params": {"torch_compile": True, "cpu_threads": 2, "max_steps": 3, **params}}
    paths = [SCRIPT, base, folder / "work", folder / "output"]
    done = subprocess.run(
        [sys.executable, *map(str, paths), json.dumps(options)],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.nightly
@pytest.mark.slow
@needs_compiler
def test_another_process_gives_the_same_bits(tiny_base: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(tiny_base, tmp_path / "first", cache)
    assert run(tiny_base, tmp_path / "kept code", cache) == first
    fresh = run(tiny_base, tmp_path / "fresh code", tmp_path / "other", gradient_checkpointing=True)
    assert fresh == first


@pytest.mark.nightly
@pytest.mark.slow
@needs_compiler
def test_what_is_learnt_is_what_is_learnt_without(tiny_base: Path, tmp_path: Path) -> None:
    found = []
    for on in (False, True):
        folder = tmp_path / str(on)
        job = jobs.job(tiny_base, folder / "work", folder / "output", quantizer=jobs.FULL)
        found.append(jobs.train({"torch_compile": on, "max_steps": 3}, job))
    plain, fused = found
    assert "compiler" in fused.measured
    assert "compiler" not in plain.measured
    for one, other in zip(plain.trace, fused.trace, strict=True):
        assert one["batch"] == other["batch"]
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)


def test_only_what_is_known_is_compiled() -> None:
    from transformers import AutoModelForCausalLM, Gemma2Config, MistralConfig

    shape = {
        "vocab_size": 32, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    }  # fmt: skip
    counts = []
    for config in (MistralConfig(**shape), Gemma2Config(**shape)):
        model = AutoModelForCausalLM.from_config(config)
        with modeling_put_back():
            counts.append(compiled.compile_parts(model, 1))
    # Norms, products, and the rotation; Gemma's norms and products are others.
    assert counts == [5 + 2 + 1, 1]


def test_transformers_is_as_it_was(tiny_base: Path, tmp_path: Path) -> None:
    from transformers.models.mistral import modeling_mistral

    before = dict(vars(modeling_mistral))
    job = jobs.job(tmp_path / "nothing", tmp_path / "work", tmp_path / "output")
    with pytest.raises(StepError):
        jobs.train({"torch_compile": True}, job)
    assert vars(modeling_mistral) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("missing", ["PATH", "CXX"])
def test_without_a_compiler_it_is_refused_before_anything_is_loaded(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv(missing, str(tmp_path))
    job = jobs.job(tmp_path / "no-base-here", tmp_path / "work", tmp_path / "output")
    with pytest.raises(StepError, match=r"torch_compile.* needs a C\+\+ compiler") as caught:
        jobs.train({"torch_compile": True}, job)
    assert "leave `torch_compile` out" in str(caught.value)


def test_two_ways_of_the_same_parts_are_refused() -> None:
    with pytest.raises(ValidationError, match="replace the same parts"):
        QloraParams(torch_compile=True, use_liger_kernel=True)


@needs_compiler
def test_packs_of_many_lengths_share_the_code() -> None:
    from torch._dynamo.utils import counters

    norm = compiled._compiled(compiled._norm, 1)
    weight = torch.linspace(0.5, 1.5, 24)
    before = counters["stats"]["unique_graphs"]
    for length in (2, 7, 192, 193, 1024):
        x = torch.randn(length, 24, generator=torch.Generator().manual_seed(length))
        assert torch.allclose(norm(x, weight, 1e-6), compiled._norm(x, weight, 1e-6), atol=1e-5)
    assert counters["stats"]["unique_graphs"] == before + 1


HIDDEN = "import sys; sys.modules['setuptools._distutils'] = None\n"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python has no distutils of its own")
def test_setuptools_loads_where_distutils_of_python_get_in_first() -> None:
    plain = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HIDDEN + "import setuptools"], capture_output=True
    )
    assert b"AssertionError" in plain.stderr
    code = HIDDEN + (
        "import os\n"
        "from khichdi.plugins.builtin.runtime.qlora.acceleration import torch_compile\n"
        "torch_compile._load_setuptools(); import setuptools.command.build_ext\n"
        "assert 'SETUPTOOLS_USE_DISTUTILS' not in os.environ; print('loaded')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "loaded\n", done.stderr
