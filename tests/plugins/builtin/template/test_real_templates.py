"""Chat templates of installed packages: the tokens of `apply_chat_template`, and the right mask."""

from __future__ import annotations

from typing import Any

import pytest
from chat_reference import CASES, DATE, compare
from chat_templates import installed, tokenizer_for

OWN = {
    "own/inst": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} "
        "[/INST]{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% else %}"
        "{{ raise_exception('no ' + m.role) }}{% endif %}{% endfor %}"
    ),
    "own/plain": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
    "own/dated": (
        "{{ strftime_now('%d %b %Y') }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
    "own/skips": (
        "{% for m in messages if m.role in ('user', 'assistant') %}<|{{ m.role }}|>"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
}
TEMPLATES = {**dict(installed()), **OWN}


@pytest.fixture(autouse=True)
def the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell transformers' own rendering the day that the recipe names."""
    from datetime import datetime

    from transformers.utils import chat_template_utils

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromisoformat(DATE)

    monkeypatch.setattr(chat_template_utils, "datetime", Fixed)


OUTCOMES: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("name", TEMPLATES)
def test_tokens_and_mask_are_those_of_transformers(name: str) -> None:
    """Each case is equal, or refused with a reason; nothing else."""
    tokenizer = tokenizer_for(TEMPLATES[name])
    for case, (messages, tools) in CASES.items():
        OUTCOMES.setdefault(name, {})[case] = compare(tokenizer, messages, tools)


def test_at_least_thirty_templates_were_equal() -> None:
    """Print the table of templates and cases, and count."""
    for name, outcomes in OUTCOMES.items():
        print(name, *(f"  {case}: {outcome}" for case, outcome in outcomes.items()), sep="\n")
    if not any(name.startswith("trl/") for name in OUTCOMES):
        pytest.skip("neither trl nor axolotl is installed: no chat templates to compare with")
    equal = [name for name, found in OUTCOMES.items() if found["multi"].startswith("equal")]
    assert len(equal) >= 30, equal
    assert OUTCOMES["own/skips"]["system"] == "the chat template leaves out turn 0, by `system`"
