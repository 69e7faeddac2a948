"""Architecture of a base model: enough to count its parameters, bytes and FLOPs."""

from __future__ import annotations

import re

from pydantic import Field

from .document import Document

ALL_LINEAR = "all-linear"
"""The word for every linear module but the head."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of a number, by the name of its type in torch."""


class Linear(Document):
    """A linear module of one layer; its weight is (outputs, inputs).

    `reads` names the tensor it multiplies: modules that read the same one share what is saved of
    it for the backward pass.
    """

    path: str = Field(description="Path inside a layer, such as `self_attn.q_proj`.")
    inputs: int = Field(ge=1, description="Input features.")
    outputs: int = Field(ge=1, description="Output features.")
    reads: str = Field(description="Which tensor it reads: attention, context, mlp or middle.")
    bias: bool = Field(False, description="Whether it has a bias.")
    layers: tuple[int, ...] | None = Field(
        None, description="Numbers of the layers that have it, where not all do."
    )

    @property
    def name(self) -> str:
        """Return the last part of the path, which adapters select modules by."""
        return self.path.rpartition(".")[2]

    @property
    def weights(self) -> int:
        """Return the number of weights, without the bias."""
        return self.inputs * self.outputs


class Architecture(Document):
    """A decoder of layers, equal ones but for linear modules that only some have."""

    model_type: str = Field(description="Name of the architecture in transformers.")
    layers: int = Field(ge=1, description="Decoder layers.")
    hidden: int = Field(ge=1, description="Width of the residual stream.")
    heads: int = Field(ge=1, description="Query heads.")
    kv_heads: int = Field(ge=1, description="Key and value heads.")
    head_dim: int = Field(ge=1, description="Width of a head.")
    intermediate: int = Field(ge=1, description="Width inside the MLP.")
    vocab: int = Field(ge=1, description="Rows of the embedding.")
    tied: bool = Field(description="Whether head and embedding are tied.")
    max_positions: int | None = Field(description="Maximum positions of the model, if declared.")
    window: int | None = Field(None, description="Sliding-window size of attention, if limited.")
    linears: tuple[Linear, ...] = Field(description="Linear modules of one layer, in order.")
    layer_path: str = Field("model.layers", description="Path of the layers in the model.")
    head: str = Field("lm_head", description="Name of the output head.")
    embedding: str = Field("embed_tokens", description="Name of the input embedding.")
    added_tokens: int = Field(
        0, ge=0, description="Tokens that the recipe adds, of the rows of the embedding."
    )
    gated: bool = Field(True, description="Whether the MLP is gated.")
    qk_norm: bool = Field(False, description="Whether queries and keys are normalized.")
    norms: int = Field(ge=0, description="Parameters of the norms of one layer.")
    rest: int = Field(0, ge=0, description="Parameters outside layers, embedding and head.")
    experts: int = Field(
        0, ge=0, description="Weights of routed experts that a token goes through, over all layers."
    )

    def numbers(self, linear: Linear) -> tuple[int, ...]:
        """Return the numbers of the layers that have a linear module."""
        return tuple(range(self.layers)) if linear.layers is None else linear.layers

    @property
    def linear_weights(self) -> int:
        """Return the weights of all linear modules but the head: those that are quantized."""
        return sum(linear.weights * len(self.numbers(linear)) for linear in self.linears)

    @property
    def embedding_weights(self) -> int:
        """Return the weights of the embedding and, where it is another matrix, of the head."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def small_parameters(self) -> int:
        """Return the number of parameters outside linear layers and embeddings: norms, biases."""
        biases = sum(
            linear.outputs * len(self.numbers(linear)) for linear in self.linears if linear.bias
        )
        return self.layers * self.norms + biases + self.rest

    @property
    def parameters(self) -> int:
        """Return the number of parameters of the whole model."""
        return self.linear_weights + self.embedding_weights + self.small_parameters

    def modules(self, targets: tuple[str, ...] | str) -> tuple[Linear, ...]:
        """Return the modules of a layer that an adapter is on in any layer, as peft matches them.

        `all-linear` is all of them; a name fits a module whose path is it or ends with it; another
        text is a regular expression that matches whole paths.
        """
        adapted = set(self.adapted(targets))
        return tuple(linear for linear in self.linears if linear in adapted)

    def adapted(self, targets: tuple[str, ...] | str) -> tuple[Linear, ...]:
        """Return the modules that an adapter is on, over all layers."""
        if isinstance(targets, str) and targets != ALL_LINEAR:
            return tuple(
                linear
                for linear in self.linears
                for number in self.numbers(linear)
                if re.fullmatch(targets, f"{self.layer_path}.{number}.{linear.path}")
            )
        return tuple(
            linear
            for linear in self.linears
            for _ in self.numbers(linear)
            if isinstance(targets, str)
            or any(linear.path == name or linear.path.endswith(f".{name}") for name in targets)
        )

    def whole_modules(self, names: tuple[str, ...]) -> list[int] | None:
        """Return the elements of modules that are trained in full, each with a copy of its own.

        None where one of them is neither the embedding nor the head.
        """
        tables = {self.embedding, self.head}
        return [self.vocab * self.hidden for _ in names] if tables.issuperset(names) else None

    def reaches_head(self, targets: tuple[str, ...] | str) -> bool:
        """Return whether an adapter is on the head."""
        if isinstance(targets, str):
            return targets != ALL_LINEAR and re.fullmatch(targets, self.head) is not None
        return self.head in targets
