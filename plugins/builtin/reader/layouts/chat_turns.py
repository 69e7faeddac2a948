"""Read the turns of a chat: who speaks, the text, and what else a turn carries."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from ..records.record import MISSING, FileRecord, lookup, what
from ..records.row_mapper import text_of
from .roles import KEYS, TURN_ROLES

NAMES = {
    "tool_calls": "tool_calls",
    "reasoning_content": "reasoning_content",
    "reasoning": "reasoning_content",
    "thinking": "reasoning_content",
    "name": "name",
    "tool_call_id": "tool_call_id",
    "weight": "weight",
    "train": "weight",
}
"""The words that data sets use for fields of a turn -> the name by which they are ignored."""


def read_turns(record: FileRecord, field: str, ignore: Collection[str]) -> list[dict[str, str]]:
    """Return the turns at a field, each with `role`, `text` and, as JSON, its other fields.

    Raises:
        RecordError: the field is not a list of turns, or a turn has what cannot be read.
    """
    value = lookup(record.value, field)
    if not isinstance(value, list):
        found = "no such field" if value is MISSING else what(value)
        hint = f"the record has: {', '.join(record.fields)}; choose one with `field: ...`"
        raise record.error(f"`{field}` must be a list of turns, found {found}", hint)
    turns = []
    for number, item in enumerate(value):
        place = f"`{field}`, turn {number}"
        if not isinstance(item, dict):
            role = ("user", "assistant")[number % 2]
            turns.append({"role": role, "text": text_of(record, place, item), "extra": ""})
            continue
        role, content = _spoken(record, place, item)
        extra = _carried(record, place, item, role, ignore)
        empty = content is None and bool({"tool_calls", "reasoning_content"} & set(extra))
        if empty:
            extra["content"] = None
        text = "" if empty else _text(record, place, content)
        turns.append({"role": role, "text": text, "extra": _json(extra)})
    return turns


def read_tools(record: FileRecord, path: str, ignore: Collection[str]) -> str:
    """Return the tools of a chat as JSON; empty where it has none."""
    value = lookup(record.value, path)
    if value is MISSING or not value or "tools" in ignore:
        return ""
    tools = _parsed(record, f"`{path}`", value)
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        hint = "tools are a list of JSON schemas, or such a list as JSON text; or `ignore: [tools]`"
        raise record.error(f"`{path}` must be a list of tools, found {what(tools)}", hint)
    return _json(_dense(record, tools)) if tools else ""


def read_system(record: FileRecord, path: str, ignore: Collection[str]) -> list[dict[str, str]]:
    """Return the system prompt that a record has beside its turns, as a turn, if it has one."""
    value = lookup(record.value, path)
    if value is MISSING or not value or "system" in ignore:
        return []
    return [{"role": "system", "text": text_of(record, f"`{path}`", value), "extra": ""}]


def _spoken(record: FileRecord, place: str, item: dict[str, Any]) -> tuple[str, Any]:
    """Return role and text of a turn that is an object."""
    for role, text in KEYS:
        if role in item and (text in item or "tool_calls" in item):
            known = TURN_ROLES.get(str(item[role]).lower())
            if known is None:
                hint = f"known roles: {', '.join(TURN_ROLES)}"
                raise record.error(f"{place}: unknown role {item[role]!r}", hint)
            return known, item.get(text)
    raise record.error(
        f"{place} has {', '.join(item) or 'no fields'}",
        "a turn is a text, or has `from` and `value`, or `role` and `content`",
    )


def _text(record: FileRecord, place: str, content: Any) -> str:
    """Return the text of a turn; of a list of parts, their texts one after the other."""
    if not isinstance(content, list):
        return text_of(record, place, content)
    texts = []
    for part in content:
        if isinstance(part, dict) and part.get("type", "text") == "text" and "text" in part:
            part = part["text"]
        elif not isinstance(part, str):
            kind = part.get("type") if isinstance(part, dict) else what(part)
            raise record.error(
                f"{place} has a part that is not text: {kind!r}",
                "images and sound are not read; `on_bad_row: drop` leaves such chats out",
                "part-not-text",
            )
        texts.append(text_of(record, place, part))
    return "".join(texts)


def _carried(
    record: FileRecord, place: str, item: dict[str, Any], role: str, ignore: Collection[str]
) -> dict[str, Any]:
    """Return the fields of a turn beside its text, under the names that chat templates use."""
    if item.get("function_call"):
        raise record.error(
            f"{place} has a `function_call`, the form before `tool_calls`",
            "write it as `tool_calls: [{type: function, function: ...}]`",
        )
    extra: dict[str, Any] = {}
    for word, name in NAMES.items():
        value = item.get(word)
        if value is None or value in ("", []) or name in ignore:
            continue
        if name == "weight":
            if not _counts(record, place, word, value, role):
                extra["train"] = False
        elif name == "tool_calls":
            extra[name] = _calls(record, place, value)
        elif name not in extra:
            extra[name] = text_of(record, f"{place}, `{word}`", value)
    return extra


def _counts(record: FileRecord, place: str, word: str, value: Any, role: str) -> bool:
    """Return whether the loss counts a turn."""
    if value not in (0, 1):
        raise record.error(
            f"{place}: `{word}` is {value!r}, and a turn counts (1, true) or does not (0, false)",
            "`ignore: [weight]` of the reader counts every answer",
            "weight",
        )
    if value and role != "assistant" and word == "train":
        raise record.error(
            f"{place}: `train: true` on a turn by `{role}`, and only answers are learned",
            "`ignore: [weight]` of the reader counts every answer and nothing else",
            "weight",
        )
    return bool(value)


def _calls(record: FileRecord, place: str, value: Any) -> list[Any]:
    """Return tool calls with their arguments as objects, as chat templates expect them."""
    calls = _parsed(record, f"{place}, `tool_calls`", value)
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise record.error(f"{place}: `tool_calls` must be a list of objects")
    found = []
    for call in _dense(record, calls):
        function = call.get("function", call)
        if isinstance(arguments := function.get("arguments"), str):
            # Text that is not JSON stays as the model wrote it, and the template writes it.
            with suppress(ValueError):
                function = function | {"arguments": json.loads(arguments)}
        found.append(call | {"function": function} if "function" in call else function)
    return found


def _parsed(record: FileRecord, place: str, value: Any) -> Any:
    """Return a value that may be written as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise record.error(f"{place} is not JSON: {error}") from None


def _dense(record: FileRecord, value: Any) -> Any:
    """Return a value without the nulls that Parquet puts where other rows have a field."""
    if not record.file.path.endswith(".parquet"):
        return value
    if isinstance(value, dict):
        return {key: _dense(record, one) for key, one in value.items() if one is not None}
    return [_dense(record, one) for one in value] if isinstance(value, list) else value


def _json(value: Any) -> str:
    """Return JSON in the order of the data; empty where there is nothing."""
    return json.dumps(value, ensure_ascii=False) if value else ""
