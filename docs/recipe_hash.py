"""The hashes of khichdi, written a second time from `recipe-hash.md` alone, importing none of it.

To check a run, and with its store the bytes: python docs/recipe_hash.py RUN_FOLDER STORE_FOLDER
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from decimal import Decimal
from pathlib import Path


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value):
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return ecmascript(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        raise ValueError(f"{value} is beyond the integers of JSON")
    return json.dumps(value, ensure_ascii=False)


def ecmascript(value):
    """Write a double by its shortest digits, laid out as Number::toString of ECMA-262 does."""
    if value != value or abs(value) == float("inf"):
        raise ValueError(f"{value} is not a number of JSON")
    sign = "-" if value < 0 else ""
    _, parts, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    digits = "".join(map(str, parts))
    point = len(digits) + exponent  # the value is 0.<digits> times ten to the power of point
    if value == 0:
        return "0"
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def digest(kind, value):
    return sha256(f"khichdi/{kind}/1\0".encode() + canonical(value).encode())


def derived_seed(seed, place):
    return int.from_bytes(hashlib.sha256(f"khichdi/seed/1\0{seed}\0{place}".encode()).digest()[:6])


def draw(seed, row_id):
    return int.from_bytes(hashlib.sha256(f"khichdi/draw/1\0{seed}\0{row_id}".encode()).digest()[:8])


def manifest(files):
    """The digest of a folder; `files` has, by path, size and sha256."""
    return digest("manifest", {path: [size, sha] for path, (size, sha) in files.items()})


def table(columns, rows):
    """The digest of a table; `columns` has names, types and lists of values, None for null."""
    described = []
    for name, kind, values in columns:
        streams = {}
        feed(kind, values, "", streams)
        hashes = {level: hashlib.sha256(data).hexdigest() for level, data in streams.items()}
        described.append([name, kind, hashes])
    return digest("table", {"columns": described, "rows": rows})


CODES = "int8 b int16 h int32 i int64 q uint8 B uint16 H uint32 I uint64 Q float f double d bool ?"
NUMBERS = dict(zip(CODES.split()[::2], CODES.split()[1::2], strict=True))


def feed(kind, values, level, streams):
    streams[f"{level}/valid"] = bytes(value is not None for value in values)
    there = [value for value in values if value is not None]
    if kind.startswith("list<"):
        streams[f"{level}/lengths"] = struct.pack(f"<{len(there)}q", *map(len, there))
        items = [item for value in there for item in value]
        feed(kind[len("list<") : -1], items, f"{level}/item", streams)
    elif kind.startswith("struct<"):
        for name, inner in fields(kind[len("struct<") : -1]):
            feed(inner, [value[name] for value in there], f"{level}/{name}", streams)
    elif kind in ("string", "binary"):
        data = [value.encode() if isinstance(value, str) else value for value in there]
        streams[f"{level}/lengths"] = struct.pack(f"<{len(data)}q", *map(len, data))
        streams[f"{level}/bytes"] = b"".join(data)
    else:
        streams[f"{level}/bytes"] = struct.pack(f"<{len(there)}{NUMBERS[kind]}", *there)


def fields(text):
    """Yield name and type of each field of a struct; types may have commas of their own."""
    depth, start = 0, 0
    for at, letter in enumerate(text + ","):
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            name, _, kind = text[start:at].partition(": ")
            yield name.strip(), kind
            start = at + 1


def tensors(described):
    """The digest of tensors; by name: dtype, shape, and little-endian row-major bytes."""
    named = {name: [d, list(s), sha256(data)] for name, (d, s, data) in described.items()}
    return digest("tensors", named)


def safetensors(data):
    """The tensors digest of a safetensors file's bytes."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    bounds = {name: [start + at for at in entry["data_offsets"]] for name, entry in header.items()}
    return tensors(
        {n: (e["dtype"], e["shape"], data[slice(*bounds[n])]) for n, e in header.items()}
    )


def adapter(weights, config):
    kept = {key: value for key, value in config.items() if key != "peft_version"}
    return digest("adapter", {"tensors": safetensors(weights), "config": kept})


def identity(plugin):
    params = {k: v for k, v in plugin["params"].items() if k not in plugin["operational"]}
    return {k: params if k == "params" else v for k, v in plugin.items() if k != "operational"}


def step_key(step, keys):
    """The key of a plan's step; `keys` has those of the steps before it by name."""
    if step["kind"] == "source":
        if step["material"] is None:
            return digest("step", {"unlocked": identity(step["plugin"])})
        files = {f["path"]: (f["size"], f["sha256"]) for f in step["material"]["files"]}
        return digest("step", {"kind": "source", "manifest": manifest(files)})
    inputs = {}
    for role, reference in step["inputs"].items():
        name, _, output = reference.rpartition("#")
        inputs[role] = f"{keys[name]}#{output}"
    parts = {role: identity(part) for role, part in step["parts"].items()}
    said = {word: step[word] for word in ("kind", "settings", "seed")}
    return digest(
        "step", {"plugin": identity(step["plugin"]), **said, "parts": parts, "inputs": inputs}
    )


def once(pairs):
    """Return a dict; a name given twice is refused, because two readers would differ on it."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"a name is given twice among {[name for name, _ in pairs]}")
    return dict(pairs)


def recipe_hash(plan):
    keys = {}
    for name, step in once([(step["name"], step) for step in plan["steps"]]).items():
        keys[name] = step_key(step, keys)
    locked = all(s["material"] for s in plan["steps"] if s["kind"] == "source")
    return digest("recipe", {"locked": locked, "steps": keys}), keys


def result_hash(record):
    steps = once([(step["name"], step["result"]["outputs"]) for step in record["steps"]])
    found = {n: {name: one["digest"] for name, one in steps[n].items()} for n in steps}
    return digest("result", found)


def claims(plan, record, store=None):
    """Yield what a run says, what it says of it, and what that is when derived again."""
    root, keys = recipe_hash(plan)
    yield "recipe hash of the plan", plan["recipe_hash"], root
    yield "recipe hash of the record", record["recipe_hash"], root
    yield "result hash", record["result_hash"], result_hash(record)
    for step in plan["steps"]:
        yield f"key of {step['name']}", step["key"], keys[step["name"]]
    for step in record["steps"]:
        yield f"key of {step['name']} as run", step["result"]["key"], keys[step["name"]]
        for name, output in step["result"]["outputs"].items():
            files = {path: (file["size"], file["sha256"]) for path, file in output["files"].items()}
            yield f"manifest of {step['name']}#{name}", output["manifest"], manifest(files)
            folder = store and store / "artifacts" / output["manifest"].removeprefix("sha256:")
            for path, (_, sha) in files.items() if store else ():
                yield str(folder / path), sha, sha256((folder / path).read_bytes())


if __name__ == "__main__":
    folder, *rest = map(Path, sys.argv[1:])
    documents = [(folder / name).read_bytes() for name in ("plan.json", "record.json")]
    parsed = [json.loads(text, object_pairs_hook=once) for text in documents]
    found = list(claims(*parsed, *rest))
    wrong = [f"{what}: {told}, derived {made}" for what, told, made in found if told != made]
    print("\n".join([*wrong, f"{len(found) - len(wrong)} of {len(found)} digests agree"]))
    raise SystemExit(bool(wrong))
