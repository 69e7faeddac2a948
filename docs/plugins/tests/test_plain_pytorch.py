"""The conformance kit, and what is particular to `plain-pytorch`."""

from pathlib import Path

from khichdi.plugins.testing import RuntimeTests

from khichdi_examples.plain_pytorch import PlainPytorch


class TestPlainPytorch(RuntimeTests):
    """What every runtime is held to."""

    plugin = PlainPytorch
    record = Path(__file__).with_name("version.json")
    wrong_params = ({"num_epochs": 0}, {"learning_rate": 0.0})

    def test_it_learns(self, tmp_path: Path) -> None:
        """The loss on held-out packs falls."""
        self.short = lambda: self.make(num_epochs=8, packs_per_step=2, learning_rate=1e-2)
        result = self.train(tmp_path)
        assert len(result.trace) == 24
        assert result.metrics["eval_loss"] < 0.98 * result.metrics["eval_loss_before"]
