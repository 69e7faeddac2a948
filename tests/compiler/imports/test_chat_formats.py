"""Formats of chat templates by name: the text that other tools write, and what they train on."""

from __future__ import annotations

import pytest

from khichdi.compiler.importers.chat_formats import ends_turn, has_token, template_of
from khichdi.plugins.builtin.template.chat_template import ChatTemplate

pytestmark = pytest.mark.heavy  # transformers renders the templates

CHAT = [("system", "S."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye"),
        ("assistant", "Ciao.")]  # fmt: skip
IM = "<|im_start|>{}\n{}<|im_end|>\n"
L3 = "<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>"
NO_THOUGHT = "<think>\n\n</think>\n\n"


def rendered(tool: str, name: str) -> tuple[str, list[str], str]:
    """Return the text of the chat, its trained pieces, and the prompt of its first question."""
    found = template_of(tool, name, "somebody/some-base")
    assert found is not None
    template = ChatTemplate(found["jinja"], {"bos_token": "<s>"}, None)
    messages = [{"role": role, "content": text} for role, text in CHAT]
    text, spans = template.render(messages, None)
    prompt, _ = template.render(messages[:2], None, prompt=True)
    return text, [text[start:end] for start, end in spans], prompt


@pytest.mark.parametrize(
    ("tool", "name", "turn", "trained"),
    [
        ("axolotl", "chatml", IM, ["Hello.<|im_end|>", "Ciao.<|im_end|>"]),
        ("axolotl", "llama3", L3, ["Hello.<|eot_id|>", "Ciao.<|eot_id|>"]),
        # LLaMA-Factory trains on the line break behind an answer, too.
        ("LLaMA-Factory", "qwen", IM, ["Hello.<|im_end|>\n", "Ciao.<|im_end|>\n"]),
        ("LLaMA-Factory", "llama3", L3, ["Hello.<|eot_id|>", "Ciao.<|eot_id|>"]),
    ],
)
def test_text_and_trained_pieces(tool: str, name: str, turn: str, trained: list[str]) -> None:
    text, pieces, prompt = rendered(tool, name)
    start = "<s>" if turn == L3 else ""
    assert text == start + "".join(turn.format(role, said) for role, said in CHAT)
    assert pieces == trained
    assert text.startswith(prompt)
    assert prompt.endswith(turn.format("assistant", "|").partition("|<")[0].removesuffix("|"))


def test_an_answer_without_a_thought_gets_an_empty_one() -> None:
    text, pieces, _ = rendered("LLaMA-Factory", "qwen3")
    assert pieces == [f"{NO_THOUGHT}{said}<|im_end|>\n" for said in ("Hello.", "Ciao.")]
    assert text.count(NO_THOUGHT) == 2


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5"])
def test_only_the_last_answer_has_a_thought_where_the_template_forgets_earlier_ones(
    name: str,
) -> None:
    text, pieces, prompt = rendered("axolotl", name)
    assert pieces == ["Hello.<|im_end|>", "Ciao.<|im_end|>"]
    assert text == (
        "".join(IM.format(role, said) for role, said in CHAT[:-1])
        + f"<|im_start|>assistant\n{NO_THOUGHT}Ciao.<|im_end|>\n"
    )
    assert prompt.endswith(f"<|im_start|>assistant\n{NO_THOUGHT}")
    found = template_of("axolotl", name, "somebody/some-base")
    assert found is not None
    assert found["history"] == "as-written"
    template = ChatTemplate(found["jinja"], {}, None)
    thinking = "<think>\nSo.\n</think>\n\nHello."
    chat = [{"role": role, "content": said} for role, said in CHAT[1:3]]
    chat[1]["content"] = thinking
    text, spans = template.render(chat, None)
    assert text.endswith(f"assistant\n{thinking}<|im_end|>\n")
    assert [text[a:b] for a, b in spans] == ["\nSo.\n</think>\n\nHello.<|im_end|>"]
    chat += [{"role": role, "content": said} for role, said in CHAT[3:]]
    assert "So." not in template.render(chat, None)[0]


def test_deepseeks_turns_end_with_the_tokenizers_own_token() -> None:
    found = template_of("axolotl", "deepseek_v2", "somebody/some-base")
    assert found is not None
    template = ChatTemplate(found["jinja"], {"bos_token": "<s>", "eos_token": "</s>"}, None)
    text, spans = template.render([{"role": r, "content": c} for r, c in CHAT], None)
    bar = "\uff5c"
    user, answer = f"<{bar}User{bar}>", f"<{bar}Assistant{bar}>"
    assert text == f"<s>S.\n\n{user}Hi{answer}Hello.</s>{user}Bye{answer}Ciao.</s>"
    assert [text[a:b] for a, b in spans] == ["Hello.</s>", "Ciao.</s>"]


def test_roles_have_other_names() -> None:
    text, _, _ = rendered("axolotl", "cohere")
    assert "<|CHATBOT_TOKEN|>Hello.<|END_OF_TURN_TOKEN|>" in text
    assert "assistant" not in text


def test_a_name_that_is_not_known_has_no_template() -> None:
    assert template_of("LLaMA-Factory", "my_own", "Qwen/Qwen2.5-7B-Instruct") is None
    assert template_of("axolotl", "gemma3", "meta-llama/Llama-3.1-8B") is None


def test_special_tokens_of_known_families() -> None:
    assert has_token("NousResearch/Llama-2-7b-hf", "eos_token", "</s>")
    assert not has_token("NousResearch/Llama-2-7b-hf", "eos_token", "<|im_end|>")
    assert not has_token("somebody/some-base", "eos_token", "</s>")
    assert has_token("meta-llama/Llama-3.1-8B-Instruct", "eos_token", "<|eot_id|>")
    assert ends_turn("google/gemma-3-1b-it", "<end_of_turn>")
    assert not ends_turn("mistralai/Voxtral-Mini-3B-2507", "<end_of_turn>")
