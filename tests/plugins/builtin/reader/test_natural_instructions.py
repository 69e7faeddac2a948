from __future__ import annotations

import json

import pytest

from khichdi.schema.errors import StepError

VERSION_2 = "task1340_msr_text_compression_compression"
LEGACY = "task137_detoxifying-lms_classification_toxicity"
SAPT = "task363_sst2_polarity_classification"
SEVERAL = [
    VERSION_2,
    LEGACY,
    SAPT,
    "task875_emotion_classification",
    "task1239_ted_translation_gl_ja",
    "task1412_web_questions_question_answering",
    "task664_mmmlu_answer_generation_abstract_algebra",
]


def task(real, name):
    return real / f"natural_instructions/{name}.json"


def texts(value):
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("name", SEVERAL)
def test_every_published_shape_is_read(read, real, name):
    written = json.loads(task(real, name).read_text())

    rows = read("natural-instructions", {}, task(real, name))

    instances = written["Instances"]
    assert [row["input"] for row in rows] == [i["input"] for i in instances]
    assert [row["output"] for row in rows] == [texts(i["output"])[0] for i in instances]
    assert [row["id"] for row in rows] == [f"{name}.json#{n}" for n in range(len(instances))]
    assert {row["task"] for row in rows} == {name}
    assert {row["instruction"] for row in rows} == {"\n".join(texts(written["Definition"]))}
    assert rows[0]["categories"] == texts(written["Categories"])
    assert rows[0]["domains"] == texts(written.get("Domains", []))
    assert rows[0]["input_languages"] == written.get("Input_language", [])
    assert rows[0]["output_languages"] == written.get("Output_language", [])


def test_every_real_task_is_read(read, real):
    files = sorted((real / "natural_instructions").glob("*.json"))

    rows = read("natural-instructions", {}, *files)

    assert len(files) == 134
    assert len(rows) == 104_406
    assert len({row["id"] for row in rows}) == len(rows)


def test_all_references_are_kept_or_the_first(read, real):
    file = task(real, "task1412_web_questions_question_answering")
    written = [i["output"] for i in json.loads(file.read_text())["Instances"]]

    every = read("natural-instructions", {}, file)
    first = read("natural-instructions", {"references": "first"}, file)

    assert [r["references"] for r in every] == [list(dict.fromkeys(o)) for o in written]
    assert [r["references"] for r in first] == [o[:1] for o in written]
    assert any(len(r["references"]) > 1 for r in every)


def test_licences_become_spdx_ids(read, tmp_path):
    def license_of(value):
        body = {"Definition": ["d"], "Instances": [{"input": "i", "output": ["o"]}]}
        file = tmp_path / "task1_x.json"
        file.write_text(json.dumps(body | value))
        return read("natural-instructions", {}, file)[0]["license"]

    assert license_of({"Instance License": ["CC BY-SA 4.0"]}) == "CC-BY-SA-4.0"
    assert license_of({"Instance License": ["Unknown"]}) == ""
    assert license_of({}) == ""
    assert license_of({"Instance License": ["MIT", "OANC"]}) == "MIT AND OANC"


def test_tasks_are_chosen_by_name_or_number(read, real):
    files = [task(real, name) for name in SEVERAL]

    rows = read("natural-instructions", {"tasks": ["task137", SAPT]}, *files)

    assert {row["task"] for row in rows} == {LEGACY, SAPT}
    with pytest.raises(StepError, match="1 of 2 tasks have no file: task363_sst2") as caught:
        read("natural-instructions", {"tasks": ["task137", "task363_sst2_polarity"]}, *files)
    assert "did you mean `task363_sst2_polarity_classification`?" in str(caught.value)


GOOD = {"Definition": ["d"], "Instances": [{"input": "i", "output": ["o"]}]}
INSTANCE = {"input": "i", "output": ["o"]}

BROKEN = {
    "a list": ([], "$: an object was expected, found a list"),
    "no definition": ({"Instances": [INSTANCE]}, "$: `Definition` is missing"),
    "no instances": ({"Definition": "d"}, "$: `Instances` is missing"),
    "a number as definition": (GOOD | {"Definition": 3}, "$.Definition: "),
    "a number in a definition": (GOOD | {"Definition": ["d", 3]}, "$.Definition[1]: a text was"),
    "an empty definition": (GOOD | {"Definition": []}, "$.Definition: it is empty"),
    "categories": (GOOD | {"Categories": [{}]}, "$.Categories[0]: a text was expected"),
    "instances are an object": (GOOD | {"Instances": {}}, "$.Instances: a list was expected"),
    "instances are empty": (GOOD | {"Instances": []}, "$.Instances: it is empty"),
    "an instance is a text": (GOOD | {"Instances": [INSTANCE, "x"]}, "$.Instances[1]: an object"),
    "no input": (GOOD | {"Instances": [{"output": ["o"]}]}, "$.Instances[0]: `input` is missing"),
    "output is null": (
        GOOD | {"Instances": [INSTANCE, {"input": "i", "output": None}]},
        "$.Instances[1].output must be a text, found nothing",
    ),
    "output is empty": (
        GOOD | {"Instances": [{"input": "i", "output": []}]},
        "$.Instances[0].output: it is empty",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_named_by_its_json_path(read, tmp_path, fault):
    value, message = BROKEN[fault]
    file = tmp_path / "task9_bad.json"
    file.write_text(json.dumps(value))

    with pytest.raises(StepError) as caught:
        read("natural-instructions", {}, file)

    assert message in caught.value.message
    assert caught.value.file == "task9_bad.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b'{"Definition": ["d"],\n"Instances": [', "task9_bad.json:2: broken JSON"),
        (b'{"Definition":\n["\xe9"]}', r"task9_bad.json:2: byte 17 \(0xe9\) is not UTF-8"),
    ],
)
def test_a_file_that_is_no_json_is_named_with_its_line(read, tmp_path, content, message):
    file = tmp_path / "task9_bad.json"
    file.write_bytes(content)
    with pytest.raises(StepError, match=message):
        read("natural-instructions", {}, file)
