"""Scores of one field, whole or in its inscribed disc.

Instances are found by the pipeline's own stages.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.stages.nuclei.params import InstanceParams, with_card
from wsipipe.training.evaluation.inference import (
    FieldCanvas,
    PatchPredictor,
    field_canvas,
    instances,
    stored_maps,
)
from wsipipe.training.evaluation.instance_metrics import instance_scores
from wsipipe.training.evaluation.metrics import auc_of_stored, calibration_error_of_stored, pixel_scores
from wsipipe.training.evaluation.rotation import (
    UPRIGHT,
    RotatableImage,
    Rotation,
    cut_labels,
    disc,
    drop_cut,
    mask_outside_disc,
    middle_square,
    mirrored,
    rotate_labels,
)
from wsipipe.training.evaluation.type_metrics import RADIUS_UM, TypePairs, found_codes, type_pairs
from wsipipe.training.nucleus_types import type_codes
from wsipipe.training.samples import Field, Labels


@dataclass(frozen=True)
class FieldScorer:
    """Scorer of fields for one network.

    Attributes:
        predict: Predictor of the network.
        card: Card with the thresholds and instance parameters.
    """

    predict: PatchPredictor
    card: ModelCard

    def __post_init__(self) -> None:
        """Refuse networks without a nucleus map.

        Raises:
            ModelError: The network has other outputs.
        """
        if "nucleus" not in self.card.output_names or self.card.activation != "sigmoid":
            raise ModelError(
                f"{self.card.name} outputs {', '.join(self.card.output_names)} ({self.card.activation}), not "
                "a nucleus map. Evaluate it on tissue tiles, or name weights that find nuclei."
            )

    @property
    def params(self) -> InstanceParams:
        """Thresholds and instance parameters of the card."""
        return with_card(InstanceParams(), self.card)

    def score_whole(self, field: Field, rotation: Rotation = UPRIGHT) -> dict[str, float]:
        """Score a whole field, mirrored if requested.

        Every pixel and nucleus counts.

        Returns:
            ``dice``, ``iou``, ``auc`` and ``ece`` of the nucleus map; if the field has instances and the
            network centres, also ``label_dice`` of the final labels, ``aji``, ``dice2``, ``pq``, ``dq``,
            ``sq`` and ``f1``.
        """
        image, labels = mirrored(field.image, rotation.mirror), mirrored(field.labels, rotation.mirror)
        canvas = self._canvas(np.ascontiguousarray(image), labels, field.mpp)
        maps, truth = stored_maps(self.predict, canvas), canvas.labels[canvas.inside.slices]
        scores = self._pixels(truth > 0, self._map(maps, "nucleus"))
        if not self._has_instances(field):
            return scores
        return scores | _label_scores(truth, self._instances(maps, canvas.mpp))

    def type_pairs(self, field: Field) -> TypePairs | None:
        """Return the types of the true and found nuclei of a whole field.

        None where the network or the field has no types.
        """
        types = self.card.types
        if not (types and field.types and self._has_instances(field)):
            return None
        canvas = self._canvas(field.image, field.labels, field.mpp)
        maps, truth = stored_maps(self.predict, canvas), canvas.labels[canvas.inside.slices]
        found = self._instances(maps, canvas.mpp)
        codes = found_codes(found, maps[-len(types) :])
        return type_pairs(truth, type_codes(field, types), found, codes, RADIUS_UM / canvas.mpp)

    def score_disc(self, field: "DiscField", rotation: Rotation) -> dict[str, float]:
        """Score the inscribed disc of a rotated field.

        Nuclei that the border of the disc cuts do not count.
        """
        canvas = self._canvas(
            mask_outside_disc(field.plane.at(rotation)), rotate_labels(field.labels, rotation), field.mpp
        )
        maps, truth = stored_maps(self.predict, canvas), canvas.labels[canvas.inside.slices]
        inside = disc(len(truth))
        nucleus = self._map(maps, "nucleus")
        scores = self._pixels(truth[inside] > 0, nucleus[inside])
        if not self._has_instances(field.field):
            return scores
        found = self._instances(np.where(inside, maps, 0), canvas.mpp)
        return scores | _label_scores(*drop_cut(np.where(inside, truth, 0), found, field.cut))

    def _canvas(self, image: npt.NDArray[np.uint8], labels: Labels, mpp: float) -> FieldCanvas:
        card = self.card
        return field_canvas(image, labels, mpp, card.mpp, self.predict.lattice_px, card.stain_reference)

    def _map(self, maps: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
        return maps[self.card.output_names.index(name)]

    def _has_instances(self, field: Field) -> bool:
        return field.has_instances and "centre" in self.card.output_names

    def _instances(self, maps: npt.NDArray[np.uint8], mpp: float) -> Labels:
        return instances(self._map(maps, "nucleus"), self._map(maps, "centre"), self.params, mpp)

    def _pixels(self, truth: npt.NDArray[np.bool_], nucleus: npt.NDArray[np.uint8]) -> dict[str, float]:
        found = nucleus >= self.params.nucleus_level
        return pixel_scores(truth, found) | {
            "auc": auc_of_stored(truth, nucleus),
            "ece": calibration_error_of_stored(truth, nucleus),
        }


class DiscField:
    """Middle square of a field, prepared for rotation.

    Attributes:
        field: Original field.
        plane: Image of the square.
        labels: Labels of the square.
        cut: Ids of the nuclei that the border of the inscribed disc cuts.
        mpp: Resolution in µm/px.
    """

    def __init__(self, field: Field) -> None:
        self.field, self.mpp = field, field.mpp
        self.plane = RotatableImage(middle_square(field.image))
        self.labels = middle_square(field.labels)
        self.cut = cut_labels(self.labels)


def crop_middle(field: Field, side_px: int | None) -> Field:
    """Return the middle square of a field; the field itself without ``side_px``.

    Args:
        field: Field to crop.
        side_px: Largest side of the square.
    """
    if side_px is None:
        return field
    return replace(
        field,
        image=np.ascontiguousarray(middle_square(field.image, side_px)),
        labels=np.ascontiguousarray(middle_square(field.labels, side_px)),
    )


def _label_scores(truth: Labels, found: Labels) -> dict[str, float]:
    """Return Dice of the labels and the instance scores."""
    return {"label_dice": pixel_scores(truth > 0, found > 0)["dice"]} | instance_scores(truth, found)
