"""axolotl's `datasets` -> data sets of a recipe, and the template that renders them."""

from __future__ import annotations

import re
from typing import Any

from ...plugins.registry import UNDECIDED
from ...schema.errors import InputError
from ...schema.yaml_reader import Path
from .chat_formats import FASTCHAT_SYSTEM, SAME_TEMPLATE, SHAREGPT, template_of
from .mapping import Translation, key_text
from .refusals import no_data
from .sources import LICENSES, data_source, is_local, set_name, sliced

ALPACA = {"use": "alpaca", "preamble": True}
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request."
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request."
)
ALPACA_CHAT = {
    "use": "text",
    "prompt": f"SYSTEM: {WITH_INPUT}\nUSER: {{instruction}}\n{{input}}\nASSISTANT:",
    "prompt_without_input": f"SYSTEM: {WITHOUT_INPUT}\nUSER: {{instruction}}\nASSISTANT:",
}
CHAT = {"use": "chat"}
TYPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alpaca": ({"use": "alpaca"}, ALPACA),
    "alpaca:instruct": ({"use": "alpaca"}, ALPACA),
    "gpteacher": ({"use": "alpaca", "columns": {"output": "response"}}, ALPACA),
    "gpteacher:instruct": ({"use": "alpaca", "columns": {"output": "response"}}, ALPACA),
    "alpaca:chat": ({"use": "alpaca"}, ALPACA_CHAT),
    "chat_template": ({"use": "conversations", "field": "messages", "unanswered": "trim"}, CHAT),
}
"""Prompt strategies by name: our reader and our template."""
FORMATS = {
    (
        "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
        "### Instruction:\n{instruction}\n\n### Response:\n",
    ): {"use": "alpaca"},
}
"""Prompts written out (with input, without), and the template that writes the same."""
OWN = (None, "tokenizer_default")
BUILDERS = {"json", "csv", "parquet", "text", "arrow"}


def datasets(t: Translation) -> None:
    """Translate every data set; a recipe has one template for all of them."""
    listed = t.value("datasets")
    if not (isinstance(listed, list) and listed and all(isinstance(d, dict) for d in listed)):
        raise no_data(t, "datasets", "a list of data sets")
    taken: set[str] = set()
    for index in range(len(listed)):
        _one(t, ("datasets", index), taken)
    if not t.draft.has(("train", "template")):
        t.undecided("train.template", "how rows are rendered")
    if t.value("chat_template") is not None:
        _chat_template(t)


def _chat_template(t: Translation) -> None:
    """Translate the name of a chat template."""
    name, base = t.text("chat_template") or "", t.text("base_model") or ""
    kinds = {t.text(("datasets", n, "type")) for n in range(len(t.value("datasets")))}
    if t.draft.get(("train", "template", "use")) != "chat" or kinds == {"sharegpt"}:
        t.inert("chat_template", "no data set is rendered by it")
        return
    if t.text("default_system_message"):
        place = {"train.template.system": t.text("default_system_message")}
        t.put("default_system_message", place)
    if name in OWN:
        t.same("chat_template", {"train.template.use": "chat"})
        return
    if name == "jinja" and t.text("chat_template_jinja"):
        t.put("chat_template_jinja", {"train.template.jinja": t.text("chat_template_jinja")})
        t.same("chat_template", {"train.template.use": "chat"})
        return
    found = template_of(t.tool, name, base)
    if found:
        t.draft.set(("train", "template"), dict(found))
        note = "the format of axolotl's" if "jinja" in found else "the tokenizer's own"
        t.put("chat_template", {("train", "template", n): v for n, v in found.items()}, note)
    else:
        t.undecided("train.template", f"axolotl renders by its template `{name}`")
        t.lost("chat_template", f"render by axolotl's template `{name}`",
               SAME_TEMPLATE.format(text="axolotl's file as `jinja`"))  # fmt: skip


def _one(t: Translation, key: Path, taken: set[str]) -> None:
    where = t.text((*key, "path"))
    if where is None:
        raise InputError(f"`{key_text((*key, 'path'))}` is missing, a data set was expected",
                         file=t.report.file)  # fmt: skip
    files = t.texts((*key, "data_files"))
    if where in BUILDERS and files:
        where, files = files[0], files[1:]
    name = set_name(where, taken)
    place = ("data", name)
    _source(t, key, (*place, "source"), where)
    _reader(t, key, (*place, "read"))
    if where in LICENSES:
        t.draft.set((*place, "license"), LICENSES[where], "as its card states")


def _source(t: Translation, key: Path, place: tuple[str, ...], where: str) -> None:
    """Put the source: its own keys from `path`, others from theirs."""
    given = t.text((*key, "path"))
    files = t.texts((*key, "data_files"))
    source = data_source(where, files=None)
    local = is_local(where)
    source.pop("split", None)
    if local and files and given in BUILDERS:
        source["include"] = [file.rpartition("/")[2] for file in files]
        t.put((*key, "data_files"), {(*place, n): source[n] for n in source},
              "found from the recipe's folder")  # fmt: skip
        t.same(
            (*key, "path"), {".".join(("data", place[1], "read", "use")): "by the file's ending"}
        )
    else:
        note = "found from the recipe's folder" if local else None
        t.put((*key, "path"), {(*place, n): value for n, value in source.items()}, note)
        if files:
            t.put((*key, "data_files"), {(*place, "include"): files})
    if t.value((*key, "ds_type")) is not None:
        t.inert((*key, "ds_type"), "readers go by the file's ending")
    if local:
        _of_files(t, key, place)
        return
    _of_the_hub(t, key, place, bool(files))


def _of_files(t: Translation, key: Path, place: tuple[str, ...]) -> None:
    """Translate a part of the rows; files are one split."""
    for name in ("split", "train_on_split"):
        if part := sliced(t.text((*key, name)) or ""):
            sample = {"use": "slice", "rows": part[1]}
            t.put((*key, name), {(*place[:-1], "sample"): sample})
    for name in ("split", "train_on_split", "name", "revision"):
        if t.value((*key, name)) is not None:
            t.inert((*key, name), "files of a folder have no splits")


def _of_the_hub(t: Translation, key: Path, place: tuple[str, ...], files: bool) -> None:
    if t.text((*key, "revision")):
        t.put((*key, "revision"), {(*place, "revision"): t.text((*key, "revision"))})
    if t.text((*key, "name")):
        t.put((*key, "name"), {(*place, "config"): t.text((*key, "name"))})
    for name in ("split", "train_on_split"):
        split = t.text((*key, name))
        if split and split.isidentifier():
            t.put((*key, name), {(*place, "split"): split})
        elif split and (part := sliced(split)):
            sample = {"use": "slice", "rows": part[1]}
            t.put((*key, name), {(*place, "split"): part[0], (*place[:-1], "sample"): sample})
        elif split:
            t.draft.set((*place[:-1], "sample"), {"use": UNDECIDED}, f"to be decided: {split}")
            t.draft.set((*place, "split"), re.split(r"[\[+]", split)[0].strip())
            t.lost((*key, name), f"take {split}", "give each part as a data set of its own")
    if not files:
        t.default(key_text((*key, "split")), "train", {(*place, "split"): "train"})


def _reader(t: Translation, key: Path, place: tuple[str, ...]) -> None:
    kind = t.value((*key, "type"))
    if isinstance(kind, dict):
        _written_out(t, (*key, "type"), place)
        return
    if kind == "sharegpt" and _sharegpt(t, key, place):
        return
    reader, template = TYPES.get(str(kind), (None, None))
    if kind is not None and (reader is None or template is None or not _renders(t, template)):
        t.undecided(place, f"axolotl reads by `{kind}`")
        would = "render rows by a template of their own; a recipe has one for all"
        if reader is None:
            would = f"read and render rows as axolotl's `{kind}` does"
        t.lost((*key, "type"), would, "choose `read` and `train.template`: "
               "`recipe plugins reader`, `recipe plugins template`")  # fmt: skip
        return
    reader, template = TYPES["alpaca"] if reader is None or template is None else (reader, template)
    reader = dict(reader)
    if "field" in reader and t.text((*key, "field_messages")):
        reader["field"] = t.text((*key, "field_messages"))
        t.same((*key, "field_messages"), {".".join((*place, "field")): reader["field"]})
    if template is CHAT:
        if t.flag((*key, "drop_system_message")):
            t.put((*key, "drop_system_message"), {(*place, "drop_system"): True})
        _properties(t, key)
        _turns(t, key)
    if template is CHAT and t.value((*key, "chat_template")) == "tokenizer_default":
        t.same((*key, "chat_template"), {"train.template.use": "chat"})
    ours = {(*place, name): value for name, value in reader.items()}
    note = "the tokenizer's own chat template" if template is CHAT else None
    if kind is None:
        t.undecided(place, "the file names no `type`")
        t.no_default(key_text((*key, "type")), None, "axolotl expects a `type`: choose `read`")
    else:
        t.put((*key, "type"), ours | {("train", "template", n): v for n, v in template.items()},
              note or "with the prompts of Alpaca")  # fmt: skip


def _properties(t: Translation, key: Path) -> None:
    """Translate what role and content of a message are called, where the reader knows it so."""
    known = {"role": ("role", "from"), "content": ("content", "value")}
    for name, ours in known.items():
        for at in ((*key, "message_property_mappings", name), (*key, f"message_field_{name}")):
            if t.value(at) in ours:
                t.inert(at, "the reader takes role and content, and from and value")


def _sharegpt(t: Translation, key: Path, place: tuple[str, ...]) -> bool:
    """Translate conversations of older versions, which FastChat renders with a system message."""
    found = SHAREGPT.get(t.text((*key, "conversation")) or "")
    if found is None:
        return False
    system = FASTCHAT_SYSTEM
    own = t.text("default_system_message")
    if own and t.text((*key, "conversation")) == t.text("chat_template") == "chatml":
        system = own
    template = {"use": "chat", "jinja": found.jinja(gap_is_trained=False), "system": system}
    if not _renders(t, template):
        return False
    field = t.text((*key, "field_messages")) or "conversations"
    t.put((*key, "type"), {(*place, "use"): "conversations", (*place, "field"): field,
          (*place, "unanswered"): "trim"})  # fmt: skip
    t.put((*key, "conversation"), {("train", "template", n): v for n, v in template.items()})
    if t.text((*key, "field_messages")):
        t.same((*key, "field_messages"), {".".join((*place, "field")): field})
    for name, known in (("field_human", ("human", "user")), ("field_model", ("gpt", "assistant"))):
        if t.text((*key, name)) in known:
            t.inert((*key, name), "the reader knows roles by this name")
    return True


def _turns(t: Translation, key: Path) -> None:
    """Translate which turns are trained on, where it is what templates do by themselves."""
    roles = t.texts((*key, "roles_to_train"))
    if roles and set(roles) <= {"assistant", "gpt", "model", "chatgpt"}:
        t.inert((*key, "roles_to_train"), "templates train on answers")
    if t.text((*key, "train_on_eos")) == "turn":
        t.inert((*key, "train_on_eos"), "templates train on the end of answers")


def _renders(t: Translation, template: dict[str, Any]) -> bool:
    """Return whether a data set's template is the recipe's, or may become it."""
    there = t.draft.get(("train", "template"))
    return there is None or there == template


def _written_out(t: Translation, key: Path, place: tuple[str, ...]) -> None:
    """Translate prompts that are written out, where a template writes the same."""
    formats = (t.text((*key, "format")), t.text((*key, "no_input_format")))
    template = next((ours for theirs, ours in FORMATS.items() if theirs == formats), None)
    if template is None and formats[0]:
        template = {"use": "text", "prompt": _prompt(formats[0])}
        if formats[1] not in (None, formats[0]):
            template["prompt_without_input"] = _prompt(formats[1] or "")
    for column in ("instruction", "input", "output"):
        field = t.text((*key, f"field_{column}"))
        ours = (*place, "columns", column)
        if field == column:
            t.same((*key, f"field_{column}"), {".".join(ours): field})
        elif field:
            t.put((*key, f"field_{column}"), {ours: field})
    t.draft.set((*place, "use"), "alpaca")
    unread = t.text((*key, "field_system")) or t.text((*key, "system_format"))
    if template is None or unread or t.text((*key, "system_prompt")) or not _renders(t, template):
        t.lost(key, "render rows in words that no template here has",
               "write a template, or choose one for `train.template`")  # fmt: skip
        return
    for name in ("format", "no_input_format"):
        t.put((*key, name), {("train", "template", n): v for n, v in template.items()})


def _prompt(text: str) -> str:
    """Return a prompt with braces doubled, but for those around the columns of a row."""
    pieces = re.split(r"(\{(?:instruction|input)\})", text)
    braces = str.maketrans({"{": "{{", "}": "}}"})
    return "".join(p if n % 2 else p.translate(braces) for n, p in enumerate(pieces))
