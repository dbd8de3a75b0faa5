"""Networks and tables that stages need to compute a block again."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wsipipe.geometry import Orientation
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.pipeline.certificate.blocks import TurnedStage
from wsipipe.pipeline.certificate.opened import OpenedSlide
from wsipipe.pipeline.certificate.record import Exact
from wsipipe.stages.stage import Stage
from wsipipe.stages.stain import STAIN
from wsipipe.store.tables import Table

if TYPE_CHECKING:
    from wsipipe.models.predictor import AnyPredictor


@dataclass
class Networks:
    """The networks of a slide, each loaded when it is first used.

    Attributes:
        slide: The slide.
        device: ``cpu``, ``cuda`` or ``auto``.
        threads: Number of CPU threads of a network.
        used: Precision, implementation and processor of the networks, by stage.
    """

    slide: OpenedSlide
    device: Any = "cpu"
    threads: int = 1
    used: dict[str, str] = field(default_factory=dict)
    _loaded: "dict[str, AnyPredictor]" = field(default_factory=dict)
    _tables: dict[str, Table] | None = None

    def of(self, stage: Stage) -> "AnyPredictor | None":
        """Return the network of a stage; None for a stage without one."""
        params = stage.network
        if params is None:
            return None
        if stage.name not in self._loaded:
            # Importing torch takes seconds and hundreds of MB.
            from wsipipe.models.predictor import load_predictor

            precision: Any = params.precision
            loaded = load_predictor(
                params.weights, self.device, precision, self.threads, params.finds_unknown
            )
            self._loaded[stage.name], self.used[stage.name] = loaded, loaded.in_words()
        return self._loaded[stage.name]

    def exact(self, stage: Stage) -> Exact:
        """Return the passes that must give the bits of the run."""
        network = self.of(stage)
        if network is None:
            return "all"
        if isinstance(network.card, OnnxCard):
            return "all" if network.card.symmetrise else "shards"
        if not network.by_rings:
            return "none"
        # In bfloat16 the bits depend on the instructions of the processor (docs/exactness.md).
        run = self.slide.networks.get(stage.name, [])
        is_same = not run or run == [network.in_words()]
        return "all" if is_same or network.precision != "bfloat16" else "none"

    def tables(self) -> dict[str, Table]:
        """Return the table of the slide's colours, where a network needs it."""
        if self._tables is None:
            stain = [stage for stage in self.slide.stages if stage.name == STAIN]
            self._tables = {STAIN: self._colours(stain[0])} if stain else {}
        return self._tables

    def _colours(self, stage: Stage) -> Table:
        slide, partials = self.slide, {}
        whole = TurnedStage(stage, Orientation.R0, slide.grid, slide.pixels)
        for row, column in np.ndindex(stage.grid_shape(slide.grid)):
            core = stage.core(slide.grid, (row, column))
            partials[row, column] = whole.output(core).partial
        assert stage.reduce is not None  # noqa: S101
        return stage.reduce(partials, {})
