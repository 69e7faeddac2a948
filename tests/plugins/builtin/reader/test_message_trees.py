from __future__ import annotations

import json
import random

import pytest

from khichdi.schema.errors import StepError


def trees(real):
    file = real / "oasst1/en_100_tree.jsonl"
    return file, [json.loads(line)["prompt"] for line in file.read_text().splitlines()]


def flat(prompt, parent=None):
    """Return the messages of a tree as the hub has them: a record for each."""
    message = {key: value for key, value in prompt.items() if key != "replies"}
    below = [m for reply in prompt["replies"] for m in flat(reply, prompt["message_id"])]
    return [message | {"parent_id": parent}, *below]


def write(path, messages):
    path.write_text("".join(json.dumps(message) + "\n" for message in messages))
    return path


def pairs(rows):
    return [(row["instruction"], row["output"]) for row in rows]


def test_a_tree_gives_its_first_pair_or_the_best(read, real, tmp_path):
    _, prompts = trees(real)
    for prompt in prompts:
        prompt["replies"].reverse()  # as published, the best comes first
    file = write(tmp_path / "trees.jsonl", [{"prompt": prompt} for prompt in prompts])

    first = read("message-trees", {}, file)
    best = read("message-trees", {"reply": "best"}, file)

    assert pairs(first) == [(p["text"], p["replies"][0]["text"]) for p in prompts]
    assert pairs(best) == [
        (p["text"], min(p["replies"], key=lambda r: r["rank"])["text"]) for p in prompts
    ]
    assert pairs(first) != pairs(best)
    assert {(*row["input_languages"], *row["output_languages"]) for row in first} == {
        ("English", "English")
    }


def test_single_messages_in_any_order_give_the_same_pairs(read, real, tmp_path):
    file, prompts = trees(real)
    messages = [message for prompt in prompts for message in flat(prompt)]
    expected = set(pairs(read("message-trees", {"reply": "best"}, file)))

    rows = read("message-trees", {"reply": "best"}, write(tmp_path / "a.jsonl", messages))
    random.Random(7).shuffle(messages)
    mixed = read("message-trees", {"reply": "best"}, write(tmp_path / "b.jsonl", messages))

    assert set(pairs(rows)) == expected
    assert set(pairs(mixed)) == expected
    assert all(row["id"].startswith("a.jsonl#") for row in rows)
    assert messages[int(mixed[0]["id"].split("#")[1])]["text"] == mixed[0]["instruction"]


def test_a_path_goes_down_to_the_last_answer(read, real):
    file, prompts = trees(real)
    rows = read("message-trees", {"reply": "best", "conversation": "path"}, file)
    for row, prompt in zip(rows, prompts, strict=True):
        here, said = prompt, [prompt]
        while here["replies"]:
            here = min(here["replies"], key=lambda r: float("inf") if r.get("rank") is None
                       else r["rank"])  # fmt: skip
            said.append(here)
        while said[-1]["role"] != "assistant":
            said.pop()
        assert [turn["text"] for turn in row["turns"]] == [message["text"] for message in said]


def test_what_a_model_wrote_is_passed_over_and_counted(read_all, real):
    file, prompts = trees(real)

    rows, drops = read_all("message-trees", {"synthetic": "drop"}, file)

    def people(messages):
        return [message for message in messages if not message["synthetic"]]

    kept = [p for p in people(prompts) if people(p["replies"])]
    assert pairs(rows) == [(p["text"], people(p["replies"])[0]["text"]) for p in kept]
    assert len(rows) + len(drops) == len(prompts)
    assert [drop.reason for drop in drops].count("synthetic") == 4


def message(number, parent=None, role="prompter", **more):
    named = {"message_id": str(number), "parent_id": None if parent is None else str(parent)}
    return named | {"role": role, "text": f"text {number}", "lang": "pt-BR"} | more


def test_deleted_messages_and_trees_without_an_answer_are_counted(read_all, tmp_path):
    messages = [
        message(1), message(2, 1, "assistant", deleted=True), message(3, 1, "assistant"),
        message(4), message(5, deleted=True), message(6, 5, "assistant"),
    ]  # fmt: skip
    [row], drops = read_all("message-trees", {}, write(tmp_path / "a.jsonl", messages))
    assert (row["output"], row["input_languages"]) == ("text 3", ["Portuguese"])
    assert {(drop.id, drop.reason) for drop in drops} == {
        ("a.jsonl#3", "no-answer"), ("a.jsonl#4", "deleted"),
    }  # fmt: skip


BAD = {
    "orphan": message(3, 9, "assistant"),
    "duplicate-id": message(1),
    "unknown-role": message(3, 1, "judge"),
    "wrong-type": message(3, 1, "assistant", rank="best"),
    "missing-field": {"message_id": "3"},
    "malformed": message(3, None, "assistant"),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_message_that_fits_nowhere_is_named_or_counted(read_all, tmp_path, reason):
    messages = [message(1), message(2, 1, "assistant"), BAD[reason]]
    file = write(tmp_path / "a.jsonl", messages)

    [row], [drop] = read_all("message-trees", {"on_bad_row": "drop"}, file)

    assert row["output"] == "text 2"
    assert (drop.id, drop.reason) == ("a.jsonl#2", reason)
    with pytest.raises(StepError) as caught:
        read_all("message-trees", {}, file)
    assert caught.value.line == 3


def test_messages_that_are_their_own_parents_are_not_lost(read_all, tmp_path):
    ring = [message(3, 4), message(4, 3, "assistant")]
    file = write(tmp_path / "a.jsonl", [message(1), message(2, 1, "assistant"), *ring])
    rows, drops = read_all("message-trees", {"on_bad_row": "drop"}, file)
    assert len(rows) == 1
    assert [drop.reason for drop in drops] == ["orphan", "orphan"]
