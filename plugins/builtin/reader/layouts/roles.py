"""Name who speaks in a chat, in the words of data sets and in ours; and what a turn may carry."""

from typing import Literal

ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
}
"""The words that data sets use for who speaks -> ours."""

TURN_ROLES = ROLES | {
    "developer": "developer",
    "tool": "tool",
    "function": "tool",
    "observation": "observation",
}
"""The same, with the roles that only chats with instructions and tools have."""

KEYS = (("role", "content"), ("from", "value"), ("role", "text"))
"""The fields of a turn that say who speaks, and what."""

CarriedField = Literal["tools", "system", "tool_calls", "reasoning_content", "name", "weight"]
"""Parts of a chat beside roles and texts, by their names in `ignore`."""
