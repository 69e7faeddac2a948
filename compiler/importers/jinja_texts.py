"""Chat templates of other tools that are more than one way to open and close a turn.

Rendered, each gives the text of the tool's own; `generation` marks what the tool trains on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A template by its Jinja text."""

    text: str

    def jinja(self, *, gap_is_trained: bool) -> str:
        """Return the template's text."""
        return self.text


def _joined(*parts: str) -> str:
    return "".join(parts)


LAST_THOUGHT = Written(
    _joined(
        '{% for m in messages %}{{ "<|im_start|>" + m.role + "\\n" }}',
        '{% if m.role == "assistant" %}',
        '{% set parts = m.content.split("</think>") %}',
        '{% set said = parts[-1].lstrip("\\n") if parts[1:] else m.content %}',
        '{% set thought = parts[0].rstrip("\\n").split("<think>")[-1].strip("\\n") %}',
        "{% if not loop.last %}{% generation %}{{ said }}<|im_end|>{% endgeneration %}",
        "{% elif parts[1:] %}<think>{% generation %}",
        '{{ "\\n" + thought + "\\n</think>\\n\\n" + said }}<|im_end|>{% endgeneration %}',
        '{% else %}{{ "<think>\\n\\n</think>\\n\\n" }}',
        '{% generation %}{{ said.lstrip("\\n") }}<|im_end|>{% endgeneration %}{% endif %}',
        '{{ "\\n" }}{% else %}{{ m.content + "<|im_end|>\\n" }}{% endif %}{% endfor %}',
        "{% if add_generation_prompt %}",
        '{{ "<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n" }}{% endif %}',
    )
)
"""Qwen 3: the last answer has a thought, an empty one at least, and earlier ones lose theirs."""
DEEPSEEK_2 = Written(
    _joined(
        "{{ bos_token }}{% for m in messages %}",
        '{% if m.role == "user" %}{{ "<\uff5cUser\uff5c>" + m.content }}',
        '{% elif m.role == "assistant" %}{{ "<\uff5cAssistant\uff5c>" }}',
        "{% generation %}{{ m.content + eos_token }}{% endgeneration %}",
        '{% else %}{{ m.content + "\\n\\n" }}{% endif %}{% endfor %}',
        '{% if add_generation_prompt %}{{ "<\uff5cAssistant\uff5c>" }}{% endif %}',
    )
)
