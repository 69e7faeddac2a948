"""axolotl's `datasets` -> data sets of a recipe, and the template that renders them."""

from __future__ import annotations

from typing import Any

from ...schema.errors import InputError
from ...schema.yaml_reader import Path
from .mapping import Translation, key_text
from .sources import LICENSES, data_source, is_local, set_name

ALPACA = {"use": "alpaca", "preamble": True}
CHAT = {"use": "chat"}
TYPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alpaca": ({"use": "alpaca"}, ALPACA),
    "alpaca:instruct": ({"use": "alpaca"}, ALPACA),
    "gpteacher": ({"use": "alpaca", "columns": {"output": "response"}}, ALPACA),
    "gpteacher:instruct": ({"use": "alpaca", "columns": {"output": "response"}}, ALPACA),
    "chat_template": ({"use": "conversations", "field": "messages"}, CHAT),
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
        raise InputError(
            "`datasets` is missing, a list of data sets was expected", file=t.report.file
        )
    taken: set[str] = set()
    for index in range(len(listed)):
        _one(t, ("datasets", index), taken)
    if not t.draft.has(("train", "template")):
        t.draft.set(("train", "template"), dict(ALPACA), "to be decided")
    template = t.value("chat_template")
    if template is not None and t.draft.get(("train", "template", "use")) != "chat":
        t.inert("chat_template", "no data set is rendered by it")
    elif template in OWN and template is not None:
        t.same("chat_template", {"train.template.use": "chat"})
    elif template is not None:
        t.lost("chat_template", f"render by axolotl's template `{template}`",
               "the tokenizer's own is taken; see that it is the same")  # fmt: skip


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
        for name in ("split", "train_on_split", "name", "revision"):
            if t.value((*key, name)) is not None:
                t.inert((*key, name), "files of a folder have no splits")
        return
    _of_the_hub(t, key, place, bool(files))


def _of_the_hub(t: Translation, key: Path, place: tuple[str, ...], files: bool) -> None:
    if t.text((*key, "revision")):
        t.put((*key, "revision"), {(*place, "revision"): t.text((*key, "revision"))})
    if t.text((*key, "name")):
        t.put((*key, "name"), {(*place, "config"): t.text((*key, "name"))})
    for name in ("split", "train_on_split"):
        split = t.text((*key, name))
        if split and split.isidentifier():
            t.put((*key, name), {(*place, "split"): split})
        elif split:
            whole = split.partition("[")[0].partition("+")[0].strip()
            t.draft.set((*place, "split"), whole, "to be decided: more rows than there")
            t.lost((*key, name), f"take {split}, a part of the rows", "see `data.NAME.sample`")
    if not files:
        t.default(key_text((*key, "split")), "train", {(*place, "split"): "train"})


def _reader(t: Translation, key: Path, place: tuple[str, ...]) -> None:
    kind = t.value((*key, "type"))
    if isinstance(kind, dict):
        _written_out(t, (*key, "type"), place)
        return
    reader, template = TYPES.get(str(kind), (None, None))
    if kind is not None and (reader is None or template is None or not _renders(t, template)):
        t.draft.set(place, {"use": "alpaca"}, "to be decided")
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
        _properties(t, key)
    if template is CHAT and t.value((*key, "chat_template")) == "tokenizer_default":
        t.same((*key, "chat_template"), {"train.template.use": "chat"})
    ours = {(*place, name): value for name, value in reader.items()}
    note = "the tokenizer's own chat template" if template is CHAT else None
    if kind is None:
        t.draft.set(("train", "template"), template)
        t.draft.set(place, reader, "to be decided: axolotl's file names no `type`")
        t.no_default(key_text((*key, "type")), None, "axolotl expects a `type`; alpaca is put here")
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


def _renders(t: Translation, template: dict[str, Any]) -> bool:
    """Return whether a data set's template is the recipe's, or may become it."""
    there = t.draft.get(("train", "template"))
    return there is None or there == template


def _written_out(t: Translation, key: Path, place: tuple[str, ...]) -> None:
    """Translate prompts that are written out, where a template writes the same."""
    formats = (t.text((*key, "format")), t.text((*key, "no_input_format")))
    template = next((ours for theirs, ours in FORMATS.items() if theirs == formats), None)
    columns = {}
    for column in ("instruction", "input", "output"):
        field = t.text((*key, f"field_{column}"))
        if field:
            t.put((*key, f"field_{column}"), {(*place, "columns", column): field})
            columns[column] = field
    t.draft.set((*place, "use"), "alpaca")
    if template is None or t.text((*key, "system_prompt")) or not _renders(t, template):
        t.lost(key, "render rows in words that no template here has",
               "write a template, or choose one for `train.template`")  # fmt: skip
        return
    for name in ("format", "no_input_format"):
        t.put((*key, name), {("train", "template", n): v for n, v in template.items()})
