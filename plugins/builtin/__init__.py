"""Built-in plugins, loaded by the entry point `khichdi` like any third party's.

One line per plugin: the hooks list them, the files hold them.
"""

from __future__ import annotations

from typing import Any

from khichdi.plugins.hookspecs import hookimpl

from .adapter.lora import Lora
from .adapter.vera import Vera
from .evaluator.generate import Generate
from .evaluator.lm_eval import LmEval
from .exporter.gguf import Gguf
from .exporter.merged import Merged
from .filter.clean import (
    CollapseWhitespace,
    FixMojibake,
    NormalizeUnicode,
    Strip,
    StripHtml,
)
from .filter.counts import CharacterCount, ReferenceCount, TokenCount
from .filter.decontaminate import Decontaminate, DecontaminateEmbedding
from .filter.exact_duplicates import ExactDuplicates
from .filter.field_similarity import FieldSimilarity
from .filter.jaccard_duplicates import JaccardDuplicates
from .filter.label_filters import Categories, Languages
from .filter.language_id import LanguageId
from .filter.near_duplicates import NearDuplicates
from .filter.refusals import Refusals
from .filter.render import Render
from .filter.rewrite import CutAfter, LowerCase, Replace
from .filter.truncate import Truncate, TruncateWords
from .filter.where import Where
from .filter.word_counts import MaxWords, MinWords
from .quantizer.bitsandbytes import BitsAndBytes
from .quantizer.none import NoQuantizer
from .reader.alpaca import Alpaca
from .reader.conversations import Conversations
from .reader.dialogues import Dialogues
from .reader.message_trees import MessageTrees
from .reader.multiple_choice import MultipleChoice
from .reader.natural_instructions import NaturalInstructions
from .reader.tables import Csv, Json, Jsonl, Parquet
from .rule.licenses import Licenses
from .rule.neurips_llm_efficiency import NeuripsLlmEfficiency2023
from .runtime.qlora.plugin import Qlora
from .sampler.group_samplers import PerGroup, Proportional
from .sampler.random_sample import All, Random
from .sampler.score_buckets import AccuracyBuckets, RougeBuckets
from .sampler.slice import Slice
from .scorer.few_shot import FewShot
from .source.files import Files
from .source.git import Git
from .source.http import Http
from .source.huggingface import HuggingFace
from .source.pypi import Pypi
from .template.chat import Chat
from .template.sections import AlpacaTemplate, QuestionAnswer
from .template.text import TextTemplate


@hookimpl
def khichdi_sources() -> list[type[Any]]:
    """Return the sources that ship."""
    return [Files, Git, Http, HuggingFace, Pypi]


@hookimpl
def khichdi_readers() -> list[type[Any]]:
    """Return the readers that ship."""
    return [
        Alpaca,
        Conversations,
        Csv,
        Dialogues,
        Json,
        Jsonl,
        MessageTrees,
        MultipleChoice,
        NaturalInstructions,
        Parquet,
    ]


@hookimpl
def khichdi_filters() -> list[type[Any]]:
    """Return the filters that ship."""
    return [
        Categories,
        CharacterCount,
        CollapseWhitespace,
        CutAfter,
        Decontaminate,
        DecontaminateEmbedding,
        ExactDuplicates,
        FieldSimilarity,
        FixMojibake,
        LanguageId,
        Languages,
        LowerCase,
        MaxWords,
        JaccardDuplicates,
        MinWords,
        NearDuplicates,
        NormalizeUnicode,
        ReferenceCount,
        Refusals,
        Render,
        Replace,
        Strip,
        StripHtml,
        TokenCount,
        Truncate,
        TruncateWords,
        Where,
    ]


@hookimpl
def khichdi_scorers() -> list[type[Any]]:
    """Return the scorers that ship."""
    return [FewShot]


@hookimpl
def khichdi_samplers() -> list[type[Any]]:
    """Return the samplers that ship."""
    return [AccuracyBuckets, All, PerGroup, Proportional, Random, RougeBuckets, Slice]


@hookimpl
def khichdi_templates() -> list[type[Any]]:
    """Return the templates that ship."""
    return [AlpacaTemplate, Chat, QuestionAnswer, TextTemplate]


@hookimpl
def khichdi_quantizers() -> list[type[Any]]:
    """Return the quantizers that ship."""
    return [BitsAndBytes, NoQuantizer]


@hookimpl
def khichdi_adapters() -> list[type[Any]]:
    """Return the adapters that ship."""
    return [Lora, Vera]


@hookimpl
def khichdi_runtimes() -> list[type[Any]]:
    """Return the runtimes that ship."""
    return [Qlora]


@hookimpl
def khichdi_evaluators() -> list[type[Any]]:
    """Return the evaluators that ship."""
    return [Generate, LmEval]


@hookimpl
def khichdi_exporters() -> list[type[Any]]:
    """Return the exporters that ship."""
    return [Gguf, Merged]


@hookimpl
def khichdi_rules() -> list[type[Any]]:
    """Return the rules that ship."""
    return [Licenses, NeuripsLlmEfficiency2023]
