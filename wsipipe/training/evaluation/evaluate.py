"""Evaluation of weights on a labelled data set.

Scores are measured upright, mirrored and rotated, with confidence intervals.
"""

from collections.abc import Sequence
from pathlib import Path

from wsipipe.models.predictor import Device, Precision, load_predictor
from wsipipe.training.datasets import read_fields, read_tiles
from wsipipe.training.evaluation.fields import evaluate_fields
from wsipipe.training.evaluation.models import EvaluatedModel, ModelSamples, evaluated_models, samples_for
from wsipipe.training.evaluation.record import Evaluation
from wsipipe.training.evaluation.settings import EvaluationSettings
from wsipipe.training.evaluation.tiles import evaluate_tiles
from wsipipe.training.evaluation.trained_on import held_out_beside
from wsipipe.training.samples import Field, Tile


def evaluate(
    weights: str | Path,
    data: Path,
    settings: EvaluationSettings,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int = 1,
) -> Evaluation:
    """Evaluate weights on the fields or tiles of a folder.

    Nuclei networks are scored on fields, tissue networks on tiles.

    Args:
        weights: Name, or ``.safetensors`` file; or the folder of a cross-validation, of which each fold's
            network is evaluated on its held-out samples, with the other folds' thresholds.
        data: Folder of any known layout.
        settings: Selection of the samples, rotations and mirrors.
        device: Device; ``auto`` is CUDA where available.
        precision: Numerical precision; ``auto`` as in the pipeline.
        threads: Number of torch threads.

    Raises:
        ModelError: The weights are missing, damaged or do not fit the task.
        ConfigError: The data are missing or of no known layout, or no sample is left to score.
    """
    models = evaluated_models(weights)

    def load_all[S: (Field, Tile)](samples: Sequence[S]) -> list[ModelSamples[S]]:
        return [_load(model, samples, device, precision, threads) for model in models]

    if models[0].card.activation == "softmax":
        return evaluate_tiles(load_all(read_tiles(data)), settings)
    return evaluate_fields(load_all(read_fields(data)), settings)


def _load[S: (Field, Tile)](
    model: EvaluatedModel, samples: Sequence[S], device: Device, precision: Precision, threads: int
) -> ModelSamples[S]:
    """Load a model with the samples it is evaluated on."""
    selected = samples_for(model, samples)
    held_out = held_out_beside(model.weights) if model.held_out is None else model.held_out
    predictor = load_predictor(model.weights, device, precision, threads)
    return ModelSamples(predictor, model.card, selected, held_out)
