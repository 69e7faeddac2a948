"""The challenge's rules refuse what breaks them, and say what cannot be known."""

from __future__ import annotations

from pathlib import Path

import pytest
from bound import bound, load_bound, write

from khichdi.cli.main import main
from khichdi.compiler.checks.recipe_checks import check
from khichdi.compiler.checks.rules import check_rules, rule_warnings
from khichdi.compiler.estimate.architectures import known_architecture
from khichdi.compiler.estimate.estimator import Known
from khichdi.plugins import Facts
from khichdi.plugins.registry import load_registry

REGISTRY = load_registry()
RULE = "rules: [{{use: neurips-llm-efficiency-2023, track: {track}}}]\n"
ON_4090 = RULE.format(track="rtx-4090")
BIG = (
    "sequence_len: 8192, micro_batch_size: 2, gradient_accumulation_steps: 3, "
    "gradient_checkpointing: true"
)
ADAPTER = "{use: lora, r: 128, alpha: 256, dropout: 0.05}"


def errors(path: Path, known: Known | None = None) -> list[tuple[str, str | None]]:
    loaded, recipe = load_bound(path)
    found = check_rules(
        recipe, loaded, REGISTRY, known_architecture(recipe, REGISTRY), known or Known()
    )
    return [(d.message, d.suggestion) for d in found]


def warnings(path: Path, known: Known | None = None) -> list[str]:
    recipe = load_bound(path)[1]
    found = rule_warnings(recipe, REGISTRY, known_architecture(recipe, REGISTRY), known or Known())
    return [b.message for b in found["neurips-llm-efficiency-2023"]]


def test_a_recipe_that_holds_breaks_nothing_and_says_what_is_not_checked(tmp_path: Path) -> None:
    path = write(tmp_path, more=ON_4090)
    assert errors(path) == []
    assert [text.split(":")[0] for text in warnings(path)] == ["not checked"]


def test_memory_beyond_the_card_names_what_to_change(tmp_path: Path) -> None:
    path = write(tmp_path, adapter=ADAPTER, train=f"{BIG}, micro_batch_size: 4".replace(
        "micro_batch_size: 2, ", ""), more=ON_4090)  # fmt: skip
    [(message, hint)] = errors(path)
    assert "training takes about" in message
    assert "GiB of 24.0" in message
    assert hint is not None
    assert hint.startswith("`micro_batch_size: 1 with gradient_accumulation_steps: 12` saves")
    assert [d.message for d in check(*reversed(load_bound(path)), REGISTRY)] == [message]
    assert errors(write(tmp_path, adapter=ADAPTER, train=BIG, more=ON_4090)) == []


def test_the_larger_card_has_room(tmp_path: Path) -> None:
    train = BIG.replace("micro_batch_size: 2", "micro_batch_size: 4")
    path = write(tmp_path, adapter=ADAPTER, train=train, more=RULE.format(track="a100-40gb"))
    assert errors(path) == []


def test_more_than_a_day_is_refused_when_counted_and_doubted_when_assumed(tmp_path: Path) -> None:
    path = write(tmp_path, sample="{use: random, count: 5000000}", more=ON_4090)
    assert errors(path) == []
    assert any("h of 24" in text for text in warnings(path))
    facts = {"rows": 5_000_000, "packs": 1_000_000, "tokens": 10**9, "response_tokens": 10**8}
    [(message, hint)] = errors(path, Known(split=5_000_000, held_out=100, packs=facts))
    assert "h of 24 (rtx-4090: table, not measured here)" in message
    assert hint is not None


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    base = "{use: huggingface, repo: some/model}"
    found = warnings(write(tmp_path, base=base, sample="{use: all}", more=ON_4090))
    assert "whether the base is instruction-tuned is not known" in found
    assert "memory is not known" in found
    assert "time is not known" in found


@pytest.mark.parametrize(
    ("base", "license_", "said"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.1", "apache-2.0", "instruction-tuned"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama2", "instruction-tuned"),
        ("mistralai/Mistral-7B-v0.1", "cc-by-nc-4.0", "the base is under cc-by-nc-4.0"),
    ],
)
def test_bases_that_are_not_allowed(tmp_path: Path, base: str, license_: str, said: str) -> None:
    path = write(tmp_path, base=f"{{use: huggingface, repo: {base}}}", more=ON_4090)
    path.write_text(path.read_text().replace("apache-2.0", license_))
    [(message, _)] = errors(path)
    assert said in message


def test_mmlu_is_refused_and_other_evaluation_sets_need_their_training_split() -> None:
    def messages(**source: str) -> list[tuple[str, str]]:
        rule = REGISTRY.create("rule", "neurips-llm-efficiency-2023", {"track": "rtx-4090"})
        facts = Facts(
            base={}, base_license="mit", data_licenses={"d": "mit"}, data_sources={"d": source},
            instruction_tuned=False,
        )  # fmt: skip
        found = rule.breaches(facts)
        return [(b.severity, b.message) for b in found if "data set" in b.message]

    assert messages(use="huggingface", repo="cais/mmlu")[0][0] == "error"
    assert messages(use="huggingface", repo="openai/gsm8k")[0][0] == "warning"
    assert messages(use="huggingface", repo="openai/gsm8k", split="train") == []
    assert messages(use="huggingface", repo="GAIR/lima", split="train") == []
    assert "is on this machine" in messages(use="files", folder="x")[0][1]


def test_validate_plan_and_run_refuse_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = BIG.replace("micro_batch_size: 2", "micro_batch_size: 4")
    write(tmp_path, adapter=ADAPTER, train=train, more=ON_4090)
    monkeypatch.chdir(tmp_path)
    said = []
    for command in ("validate", "plan", "run"):
        assert main([command, "tested.yaml"]) == 2
        captured = capsys.readouterr()
        lines = (captured.out + captured.err).splitlines()
        said.append(next(line for line in lines if "breaks rule" in line))
    assert len(set(said)) == 1
    assert "training takes about" in said[0]


def test_a_recipe_without_rules_makes_no_estimate(tmp_path: Path) -> None:
    recipe = bound(tmp_path)
    assert rule_warnings(recipe, REGISTRY, None) == {}
