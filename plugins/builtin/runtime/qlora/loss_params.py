"""Parameters of what is added to the loss on tokens, and of how it is scaled."""

from __future__ import annotations

from typing import Literal

from khichdi.plugins import Params, later


class LossParams(Params):
    """The loss of routers, and the scale of the whole."""

    output_router_logits: bool = later(
        False,
        description=(
            "Train with the load-balancing loss of a mixture's routers beside the loss on tokens, "
            "weighed by the base's `router_aux_loss_coef`; the losses reported are without it."
        ),
    )
    loss_scaling: Literal["dynamic"] | None = later(
        None,
        description=(
            "For bases that compute in float16, where small gradients vanish: multiply the loss "
            "before the backward pass, and divide gradients again. `dynamic` starts at 65,536, "
            "halves it and skips the step where a gradient overflows, and doubles it after 2,000 "
            "steps without."
        ),
    )
