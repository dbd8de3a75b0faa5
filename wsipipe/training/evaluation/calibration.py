"""Calibration of temperature, thresholds and instance parameters on validation data.

The search scores labels made by the pipeline's own stages, by mean AJI + PQ.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from wsipipe.errors import ConfigError
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.training.evaluation.inference import instances
from wsipipe.training.evaluation.instance_metrics import instance_scores
from wsipipe.training.evaluation.metrics import pixel_scores
from wsipipe.training.samples import Labels

Floats = npt.NDArray[np.floating]
Stored = npt.NDArray[np.uint8]

NUCLEUS = tuple(round(0.3 + 0.05 * step, 2) for step in range(8))
CENTRE = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
COARSE = 3
"""Step of the coarse grid: every third value of both thresholds."""
ROUNDS: tuple[dict[str, tuple[float, ...]], ...] = (
    {"min_seed_um2": (0.0, 1.0, 2.0, 4.0)},
    {"min_seedless_um2": (8.0, 16.0, 32.0, 1e6)},
    {"min_area_um2": (3.0, 5.0, 8.0, 12.0, 16.0)},
    {"grow_um": (2.0, 4.0, 8.0)},
)
TEMPERATURES = (0.2, 5.0)


class FieldMaps(NamedTuple):
    """Probability maps and truth of one validation field.

    Attributes:
        truth: (H, W) instance ids.
        nucleus: (H, W) uint8, probability times 250, temperature applied.
        centre: (H, W) uint8, likewise.
        mpp: Resolution in µm/px.
        types: (types, H, W) uint8, probabilities of types times 250; None without types.
        true_types: Type by id, 0 unknown, else from 1; None where types are not known.
    """

    truth: Labels
    nucleus: Stored
    centre: Stored
    mpp: float
    types: Stored | None = None
    true_types: Stored | None = None


@dataclass(frozen=True)
class Choice:
    """Result of :func:`choose`.

    Attributes:
        params: Best instance parameters.
        scores: Mean ``dice``, ``aji`` and ``pq`` of these on the validation fields.
        tried: Number of settings that were scored.
    """

    params: InstanceParams
    scores: dict[str, float]
    tried: int

    @property
    def thresholds(self) -> dict[str, float]:
        """``nucleus`` and ``centre``, in the form of ``ModelCard.thresholds``."""
        return {"nucleus": self.params.nucleus_threshold, "centre": self.params.centre_threshold}

    @property
    def instance_params(self) -> dict[str, float]:
        """Other parameters, in the form of ``ModelCard.instance_params``."""
        return self.params.model_dump(exclude={"nucleus_threshold", "centre_threshold"})


def choose(maps: Iterable[FieldMaps], start: InstanceParams | None = None) -> Choice:
    """Search the parameters of the highest mean AJI + PQ.

    Thresholds are searched on a coarse grid, then around its best; then each parameter in turn, with the
    others fixed; then the thresholds' neighbours once more. Among equal scores the first one is kept.

    Args:
        maps: Maps of each field with instances.
        start: Values of parameters that are not searched, and first values of the others.

    Raises:
        ConfigError: No field has a nucleus.
    """
    fields = list(maps)
    if not any(field.truth.any() for field in fields):
        raise ConfigError(f"{len(fields)} validation fields have no nucleus. Give fields with instances.")
    search = _ParameterSearch(fields, start or InstanceParams())
    for nucleus in NUCLEUS[1::COARSE]:
        for centre in CENTRE[::COARSE]:
            search.attempt(nucleus_threshold=nucleus, centre_threshold=centre)
    search.refine_thresholds(width=2)
    for parameters in ROUNDS:
        for name, values in parameters.items():
            for value in values:
                search.attempt(**{name: value})
    search.refine_thresholds(width=1)
    return Choice(search.best, search.scores, len(search.seen))


class _ParameterSearch:
    """Search state with the best setting so far."""

    def __init__(self, fields: Sequence[FieldMaps], start: InstanceParams) -> None:
        self.fields = fields
        self.seen: set[InstanceParams] = set()
        self.best, self.scores = start, {"aji": -1.0, "pq": -1.0}
        self.attempt()

    def attempt(self, **changed: float) -> None:
        """Score the best setting with some values changed.

        Each setting is scored once; it is kept if it is better.
        """
        params = self.best.model_copy(update=changed)
        if params in self.seen or params.min_area_um2 > params.max_area_um2:
            return
        self.seen.add(params)
        scores = mean_scores(self.fields, params)
        if scores["aji"] + scores["pq"] > self.scores["aji"] + self.scores["pq"]:
            self.best, self.scores = params, scores

    def refine_thresholds(self, width: int) -> None:
        """Try thresholds near the best ones on the fine grid.

        Args:
            width: Number of grid steps on each side.
        """
        nucleus = _around(NUCLEUS, self.best.nucleus_threshold, width)
        centre = _around(CENTRE, self.best.centre_threshold, width)
        for one in nucleus:
            for other in centre:
                self.attempt(nucleus_threshold=one, centre_threshold=other)


def mean_scores(fields: Sequence[FieldMaps], params: InstanceParams) -> dict[str, float]:
    """Return mean scores of fields under one setting.

    They are ``dice`` (of the labels), ``aji``, ``pq``, ``dq`` and ``sq``.
    """
    rows = []
    for truth, nucleus, centre, mpp, *_ in fields:
        found = instances(nucleus, centre, params, mpp)
        rows.append({"dice": pixel_scores(truth > 0, found > 0)["dice"]} | instance_scores(truth, found))
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _around(grid: Sequence[float], value: float, width: int) -> Sequence[float]:
    here = int(np.argmin(np.abs(np.array(grid) - value)))
    return grid[max(here - width, 0) : here + width + 1]


def class_temperature(probabilities: Floats, truth: npt.NDArray[np.integer]) -> float:
    """Return the temperature of least cross-entropy for classes.

    Raw scores are divided by it (``ModelCard.temperature``); it changes no decision.

    Args:
        probabilities: Softmax outputs (N, classes) at temperature 1.
        truth: True classes (N,).
    """
    scores = np.log(np.clip(probabilities.astype(np.float64), 1e-12, 1))

    def loss(temperature: float) -> float:
        tempered = scores / temperature
        tempered -= tempered.max(axis=1, keepdims=True)
        total = np.log(np.exp(tempered).sum(axis=1))
        return float((total - tempered[np.arange(len(truth)), truth]).mean())

    return _least(loss)


def pixel_temperature(probabilities: Floats, truth: npt.NDArray[np.bool_], limit: int = 500_000) -> float:
    """Return the temperature of least cross-entropy for pixels.

    Args:
        probabilities: Sigmoid outputs in [0, 1] at temperature 1, of any shape.
        truth: True nucleus mask of the same shape.
        limit: Largest number of pixels, evenly spaced, that are used.
    """
    stride = max(1, -(-probabilities.size // limit))
    known = np.clip(probabilities.ravel()[::stride].astype(np.float64), 1e-6, 1 - 1e-6)
    scores = np.log(known / (1 - known))
    signs = np.where(truth.ravel()[::stride], -1.0, 1.0)
    return _least(lambda temperature: float(np.logaddexp(0, signs * scores / temperature).mean()))


def _least(loss: Callable[[float], float]) -> float:
    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(lambda log_t: loss(np.exp(log_t)), bounds=(low, high), method="bounded")
    return round(float(np.exp(found.x)), 4)
