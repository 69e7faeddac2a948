"""The conformance kit, and what is particular to `npz`."""

from pathlib import Path

import pytest
from khichdi.plugins import ExportJob, StepError
from khichdi.plugins.testing import ExporterTests

from khichdi_examples.npz import Npz, NpzParams


class TestNpz(ExporterTests):
    """What every exporter is held to."""

    plugin = Npz
    record = Path(__file__).with_name("version.json")
    wrong_params = ({"dtype": "bfloat16"},)


def job(folder: Path, value: float) -> ExportJob:
    """Return a job over an adapter of one tensor."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    adapter, output = folder / "adapter", folder / "output"
    for place in (adapter, output):
        place.mkdir()
    weights = torch.full((2, 3), value, dtype=torch.bfloat16)
    save_file({"lora_A.weight": weights}, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text("{}")
    return ExportJob(folder, "a/base", adapter, None, output)


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    """The tensors have their names, shapes and values."""
    np = pytest.importorskip("numpy")
    done = job(tmp_path, 0.5)
    Npz(NpzParams(dtype="float16")).export(done)
    (weights,) = np.load(done.output / "adapter.npz").values()
    assert (weights.dtype, weights.shape, weights[1, 2]) == (np.float16, (2, 3), 0.5)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A value beyond the type is named, not turned into infinity."""
    with pytest.raises(StepError, match=r"lora_A\.weight has values beyond float16"):
        Npz(NpzParams(dtype="float16")).export(job(tmp_path, 1e6))
