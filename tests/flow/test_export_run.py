"""A finished run is exported: a step with a key, and files that others' tools load."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from miniature import make_tokenizer

import khichdi
from khichdi.cli.main import main
from khichdi.compiler.lower import export_step
from khichdi.plugins.registry import load_registry
from khichdi.project.modelfile import prompt_form
from khichdi.project.run_lookup import Run, open_run
from khichdi.runtime.inference import row_of
from khichdi.schema.plan import PluginRef

from .conftest import Workdir

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ASKED = [{"role": "user", "content": "Name a capital."}]


@pytest.fixture(scope="module")
def run(shared_run: tuple[Workdir, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export") / "workdir"
    shutil.copytree(shared_run[0].folder, folder)
    return open_run(store=folder / "store")


def exported(
    run: Run, capsys: pytest.CaptureFixture[str], folder: Path, *words: str, status: int = 0
) -> Any:
    command = ["export", run.name, "--store", str(run.store.root), "-o", str(folder), "--json"]
    assert main([*command, *words]) == status
    return json.loads(capsys.readouterr().out)


def test_a_merged_model_answers_as_the_run_and_is_made_once(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = ("--to", "merged", "--onto", "dequantized")
    found = exported(run, capsys, tmp_path / "merged", *words)
    assert found["step"]["status"] == "ran"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.bfloat16)
    ids = tokenizer.apply_chat_template(
        ASKED, add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    made = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, do_sample=False,
        pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    text = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    assert [text] == run.generate(["Name a capital."], max_new_tokens=4)
    (tmp_path / "merged" / "config.json").write_text("{}")  # the user's copy, not the store's
    again = exported(run, capsys, tmp_path / "again", *words)
    assert again["step"] == {**found["step"], "status": "cached"}
    assert json.loads((tmp_path / "again" / "config.json").read_text())["model_type"] == "mistral"


def test_the_key_is_that_of_a_recipe_that_exports(
    shared_run: tuple[Workdir, Any], run: Run
) -> None:
    workdir = shared_run[0]
    project = khichdi.open_recipe(
        workdir.recipe, store=workdir.folder / "store",
        settings=['export=[{use: gguf, outtype: q8_0}]'],
    )  # fmt: skip
    plugin = load_registry().create("exporter", "gguf", {"outtype": "q8_0"})
    params = plugin.params.model_dump(mode="json")
    ref = PluginRef(kind="exporter", name="gguf", version=plugin.version, params=params)
    assert export_step(run.plan(), ref).key == project.plan.step("export/gguf").key


def test_ollama_has_a_file_and_the_prompt_format(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gguf import GGUFReader

    found = exported(run, capsys, tmp_path / "o", "--to", "ollama", "--quantize", "q8_0")
    assert found["files"] == ["model.gguf", "Modelfile"]
    reader = GGUFReader(tmp_path / "o" / "model.gguf")
    inside = reader.fields["tokenizer.chat_template"].contents()
    assert inside == (run.adapter / "chat_template.jinja").read_text()
    text = (tmp_path / "o" / "Modelfile").read_text()
    assert text.startswith(f"# pico, result hash {run.result_hash}\nFROM ./model.gguf\nTEMPLATE ")
    assert "PARAMETER temperature 0\n" in text


def test_an_adapter_is_copied_with_all_that_loads_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = exported(run, capsys, tmp_path / "a", "--to", "adapter")
    assert {"README.md", "tokenizer.json", "adapter_model.safetensors"} <= set(found["files"])
    refused = exported(run, capsys, tmp_path / "a", "--to", "adapter", status=2)
    assert "has something in it" in refused["error"]["message"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--to", "merge"], "did you mean `merged`?"),
        (["--to", "merged", "--quantize", "q8_0"], "no parameter `outtype`"),
        (["--to", "gguf", "--quantize", "q9"], "q8_0"),
        (["--to", "adapter", "--onto", "base"], "leave out onto"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    found = exported(run, capsys, tmp_path / "x", *words, status=2)
    assert expected in json.dumps(found["error"])
    assert not (tmp_path / "x").exists()


def test_a_k_type_without_llama_cpp_says_what_to_install(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.machinery.PathFinder.find_spec", _without_llama_cpp())
    monkeypatch.delitem(sys.modules, "llama_cpp", raising=False)
    found = exported(run, capsys, tmp_path / "k", "--to", "gguf", "--quantize", "q4_k_m", status=3)
    assert "llama.cpp, which is not installed" in found["error"]["message"]
    assert "pip install llama-cpp-python" in found["error"]["hint"]


def _without_llama_cpp() -> Any:
    from importlib.machinery import PathFinder

    find = PathFinder.find_spec

    def find_others(name: str, *rest: Any) -> Any:
        return None if name == "llama_cpp" else find(name, *rest)

    return find_others


# ---- the prompt format in Ollama's language -------------------------------------------------

ACTION = re.compile(r"\{\{ (.*?) \}\}", re.DOTALL)


def written(form: str, system: str, turns: list[tuple[str, str]]) -> str:
    """Write a form for each turn, as Ollama does; the last one ends where the answer begins."""
    out = ""
    for number, (prompt, response) in enumerate(turns):
        values = {".System": "" if number else system, ".Prompt": prompt, ".Response": response}
        shown = True
        for action in ACTION.findall(form):
            if action == "if .System":
                shown = bool(values[".System"])
            elif action == "else":
                shown = not shown
            elif action == "end":
                shown = True
            elif action == ".Response" and number == len(turns) - 1:
                return out
            elif shown:
                out += values[action] if action in values else json.loads(action)
    raise AssertionError("the form has no answer")


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("alpaca", {}),
        ("alpaca", {"preamble": True}),
        ("question-answer", {}),
        ("chat", {"jinja": CHATML}),
    ],
)
def test_a_form_writes_what_the_template_writes(use: str, params: dict[str, Any]) -> None:
    template, tokenizer = load_registry().create("template", use, params), make_tokenizer()
    form, ends = prompt_form(template, tokenizer)
    assert ends[0] == tokenizer.eos_token
    for system in ("", 'Say "yes".'):
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": "One {{ .Prompt }}?"})
        rendered = template.prompt(row_of(messages), tokenizer).text
        assert written(form, system, [("One {{ .Prompt }}?", "")]) == rendered
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
    ]
    rendered = template.prompt(row_of(messages), tokenizer).text
    if not params.get("preamble"):  # it stands once, and Ollama writes a form for each question
        answer = " 1" if use == "question-answer" else "1"  # the space is learned with it
        assert written(form, "", [("One?", answer), ("Two?", "")]) == rendered


def test_a_form_without_system_or_second_question_writes_the_first() -> None:
    template = load_registry().create("template", "text", {"prompt": "Q {instruction}\nA"})
    form, ends = prompt_form(template, make_tokenizer())
    assert written(form, "", [("One?", "")]) == "Q One?\nA"
    assert ends


# ---- llama.cpp ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["f32", "q8_0", "q5_k_m"])
def test_llama_cpp_answers_as_the_run(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """In full precision with the same text; quantized, with some text."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    words = ("--to", "gguf", "--onto", "dequantized", "--quantize", kind)
    exported(run, capsys, tmp_path / "g", *words)
    # Its buffers for AMX need a permission that not every machine gives.
    low = llama_cpp.llama_cpp
    settings = low.llama_model_default_params()
    settings.use_extra_bufts = False
    low.llama_model_default_params = lambda: settings
    model = llama_cpp.Llama(
        str(tmp_path / "g" / "model.gguf"), n_ctx=256, n_threads=1, verbose=False
    )
    found = model.create_chat_completion(ASKED, temperature=0, max_tokens=4)
    text = found["choices"][0]["message"]["content"]
    assert text
    if kind == "f32":
        [told] = run.generate(["Name a capital."], max_new_tokens=4)
        assert text == told.replace("\ufffd", "")  # its Python drops half characters
