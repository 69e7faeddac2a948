"""Compare LoRA updates dW = s B A of each module without forming dW.

A and B alone say nothing: (B R)(R^-1 A) is the same update for every invertible R. All figures
below are of dW, and cost r x r products: a matrix of d_out x d_in is never made.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..adapter_files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    import torch

TOP = 4
"""Singular directions whose span is compared, at most."""

DOWN, UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Update:
    """The update of one module: `scale` times `up` (d_out, r) times `down` (r, d_in)."""

    scale: float
    down: torch.Tensor
    up: torch.Tensor


def updates(folder: Path) -> dict[str, Update] | None:
    """Return an adapter's updates by module; None where they are more than s B A."""
    from safetensors.torch import load_file

    config = json.loads((folder / CONFIG).read_bytes())
    patterns = config.get("rank_pattern") or config.get("alpha_pattern")
    if config.get("peft_type") != "LORA" or config.get("use_dora") or patterns:
        return None
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    tensors = {name: tensor.double() for name, tensor in load_file(folder / WEIGHTS).items()}
    names = [name.removesuffix(DOWN) for name in tensors if name.endswith(DOWN)]
    if len(tensors) != 2 * len(names) or any(name + UP not in tensors for name in names):
        return None
    return {name: Update(scale, tensors[name + DOWN], tensors[name + UP]) for name in sorted(names)}


def inner(a: Update, b: Update) -> float:
    """Return the sum of the products of two updates' elements, <dW_a, dW_b>.

    tr(A_a^T B_a^T B_b A_b) is the sum over the elements of (B_a^T B_b) * (A_a A_b^T).
    """
    found = ((a.up.t() @ b.up) * (a.down @ b.down.t())).sum()
    return float(found) * a.scale * b.scale


def top_directions(update: Update, count: int) -> tuple[Any, Any]:
    """Return orthonormal bases of the `count` strongest left and right singular directions.

    With B = Q_b R_b and A^T = Q_a R_a, dW = Q_b (R_b R_a^T) Q_a^T: the singular vectors of the
    r x r core, turned by the Q's, are those of dW.
    """
    import torch

    q_up, r_up = torch.linalg.qr(update.up)
    q_down, r_down = torch.linalg.qr(update.down.t())
    left, _, right = torch.linalg.svd(r_up @ r_down.t())
    return q_up @ left[:, :count], q_down @ right.t()[:, :count]


def subspace_overlap(a: Update, b: Update) -> float:
    """Return the mean cos^2 of the principal angles between the strongest directions of both.

    ||U_a^T U_b||_F^2 / k, the mean of the left and of the right side; 1 for the same span.
    """
    count = min(TOP, *a.down.shape, *b.down.shape, a.up.shape[0], b.up.shape[0])
    sides = zip(top_directions(a, count), top_directions(b, count), strict=True)
    return math.fsum(float((one.t() @ other).square().sum()) / count for one, other in sides) / 2


def compare(claimed: Path, derived: Path) -> dict[str, float] | None:
    """Return the distance of two adapters' updates; None where they are more than s B A.

    `direction` is 1 - cos over all modules together, `module` the largest 1 - cos of one module,
    `norm` the largest |ln(||dW_d|| / ||dW_c||)| of one module, `subspace` 1 - the mean overlap.
    All are 0 for the same update. Where the modules themselves differ, all are infinite.
    """
    a, b = updates(claimed), updates(derived)
    if a is None or b is None:
        return None
    names = ("direction", "module", "norm", "subspace")
    shapes = [{n: (u.up.shape[0], u.down.shape[1]) for n, u in one.items()} for one in (a, b)]
    if shapes[0] != shapes[1] or not a:
        return dict.fromkeys(names, math.inf)
    products = [(inner(a[n], b[n]), inner(a[n], a[n]), inner(b[n], b[n])) for n in a]
    if not all(math.isfinite(value) for three in products for value in three):
        return dict.fromkeys(names, math.inf)
    whole = tuple(math.fsum(column) for column in zip(*products, strict=True))
    moved = [n for n, (_, one, other) in zip(a, products, strict=True) if one > 0 and other > 0]
    overlaps = [subspace_overlap(a[n], b[n]) for n in moved]
    return {
        "direction": _turned(*whole),
        "module": max(_turned(*three) for three in products),
        "norm": max(_longer(one, other) for _, one, other in products),
        "subspace": 1 - math.fsum(overlaps) / len(overlaps) if overlaps else 0.0,
    }


def _turned(product: float, one: float, other: float) -> float:
    """Return 1 - cos; 0 where neither moved anything, infinite where only one did."""
    if one <= 0 or other <= 0:
        return 0.0 if one <= 0 and other <= 0 else math.inf
    return max(0.0, 1 - product / math.sqrt(one * other))


def _longer(one: float, other: float) -> float:
    if one <= 0 or other <= 0:
        return 0.0 if one <= 0 and other <= 0 else math.inf
    return abs(math.log(other / one)) / 2
