"""Birbal's mixture in miniature: the sources' real rows, laid out as a mirror of hub and GitHub.

Where the public data has no copy of a source, rows of its own sources stand in for it: SciBench and
answers by a GPT for Open-Platypus; GSM8K, AQuA and generated code for MathInstruct.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

EXACT = [
    "task095_conala_max_absolute_value",
    "task1412_web_questions_question_answering",
    "task151_tomqa_find_location_easy_clean",
    "task363_sst2_polarity_classification",
    "task898_freebase_qa_answer_generation",
    "task137_detoxifying-lms_classification_toxicity",  # says no language
    "task1239_ted_translation_gl_ja",  # Galician to Japanese
    "task568_circa_question_generation",  # a category that is left out
]
GENERATION = [
    "task072_abductivenli_answer_generation",
    "task1340_msr_text_compression_compression",
    "task219_rocstories_title_answer_generation",
    "task511_reddit_tifu_long_text_summarization",  # some are too long
    "task454_swag_incorrect_answer_generation",  # a category that is left out
]
OTHERS = ["task1320_country_domain_tld"]  # in the repository, and not selected

PLACES = {
    "lima": "huggingface/datasets/GAIR/lima",
    "platypus": "huggingface/datasets/garage-bAInd/Open-Platypus",
    "tasks": "git/github.com/allenai/natural-instructions/tasks",
    "cnn": "huggingface/datasets/abisee/cnn_dailymail",
    "math": "huggingface/datasets/TIGER-Lab/MathInstruct",
    "openbookqa": "huggingface/datasets/allenai/openbookqa",
    "quac": "http/s3.amazonaws.com/my89public/quac",
}

CNN_CARD = """\
---
configs:
- config_name: 3.0.0
  data_files:
  - {split: train, path: 3.0.0/train-*}
  - {split: test, path: 3.0.0/test-*}
---
"""

OPENBOOKQA_CARD = """\
---
configs:
- config_name: main
  data_files:
  - {split: test, path: main/test-*}
---
"""

SOURCE = """\
    source:
      use: git
      url: https://github.com/allenai/natural-instructions
      revision: master
      include: ["tasks/*.json"]
"""

SELECTED = """\
    filters:
      - {use: languages, input: [English], output: [English]}
      - {use: categories, exclude: [Question Generation, Wrong Candidate Generation]}
      - {use: max-words, fields: [instruction, input], below: 800}
"""

RECIPE = f"""\
recipe: 1
name: birbal-miniature
seed: 57
extends: smollm2-135m.yaml
data:
  tasks: null
  lima:
    source: {{use: huggingface, repo: GAIR/lima, repo_type: dataset, include: [train.jsonl]}}
    read: {{use: conversations, field: conversations}}
    license: cc-by-nc-sa-4.0
  open-platypus:
    source: {{use: huggingface, repo: garage-bAInd/Open-Platypus, repo_type: dataset, split: train}}
    read:
      use: parquet
      columns: {{instruction: instruction, input: input, output: output, provenance: data_source}}
    filters:
      - {{use: where, field: provenance, equals: airoboros, negate: true}}
  ni-exact:
{SOURCE}    read: {{use: natural-instructions, tasks: {json.dumps(EXACT)}}}
    license: apache-2.0
{SELECTED}    score: {{use: few-shot, metric: exact-match, shots: 2, max_new_tokens: 8,
      rows_per_task: 24, max_prompt_tokens: 320, cpu_threads: 1}}
    sample: {{use: accuracy-buckets, keep: wrong, quota: [12, 11, 10, 9, 8, 7, 6, 5, 4, 3],
      drop_below: 0.02, total: 40, short: take-all}}
  ni-generation:
{SOURCE}    read: {{use: natural-instructions, tasks: {json.dumps(GENERATION)}}}
    license: apache-2.0
{SELECTED}    score: {{use: few-shot, metric: rouge-l, shots: 2, max_new_tokens: 16,
      rows_per_task: 24, max_prompt_tokens: 320, cpu_threads: 1}}
    sample: {{use: rouge-buckets, fractions: [0.8, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], total: 30}}
  openbookqa:
    source: {{use: huggingface, repo: allenai/openbookqa, repo_type: dataset, config: main,
      split: test}}
    read: {{use: multiple-choice, question: question_stem, choices: choices, answer: answerKey,
      answer_is: label}}
    sample: {{use: random, count: 100}}
  quac:
    source: {{use: http, url: "https://s3.amazonaws.com/my89public/quac/train_v0.2.json",
      sha256: QUAC}}
    read: {{use: dialogues, layout: squad}}
    filters: [{{use: max-words, fields: [instruction, input], below: 800}}]
  cnn-dailymail:
    source: {{use: huggingface, repo: abisee/cnn_dailymail, repo_type: dataset, config: 3.0.0,
      split: train}}
    read:
      use: parquet
      columns: {{input: article, output: highlights}}
      constants: {{instruction: Summarize the article.}}
    filters: [{{use: max-words, fields: [instruction, input], below: 500}}]
    sample: {{use: random, count: 15}}
  math-instruct:
    source: {{use: huggingface, repo: TIGER-Lab/MathInstruct, repo_type: dataset,
      include: [MathInstruct.json]}}
    read: {{use: json, columns: {{instruction: instruction, output: output, provenance: source}}}}
    filters:
      - {{use: where, field: provenance, matches: "CoT/(gsm_train|aqua_rat|MATH_train)"}}
      - {{use: where, field: output, matches: 'print\\(', negate: true}}
      - {{use: max-words, fields: [instruction, input], below: 120}}
    sample: {{use: random, count: 300}}
mixture:
  filters: [{{use: exact-duplicates, by: [instruction, input]}}]
  order: shuffle
  validation: {{count: 20}}
train: {{max_steps: 1, num_epochs: 1, warmup_steps: 0, eval_steps: 1, sequence_len: 256}}
evaluate: [{{use: generate, max_rows: 1, max_new_tokens: 1}}]
"""


def recipe(mirror: Path) -> str:
    """Return the recipe over what lies in the mirror."""
    quac = (mirror / PLACES["quac"] / "train_v0.2.json").read_bytes()
    return RECIPE.replace("QUAC", hashlib.sha256(quac).hexdigest())


def lay_out(data: Path, mirror: Path) -> Path:
    """Write the mirror from the folder of public data."""
    for place in PLACES.values():
        (mirror / place).mkdir(parents=True)
    for task in (*EXACT, *GENERATION, *OTHERS):
        shutil.copy(data / "natural_instructions" / f"{task}.json", mirror / PLACES["tasks"])
    _lines(mirror / PLACES["lima"] / "train.jsonl", _lima(data))
    (mirror / PLACES["math"] / "MathInstruct.json").write_text(json.dumps(_math(data)))
    shutil.copy(data / "quac/quac_sample.json", mirror / PLACES["quac"] / "train_v0.2.json")
    _parquet(mirror / PLACES["platypus"] / "data/train-00000-of-00001.parquet", _platypus(data))
    _parquet(mirror / PLACES["openbookqa"] / "main/test-00000-of-00001.parquet", _openbook(data))
    news = _news(data)
    (mirror / PLACES["cnn"] / "README.md").write_text(CNN_CARD)
    half = len(news) // 2
    for name, rows in (
        ("train-00000-of-00002", news[:half]),
        ("train-00001-of-00002", news[half:]),
        ("test-00000-of-00001", news[:3]),
    ):
        _parquet(mirror / PLACES["cnn"] / f"3.0.0/{name}.parquet", rows)
    (mirror / PLACES["openbookqa"] / "README.md").write_text(OPENBOOKQA_CARD)
    return mirror


def json_lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _parquet(path: Path, rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)


def _lima(data: Path) -> Rows:
    found = json.loads((data / "lima/lima.json").read_text(encoding="utf-8"))
    return [
        {
            "conversations": [
                *(text for turn in row.get("history") or [] for text in turn),
                "\n".join(text for text in (row["instruction"], row["input"]) if text),
                row["output"],
            ],
            "source": "lima",
        }
        for row in found
    ]


def _platypus(data: Path) -> Rows:
    rows = []
    for path in sorted((data / "scibench").glob("*.json")):
        rows += [
            {"input": "", "output": f"{row['answer_number']} {row['unit']}",
             "instruction": row["problem_text"], "data_source": "scibench"}
            for row in json.loads(path.read_text(encoding="utf-8"))
        ]  # fmt: skip
    answers = json.loads((data / "alpaca/alpaca_en_demo.json").read_text(encoding="utf-8"))
    kept = ("input", "output", "instruction")
    return rows + [{**{k: row[k] for k in kept}, "data_source": "airoboros"} for row in answers]


def _openbook(data: Path) -> Rows:
    return [
        {
            "id": row["id"],
            "question_stem": row["question"]["stem"],
            "choices": {
                key: [choice[key] for choice in row["question"]["choices"]]
                for key in ("text", "label")
            },
            "answerKey": row["answerKey"],
        }
        for row in json_lines(data / "openbookqa/openbookqa_test_original_schema.jsonl")
    ]


def _news(data: Path) -> Rows:
    rows = []
    for line in json_lines(data / "cnn_dailymail/cnndm.jsonl"):
        article = line["query"].split("### Input:\n", 1)[1].removesuffix("\n\n### Response:\n")
        rows.append({"article": article, "highlights": str(line["result"]), "id": str(len(rows))})
    return rows


def _math(data: Path) -> Rows:
    rows = [
        {"source": "data/CoT/gsm_train.json", "instruction": row["question"],
         "output": row["answer"]}
        for row in json_lines(data / "gsm8k/train.jsonl")
    ]  # fmt: skip
    for line in (data / "flan_cot/aqua_train.tsv").read_text(encoding="utf-8").split("\n"):
        if line.count("\t") == 2:
            question, answer, thought = line.split("\t")
            rows.append(
                {"source": "data/CoT/aqua_rat.json", "instruction": question,
                 "output": f"{thought}\nThe answer is {answer}"}
            )  # fmt: skip
    code = json.loads((data / "codealpaca/code_alpaca_2k.json").read_text(encoding="utf-8"))
    for number, row in enumerate(code):
        # Programs: most are named as such, and some stand among the thoughts.
        source = "data/CoT/MATH_train.json" if number % 10 == 0 else "data/PoT/gsm_gpt4.json"
        rows.append({"source": source, "instruction": row["instruction"], "output": row["output"]})
    return rows
