"""TRL's data: one data set, its list of `datasets`, or the mixtures of the alignment handbook."""

from __future__ import annotations

from typing import Any

from ...schema.yaml_reader import Path
from .mapping import Key, Translation, key_text
from .refusals import no_data
from .sources import LICENSES, data_source, is_local, set_name, sliced

COLUMNS: dict[frozenset[str], dict[str, Any]] = {
    frozenset({"messages"}): {
        "use": "conversations",
        "field": "messages",
        "unanswered": "trim",
    },
    frozenset({"conversations"}): {
        "use": "conversations",
        "field": "conversations",
        "unanswered": "trim",
    },
    frozenset({"prompt", "completion"}): {
        "use": "alpaca",
        "columns": {"instruction": "prompt", "output": "completion"},
    },
}
"""What a list of columns says of a data set, and the reader for it."""


def datasets(t: Translation) -> None:
    """Translate whichever way data sets are given."""
    taken: set[str] = set()
    if isinstance(t.value("datasets"), list):
        _listed(t, ("datasets",), "path", "name", taken)
        _of_a_mixture(t, ("test_split_size",))
    elif isinstance(t.value(("dataset_mixture", "datasets")), list):
        _listed(t, ("dataset_mixture", "datasets"), "id", "config", taken)
        for name in ("seed", "test_split_size"):
            _of_a_mixture(t, ("dataset_mixture", name))
    elif isinstance(t.value("dataset_mixer"), dict):
        _mixer(t, taken)
    elif t.text("dataset_name"):
        _single(t, taken)
    if not t.draft.data.get("data"):
        raise no_data(t, "dataset_name", "a data set, or a list of `datasets`,")
    _measured(t)


def _single(t: Translation, taken: set[str]) -> None:
    where = t.text("dataset_name") or ""
    name = _source(t, "dataset_name", where, taken)
    if t.text("dataset_config") and is_local(where):
        t.inert("dataset_config", "files of a folder have no configurations")
    elif t.text("dataset_config"):
        t.put("dataset_config", {("data", name, "source", "config"): t.text("dataset_config")})
    _split(t, "dataset_train_split", name, where)
    if not is_local(where):
        t.default("dataset_train_split", "train", {("data", name, "source", "split"): "train"})


def _split(t: Translation, key: Key, name: str, where: str) -> None:
    """Translate a split, or a part of one; files of a folder are one split."""
    split = t.text(key)
    part = sliced(split or "")
    sample: dict[Any, Any] = {("data", name, "sample"): {"use": "slice", "rows": part and part[1]}}
    ours = (
        {} if is_local(where) else {("data", name, "source", "split"): part[0] if part else split}
    )
    if part:
        t.put(key, ours | sample)
    elif split and is_local(where):
        t.inert(key, "files of a folder have no splits")
    elif split:
        t.put(key, ours)


def _source(t: Translation, key: Key, where: str, taken: set[str]) -> str:
    """Put the source of a data set, and return what it is called."""
    name = set_name(where, taken)
    source = data_source(where)
    source.pop("split", None)
    t.put(key, {("data", name, "source", part): value for part, value in source.items()})
    if where in LICENSES:
        t.draft.set(("data", name, "license"), LICENSES[where], "as its card states")
    return name


def _listed(t: Translation, at: Path, where: str, config: str, taken: set[str]) -> None:
    """Translate a list of data sets, each with configuration, split, columns and weight."""
    for index in range(len(t.value(at))):
        key: Path = (*at, index)
        path = t.text((*key, where))
        if path is None:
            raise no_data(t, key_text((*key, where)), "a data set")
        name = _source(t, (*key, where), path, taken)
        place = ("data", name)
        files = t.texts((*key, "data_files"))
        if files:
            t.put((*key, "data_files"), {(*place, "source", "include"): files})
        if t.text((*key, config)):
            t.put((*key, config), {(*place, "source", "config"): t.text((*key, config))})
        _split(t, (*key, "split"), name, path)
        if t.text((*key, "split")) is None and not is_local(path) and not files:
            t.default(key_text((*key, "split")), "train", {(*place, "source", "split"): "train"})
        columns = t.texts((*key, "columns"))
        if columns and (reader := COLUMNS.get(frozenset(columns))):
            t.put((*key, "columns"), {(*place, "read", n): value for n, value in reader.items()})
        for share in ("weight", "fraction"):
            _weight(t, (*key, share), name)


def _weight(t: Translation, key: Key, name: str) -> None:
    """Translate the share of a data set that is taken."""
    share = t.number(key)
    if share == 1:
        t.inert(key, "all rows are taken")
    elif share and 0 < share < 1:
        sample = {"use": "random", "fraction": share}
        t.put(key, {("data", name, "sample"): sample}, "drawn by another seed than there")


def _mixer(t: Translation, taken: set[str]) -> None:
    """Translate repositories with shares, and the splits that are taken of all."""
    splits = t.texts("dataset_splits") or []
    train = [split for split in splits if "test" not in split]
    for where in t.value("dataset_mixer"):
        key = ("dataset_mixer", where)
        name = set_name(where, taken)
        source = data_source(where, split=train[0] if train else None)
        for part, value in source.items():
            t.draft.set(("data", name, "source", part), value)
        share = t.number(key)
        ours: dict[Any, Any] = {("data", name, "source", n): value for n, value in source.items()}
        if share and 0 < share < 1:
            ours[("data", name, "sample")] = {"use": "random", "fraction": share}
        t.put(key, ours)
    if len(train) > 1:
        t.lost("dataset_splits", f"train on {', '.join(train)} together",
               "give each split as a data set of its own")  # fmt: skip
    elif train:
        names = list(t.draft.data["data"])
        t.same("dataset_splits", {f"data.{n}.source.split": train[0] for n in names})
    configs, names = t.texts("dataset_configs"), list(t.draft.data["data"])
    if configs and len(configs) == len(names):
        ours = {("data", n, "source", "config"): c for n, c in zip(names, configs, strict=True)}
        t.put("dataset_configs", ours)


def _of_a_mixture(t: Translation, key: Path) -> None:
    value = t.number(key)
    if key[-1] == "seed" and value is not None:
        t.inert(key, "there is one `seed` for all")
    elif value:
        place = ("mixture", "validation", "fraction" if value < 1 else "count")
        t.put(key, {place: value if value < 1 else int(value)})


def _measured(t: Translation) -> None:
    """Report the split that TRL measures on."""
    when = t.value("eval_strategy") or t.value("evaluation_strategy")
    if t.value("dataset_test_split") is None:
        return
    if when in (None, "no"):
        t.inert("dataset_test_split", "nothing is measured while training")
    else:
        t.lost("dataset_test_split", "measure on another split",
               "split rows off with `mixture.validation`")  # fmt: skip
