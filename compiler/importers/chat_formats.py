"""Chat templates that other tools know by a name: whose own they are, or how they are written.

A name is mapped to the tokenizer's own template where the base is of the family that has it so,
and else to a short Jinja template of the same format, which the recipe then carries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from .jinja_texts import DEEPSEEK_2, LAST_THOUGHT, Written

ASSISTANT = 'm.role == "assistant"'


@dataclass(frozen=True)
class Format:
    """How turns are written: `opening` and `closing` of each, with the role in between.

    Attributes:
        start: Jinja before the first turn.
        opening: text before the role.
        named: text behind the role.
        closing: text that ends a turn; trained on with an answer.
        gap: text behind it.
        roles: what roles are called, where it is another name.
        thought: text that starts an answer without a thought of its own.
        trims: whether white space around a text is left out.
    """

    opening: str
    named: str
    closing: str
    gap: str = ""
    start: str = ""
    roles: tuple[tuple[str, str], ...] = ()
    thought: str = ""
    trims: bool = False

    def jinja(self, *, gap_is_trained: bool) -> str:
        """Return the template's text, with marks around what is trained on."""
        role = "m.role"
        if self.roles:
            names = ", ".join(f'"{name}": "{written}"' for name, written in self.roles)
            role = f"{{{names}}}[m.role]"
        text = "m.content | trim" if self.trims else "m.content"
        after = _literal(self.gap)
        trained, rest = (after, "") if gap_is_trained else ("", after)
        thought = f'{{{{ {_quoted(self.thought)} if "<think>" not in m.content }}}}'
        answer = f"{thought if self.thought else ''}{{{{ {text} }}}}{_literal(self.closing)}"
        called = dict(self.roles).get("assistant", "assistant")
        prompt = _quoted(self.opening + called + self.named)
        return (
            f"{self.start}{{% for m in messages %}}"
            f"{{{{ {_quoted(self.opening)} + {role} + {_quoted(self.named)} }}}}"
            f"{{% if {ASSISTANT} %}}{{% generation %}}{answer}{trained}{{% endgeneration %}}{rest}"
            f"{{% else %}}{{{{ {text} }}}}{_literal(self.closing + self.gap)}{{% endif %}}"
            f"{{% endfor %}}{{% if add_generation_prompt %}}{{{{ {prompt} }}}}{{% endif %}}"
        )


def _literal(text: str) -> str:
    """Return a text as Jinja writes it; line breaks behind a tag would be left out."""
    return f"{{{{ {_quoted(text)} }}}}" if "\n" in text else text


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


BOS = "{{ bos_token }}"
CHATML = Format("<|im_start|>", "\n", "<|im_end|>", "\n")
QWEN3 = Format("<|im_start|>", "\n", "<|im_end|>", "\n", thought="<think>\n\n</think>\n\n")
FALCON_H1 = Format("<|im_start|>", "\n", "<|im_end|>", "\n", start=BOS)
LLAMA_3 = Format(
    "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", start=BOS, trims=True
)
LLAMA_4 = Format("<|header_start|>", "<|header_end|>\n\n", "<|eot|>", start=BOS)
COHERE_ROLES = (("user", "USER"), ("assistant", "CHATBOT"), ("system", "SYSTEM"))
COHERE = Format("<|START_OF_TURN_TOKEN|><|", "_TOKEN|>", "<|END_OF_TURN_TOKEN|>", start=BOS,
                trims=True, roles=COHERE_ROLES)  # fmt: skip

QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
FASTCHAT_SYSTEM = "You are a helpful assistant."
SHAREGPT: dict[str, Format] = {"chatml": CHATML, "llama3": LLAMA_3}
"""Conversations of FastChat's that older axolotls render by; each has that system message."""
SMOLLM2_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face."

SAME_TEMPLATE = (
    "write `train.template: {{use: chat}}` where the tokenizer's own is the same, else give {text}"
)
OWN: dict[str, dict[str, str]] = {
    "axolotl": {
        "qwen_25": r"qwen-?2\.5(?!.*-vl)",
        "gemma": r"gemma-?(2|2b|7b|1\.1)\b",
        "gemma3": r"gemma-?3\b(?!n)",
        "gemma3n": r"gemma-?3n",
        "gemma4": r"gemma-?4",
        "llama3": r"llama-?3-(8|70)b-instruct",
        "llama4": r"llama-?4.*instruct",
        "falcon_h1": r"falcon-h1.*instruct",
    },
    "LLaMA-Factory": {
        "gemma": r"gemma-?(2|2b|7b|1\.1)\b.*it",
        "gemma2": r"gemma-?2\b.*it",
        "gemma3": r"gemma-?3\b(?!n).*it",
        "gemma3n": r"gemma-?3n.*it",
        "mistral": r"mistral-7b-instruct-v0\.3|mixtral-8x22b-instruct",
    },
}
"""Templates that are the tokenizer's own, for bases of this name."""
WRITTEN: dict[str, dict[str, tuple[Format | Written, str | None]]] = {
    "axolotl": {
        "qwen3": (LAST_THOUGHT, None),
        "qwen3_5": (LAST_THOUGHT, None),
        "deepseek_v2": (DEEPSEEK_2, None),
        "chatml": (CHATML, None),
        "qwen_25": (CHATML, QWEN_SYSTEM),
        "llama3": (LLAMA_3, None),
        "llama4": (LLAMA_4, None),
        "falcon_h1": (FALCON_H1, None),
        "cohere": (COHERE, None),
    },
    "LLaMA-Factory": {
        "chatml": (CHATML, None),
        "qwen": (CHATML, QWEN_SYSTEM),
        "qwen3": (QWEN3, None),
        "qwen3_5": (QWEN3, None),
        "qwen3_6": (QWEN3, None),
        "qwen3_nothink": (CHATML, None),
        "qwen3_5_nothink": (CHATML, None),
        "qwen3_vl_nothink": (CHATML, None),
        "yi": (CHATML, None),
        "cpm4": (replace(CHATML, start=BOS), None),
        "phi": (Format("<|", "|>\n", "<|end|>", "\n"), None),
        "phi4": (Format("<|im_start|>", "<|im_sep|>", "<|im_end|>"), None),
        "llama3": (replace(LLAMA_3, trims=False), None),
        "llama4": (LLAMA_4, None),
        "falcon_h1": (FALCON_H1, None),
        "smollm2": (CHATML, SMOLLM2_SYSTEM),
    },
}
"""Templates whose format is written out, with their system message for rows without one."""


def template_of(tool: str, name: str, base: str) -> dict[str, Any] | None:
    """Return the template of a recipe that writes what the tool's template does, or None."""
    own = OWN[tool].get(name)
    if own and re.search(own, base, re.IGNORECASE):
        return {"use": "chat"}
    found = WRITTEN[tool].get(name)
    if found is None:
        return None
    written, system = found
    # LLaMA-Factory trains on what stands behind the end of an answer, too.
    jinja = written.jinja(gap_is_trained=tool == "LLaMA-Factory")
    more = {"system": system} if system else {}
    if written is LAST_THOUGHT:
        more["history"] = "as-written"  # an answer is trained on as it stands in the whole chat
    return {"use": "chat", "jinja": jinja} | more


TOKENS: tuple[tuple[str, dict[str, str]], ...] = (
    (r"llama-?2|codellama|tinyllama|open_llama|vigogne-2|taiwan-llm|mi[sx]tral-(7b|8x7b)",
     {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
    (r"llama-?3.*instruct", {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}),
    (r"llama-?3", {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}),
    (r"llama-?4.*instruct", {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot|>"}),
    (r"qwen-?[23].*instruct", {"eos_token": "<|im_end|>"}),
    (r"gemma", {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}),
)  # fmt: skip
"""Special tokens of the tokenizers of well-known families; the first pattern that fits counts."""
ENDS: tuple[tuple[str, str], ...] = (
    (r"gemma", "<end_of_turn>"), (r"lfm2|qwen|smollm|falcon-h1", "<|im_end|>"),
    (r"llama-?3", "<|eot_id|>"), (r"llama-?4", "<|eot|>"), (r"phi-?3", "<|end|>"),
)  # fmt: skip
"""What ends a turn in the chat templates of well-known families."""


def has_token(base: str, name: str, token: str) -> bool:
    """Return whether the tokenizer of a base is known to have a special token under a name."""
    for pattern, tokens in TOKENS:
        if re.search(pattern, base, re.IGNORECASE):
            return tokens.get(name) == token
    return False


def ends_turn(base: str, token: str) -> bool:
    """Return whether a token is known to end the turns of a base's chat template."""
    return any(end == token and re.search(pattern, base, re.IGNORECASE) for pattern, end in ENDS)
