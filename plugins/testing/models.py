"""Conformance tests for kinds that work with a model, on a tiny base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ..base import Plugin
from ..kinds import EvaluationJob, ExportJob, Progress, ScoringJob, TrainingJob, TrainingSegment
from ..result_checks import check_evaluated, check_replayed, check_scores, check_trained
from .base import PluginTests, Skipped
from .material import make_base, make_packs, make_rows

SEED = 57


class _Stopped(Exception):  # noqa: N818 - it is not an error, it stands for a killed run
    """Stands for the end of a process in the middle of its work."""


def _stop_at(count: int) -> Callable[[Progress], None]:
    seen = 0

    def report(_: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            raise _Stopped

    return report


def _quiet(_: Progress) -> None:
    """Report nowhere."""


def _part(kind: str, name: str, **params: Any) -> Any:
    from ..registry import load_registry

    return load_registry().create(kind, name, params)


class QuantizerTests(PluginTests):
    """A quantizer chooses how base weights are stored."""

    def test_says_the_same_each_time(self) -> None:
        """The dtype is one of torch's; the configuration can be written down."""
        self.needs("torch", "transformers")
        import torch

        plugin = self.make()
        with self.well_behaved():
            dtype, config = plugin.dtype(), plugin.config()
        assert isinstance(getattr(torch, str(dtype), None), torch.dtype), f"no dtype is {dtype!r}"
        again = self.make().config()
        if config is None:
            assert again is None, "there is a configuration the second time"
        else:
            assert callable(getattr(config, "to_dict", None)), "the configuration has no to_dict"
            assert config.to_dict() == again.to_dict(), "the second configuration differs"


class AdapterTests(PluginTests):
    """An adapter chooses the weights that are trained."""

    def test_fits_a_model(self) -> None:
        """The configuration is one of peft's, is the same each time, and trains something."""
        self.needs("torch", "transformers", "peft")
        from peft import PeftConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(str(make_base()))
        with self.well_behaved():
            config = self.make().config(model)
        assert isinstance(config, PeftConfig), f"gave {type(config).__name__}, no peft config"
        again = self.make().config(model)
        assert config.to_dict() == again.to_dict(), "the second configuration differs"
        trained = [p for p in get_peft_model(model, config).parameters() if p.requires_grad]
        assert trained, "no weight would be trained"


class _Rehearsed(PluginTests):
    """A kind whose work is long: its parameters are those of a rehearsal.

    It may measure its time, and following each of its calls would take too long.
    """

    forbids = frozenset({"network"})
    plugin: ClassVar[type[Plugin[Any]]]

    def short(self) -> Any:
        """Return an instance that is done in seconds."""
        return self.make(**self.make().rehearsal())


class ScorerTests(_Rehearsed):
    """A scorer gives each row a number."""

    def scores(self, work: Path, report: Callable[[Progress], None] = _quiet) -> Any:
        """Return what the scorer finds."""
        self.needs("pyarrow")
        work.mkdir(exist_ok=True)
        model = bool(getattr(self.plugin, "uses_model", False))
        job = ScoringJob(
            rows=make_rows(24),
            base=make_base() if model else None,
            quantizer=_part("quantizer", "none", dtype="float32") if model else None,
            seed=SEED,
            work=work,
            report=report,
        )
        found = self.short().score(job)
        check_scores(found, 24)
        return found

    def test_scores_the_same_each_time_and_after_a_stop(self) -> None:
        """A killed job that resumes in the same folder gives the same result."""
        with self.folder() as folder:
            with self.well_behaved():
                found = self.scores(folder / "one")
            again = self.scores(folder / "two")
            try:
                self.scores(folder / "three", _stop_at(2))
            except _Stopped:
                resumed = self.scores(folder / "three")
                assert list(resumed.values) == list(found.values), "other scores after a stop"
        assert list(again.values) == list(found.values), "other scores the second time"


class RuntimeTests(_Rehearsed):
    """A runtime trains an adapter."""

    def job(self, folder: Path, report: Callable[[Progress], None] = _quiet) -> TrainingJob:
        """Return a small job in a folder of its own."""
        self.needs("torch", "transformers", "peft")
        work, output = folder / "work", folder / "output"
        for path in (folder, work, output):
            path.mkdir(exist_ok=True)
        return TrainingJob(
            base=make_base(),
            base_name="kit/base",
            train=make_packs(6),
            validation=make_packs(2, seed=1),
            quantizer=_part("quantizer", "none", dtype="float32"),
            adapter=_part("adapter", "lora", r=4, dropout=0.05),
            seed=SEED,
            work=work,
            output=output,
            report=report,
        )

    def train(self, folder: Path, report: Callable[[Progress], None] = _quiet) -> Any:
        """Train, and return the runtime's result."""
        job = self.job(folder, report)
        result = self.short().train(job)
        check_trained(result)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            assert (job.output / name).is_file(), f"no {name} was written"
        return result

    def test_trains_to_the_same_bits_also_after_a_stop(self) -> None:
        """The base is unchanged; a killed job resumes to the same trace and metrics."""
        from ...schema.digest import safetensors_digest

        def digest(name: str) -> str:
            return safetensors_digest(folder / name / "output" / "adapter_model.safetensors")

        with self.folder() as folder:
            self.needs("torch", "transformers", "peft")
            with self.well_behaved(make_base()):
                found = self.train(folder / "one")
            again = self.train(folder / "two")
            assert again.trace == found.trace, "another trace the second time"
            assert digest("one") == digest("two"), "another adapter the second time"
            try:
                self.train(folder / "three", _stop_at(2))
            except _Stopped:
                resumed = self.train(folder / "three")
                assert resumed.metrics == found.metrics, "other metrics after a stop"
                assert digest("one") == digest("three"), "another adapter after a stop"

    def test_trains_as_long_as_its_schedule_says(self) -> None:
        """The schedule's steps are those of the trace, where nothing ends the training before."""
        schedule = self.short().schedule()
        if schedule is None:
            raise Skipped("it has no `schedule`: steps and time are not estimated")
        with self.folder() as folder:
            result = self.train(folder / "one")
            steps = schedule.steps(self.job(folder / "two").train.num_rows)
        if result.stopped is None:
            found = len(result.trace)
            assert found == steps, f"{found} steps were taken, the schedule has {steps}"

    def test_gives_other_parameters_for_the_controls_of_a_calibration(self) -> None:
        """Changed parameters are valid, and differ from the original."""
        plugin = self.make()
        own = plugin.params.model_dump()
        changes = [
            plugin.with_learning_rate(1.1),
            plugin.with_length(9, 1),
            plugin.with_length(9, -1),
            *(c for ways in plugin.rounded_otherwise(False) for c in ways.values()),
        ]
        for change in changes:
            if change is not None:
                other = type(plugin.params).model_validate({**own, **change})
                assert other != plugin.params, f"{change} changes nothing"

    def test_gives_each_segment_again_where_it_keeps_states(self) -> None:
        """A segment executed alone, from the state before it, gives the same trace and state."""
        with self.folder() as folder:
            found = self.train(folder / "one")
            if found.states is None:
                return  # its trainings are audited whole
            numbers = range(len(found.states.bounds), 0, -1)
            segments = [TrainingSegment.of(found.states, n, found.states_folder) for n in numbers]
            replay = self.short().replay(self.job(folder / "two"), segments)
            check_replayed(replay, segments)
            assert replay.weights == found.weights, "another start the second time"
            for number, segment, again in zip(numbers, segments, replay.segments, strict=True):
                trace = found.trace[segment.first - 1 : segment.last]
                assert again.trace == trace, f"another trace of segment {number} alone"
                state = found.states.bounds[number - 1]
                assert again.state.digest() == state.digest(), f"another state after {state.step}"
            assert [s.adapter_step for s in segments if s.adapter_step] == [
                found.states.adapter_step
            ]
            adapters = [again.adapter for again in replay.segments if again.adapter is not None]
            files = [path / "adapter_model.safetensors" for path in adapters]
            assert len(files) == 1, "one segment was asked for its adapter"
            trained = folder / "one" / "output" / "adapter_model.safetensors"
            assert files[0].read_bytes() == trained.read_bytes(), "another adapter"


class EvaluatorTests(_Rehearsed):
    """An evaluator measures a model."""

    def measured(self) -> Any:
        """Return what the evaluator measures of the base."""
        self.needs("torch", "transformers")
        sources = getattr(self.plugin, "sources", {})
        if sources:
            raise Skipped(f"it needs files: {', '.join(sources)}")
        rows = make_rows(12)
        answered = [n for n, text in enumerate(rows.column("output").to_pylist()) if text]
        job = EvaluationJob(
            base=make_base(),
            adapter=None,
            rows=rows.take(answered),
            template=_part("template", "alpaca"),
            quantizer=_part("quantizer", "none", dtype="float32"),
            seed=SEED,
        )
        result = self.short().evaluate(job)
        check_evaluated(result)
        return result

    def test_measures_the_same_each_time(self) -> None:
        """Metrics are finite numbers, and the same for the same model and rows."""
        with self.well_behaved():
            found = self.measured()
        assert found == self.measured(), "other metrics or predictions the second time"


class ExporterTests(_Rehearsed):
    """An exporter writes the trained model for others."""

    def exported(self, folder: Path) -> dict[str, bytes]:
        """Return the files that the exporter writes for a small base and its adapter."""
        self.needs("torch", "transformers", "peft")
        import torch
        from peft import get_peft_model
        from transformers import AutoModelForCausalLM

        adapter, output = folder / "adapter", folder / "output"
        output.mkdir(parents=True)
        base = make_base()
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            model = AutoModelForCausalLM.from_pretrained(str(base))
            config = _part("adapter", "lora", r=4).config(model)
            get_peft_model(model, config).save_pretrained(adapter)
        quantizer = _part("quantizer", "none", dtype="float32")
        self.short().export(ExportJob(base, "kit/base", adapter, quantizer, output))
        files = sorted(path for path in output.rglob("*") if path.is_file())
        assert files, "no file was written"
        return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}

    def test_writes_the_same_each_time(self) -> None:
        """The base stays as it is, and the same weights give the same files."""
        with self.folder() as folder:
            with self.well_behaved(make_base()):
                found = self.exported(folder / "one")
            assert found == self.exported(folder / "two"), "other files the second time"
