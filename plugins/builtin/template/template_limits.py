"""Compile a stranger's Jinja template so that rendering it ends, at the same place everywhere.

Each turn of a loop and each call of a macro is counted, and no operator, filter or method makes a
value beyond a size. A limit on the clock would end the same template on one machine and not on
another.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

LONGEST = 2**24
"""Characters that a template may write for one row, and that one value may have."""
MOST_STEPS = 2**20
"""Turns of loops and calls of macros that a template may take for one row."""
CALL = 16
"""Turns that a call of a macro counts for, which takes that much longer."""
LARGEST_PRODUCT = 2**30
"""Of the sizes of the two largest arguments of a call: `replace` and `join` can multiply them."""
MOST_BITS = 2**12
"""Bits of an integer."""

STEP, SIZED = "a step", "a value"
"""Names that no template can write, of the filter that counts and of the one that measures."""
STEPS = "steps left"
"""The variable that counts down, likewise."""


class LimitError(ValueError):
    """The template goes beyond a limit."""


def steps() -> dict[str, list[int]]:
    """Return the variables that one rendering counts with."""
    return {STEPS: [MOST_STEPS]}


def bounded(source: str, template: Any) -> Any:
    """Return a template compiled in an environment like another template's, with limits.

    The limits hold while it is compiled too, when Jinja computes what is constant.
    """
    environment = template.environment.overlay()
    for extension in environment.extensions.values():
        if hasattr(extension, "activate_tracker"):
            environment.activate_tracker = extension.activate_tracker
    environment.intercepted_binops = frozenset({"+", "*", "**", "%"})
    environment.call_binop = functools.partial(_binop, environment.binop_table)
    environment.call = functools.partial(_call, environment.call)
    filters = {name: _filter(function) for name, function in environment.filters.items()}
    environment.filters = {**filters, STEP: _step(), SIZED: _sized}
    tree = environment.parse(source)
    _count(tree, environment)
    code = environment.compile(tree)
    return environment.template_class.from_code(environment, code, template.globals)


def _count(tree: Any, environment: Any) -> None:
    """Add to a template's tree what counts its steps and measures what it joins."""
    from jinja2 import nodes

    def filtered(node: Any, name: str, line: int) -> Any:
        made = nodes.Filter(node, name, [], [], None, None)
        return made.set_lineno(line).set_environment(environment)

    for node in list(tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock))):
        cost = 1 if isinstance(node, nodes.For) else CALL
        step = filtered(nodes.Const(cost), STEP, node.lineno)
        node.body.insert(0, nodes.ExprStmt(step).set_lineno(node.lineno))
    for node in list(tree.find_all(nodes.Concat)):
        joined = nodes.Concat(node.nodes).set_lineno(node.lineno).set_environment(environment)
        node.nodes = [filtered(joined, SIZED, node.lineno)]


def _step() -> Any:
    from jinja2 import pass_context

    @pass_context
    def step(context: Any, cost: int) -> None:
        left = context[STEPS]
        left[0] -= cost
        if left[0] < 0:
            raise LimitError(f"it takes over {MOST_STEPS:,} turns of loops and calls of macros")

    return step


def _sized(value: Any) -> Any:
    """Return a value that is not too large."""
    if _size(value) > LONGEST:
        raise LimitError(f"it makes a value of over {LONGEST:,} characters or items")
    return value


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict) else 0


def _binop(table: Any, context: Any, operator: str, left: Any, right: Any) -> Any:
    """Apply an operator where its result cannot be too large."""
    whole = isinstance(left, int) and isinstance(right, int)
    if operator == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, int) and _size(other) * one > LONGEST:
                raise LimitError(f"it makes a value of over {LONGEST:,} characters or items")
    if whole and operator in ("*", "**"):
        more = right.bit_length() if operator == "*" else right
        bits = left.bit_length() + more if operator == "*" else left.bit_length() * more
        if bits > MOST_BITS:
            raise LimitError("it makes an integer of thousands of digits")
    if operator == "%" and isinstance(left, str) and re.search(r"\d{5}|\*", left):
        raise LimitError("it formats to a width beyond any text")
    return _sized(table[operator](left, right))


def _call(call: Callable[..., Any], context: Any, called: Any, *args: Any, **named: Any) -> Any:
    """Call a function, macro or method whose arguments are not too large together."""
    _check_arguments((getattr(called, "__self__", None), *args, *named.values()))
    return _sized(call(context, called, *args, **named))


def _filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def filtered(*args: Any, **named: Any) -> Any:
        _check_arguments((*args, *named.values()))
        return _sized(function(*args, **named))

    return filtered


def _check_arguments(values: tuple[Any, ...]) -> None:
    if any(isinstance(one, int) and abs(one) > LONGEST for one in values[1:]):
        raise LimitError("it calls something with a number beyond any text's length")
    first, second = sorted((*map(_size, values), 0, 0), reverse=True)[:2]
    if first * second > LARGEST_PRODUCT:
        raise LimitError("it calls something with two texts that are too long together")
