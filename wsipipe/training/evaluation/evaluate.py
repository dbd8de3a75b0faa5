"""Weights and a labelled data set -> scores upright, mirrored and turned, with intervals."""

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
    """Evaluation of weights on the fields (nuclei) or tiles (tissue) of a data folder.

    Args:
        weights: Name, or ``.safetensors`` file; or the folder of a cross-validation, of which each fold's
            network is asked about what it had held out, with the other folds' thresholds.
        data: Folder of any known layout.
        settings: Which samples, turned how.
        device: ``auto`` is CUDA where there is one.
        precision: ``auto`` as in the pipeline.
        threads: Of torch.

    Raises:
        ModelError: The weights are missing, damaged or do not fit the task.
        ConfigError: The data are not there or of no known layout, or nothing is left to score.
    """
    sources = evaluated_models(weights)

    def parts[S: (Field, Tile)](samples: Sequence[S]) -> list[ModelSamples[S]]:
        return [_part(source, samples, device, precision, threads) for source in sources]

    if sources[0].card.activation == "softmax":
        return evaluate_tiles(parts(read_tiles(data)), settings)
    return evaluate_fields(parts(read_fields(data)), settings)


def _part[S: (Field, Tile)](
    source: EvaluatedModel, samples: Sequence[S], device: Device, precision: Precision, threads: int
) -> ModelSamples[S]:
    chosen = samples_for(source, samples)
    held_out = held_out_beside(source.weights) if source.held_out is None else source.held_out
    predictor = load_predictor(source.weights, device, precision, threads)
    return ModelSamples(predictor, source.card, chosen, held_out)
