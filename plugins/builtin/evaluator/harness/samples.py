"""The harness's samples as predictions: input, output, reference and scores of each document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

NO_FILTER = "none"


def metrics_of(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the harness's figures as `<task>.<metric>`, with `,<filter>` where there is one."""
    found = {}
    for task, figures in sorted(results.items()):
        for key, value in figures.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if "," in key and number and math.isfinite(value):
                found[f"{task}.{_name(*key.split(',', 1))}"] = float(value)
    return found


def predictions_of(
    task: str, samples: Sequence[Mapping[str, Any]], means: Mapping[str, bool], version: str
) -> list[dict[str, Any]]:
    """Return a prediction for each document of a task.

    Args:
        task: its name.
        samples: as the harness logs them, one for each document and filter.
        means: metrics, and whether each is the mean of its values over documents.
        version: the task's version.
    """
    found: dict[int, dict[str, Any]] = {}
    for sample in samples:
        number = int(sample["doc_id"])
        if number not in found:
            found[number] = _described(task, version, number, sample)
        one, filtered = found[number], str(sample["filter"])
        for metric in sample["metrics"]:
            value, name = sample[metric], _name(metric, filtered)
            if isinstance(value, Real) and math.isfinite(value):
                one[name if means.get(metric) else f"value {name}"] = _value(value, means, metric)
                one["means"] += [name] if means.get(metric) else []
        if filtered != NO_FILTER and _is_text(sample):
            one["filtered"][filtered] = _text(sample["filtered_resps"][0])
    return [found[number] for number in sorted(found)]


def _value(value: Any, means: Mapping[str, bool], metric: str) -> float | str:
    """Return a score as a number, and what is no mean as text, which nothing averages."""
    return float(value) if means.get(metric) else repr(float(value))


def _described(task: str, version: str, number: int, sample: Mapping[str, Any]) -> dict[str, Any]:
    arguments = [list(argument) for argument in sample["arguments"]]
    one: dict[str, Any] = {
        "id": f"{task}/{number}",
        "group": task,
        "prompt": str(arguments[0][0]),
        "references": [_reference(sample, arguments)],
        "means": [],
        "filtered": {},
        "version": version,
        "doc_hash": sample["doc_hash"],
    }
    if _is_text(sample):
        return one | {"prediction": _text(sample["resps"][0][0])}
    tried = [response[0] for response in sample["resps"]]
    texts = [str(argument[1]) if len(argument) > 1 else "" for argument in arguments]
    likelihoods = [_likelihood(answer) for answer in tried]
    same = [n for n, argument in enumerate(arguments) if argument[0] == arguments[0][0]]
    best = max(same, key=lambda n: likelihoods[n])
    choices = [
        {"text": text, "loglikelihood": value}
        for text, value in zip(texts, likelihoods, strict=True)
    ]
    return one | {"prediction": texts[best].strip(), "choices": choices}


def _is_text(sample: Mapping[str, Any]) -> bool:
    return isinstance(sample["resps"][0][0], str)


def _likelihood(answer: Any) -> float:
    return float(answer[0] if isinstance(answer, list | tuple) else answer)


def _reference(sample: Mapping[str, Any], arguments: Sequence[Sequence[Any]]) -> str:
    """Return the target; of a choice that is given by its number, the choice."""
    target = sample["target"]
    if isinstance(target, int) and not _is_text(sample) and 0 <= target < len(arguments):
        chosen = arguments[target]
        return str(chosen[1]).strip() if len(chosen) > 1 else str(target)
    return _text(target)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _name(metric: str, filtered: str) -> str:
    return metric if filtered == NO_FILTER else f"{metric},{filtered}"
