"""Workflow file -> strict, frozen models; every value that affects a result is in them."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from wsipipe.common.settings import apply_setting, read_mapping, validated
from wsipipe.errors import ConfigError
from wsipipe.stages.classify import ClassifyParams
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.tile import TileParams
from wsipipe.tiling.tissue import TissueParams


class Workflow(BaseModel):
    """What is done to a slide. A stage whose section is absent is not run.

    Attributes:
        name: Shown in reports.
        description: One sentence.
        tile: Canvas, shards and how pixels are stored.
        tissue: The tissue mask.
        segment: Nucleus probabilities; needs ``instances``.
        instances: Nuclei from probabilities.
        classify: Tissue classes.
        label_images: Copy the photographs of label and whole glass, which may show a patient's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    tile: TileParams = TileParams()
    tissue: TissueParams = TissueParams()
    segment: SegmentParams | None = None
    instances: InstanceParams | None = None
    classify: ClassifyParams | None = None
    label_images: bool = False

    def causes(self) -> dict[str, Any]:
        """Every value that affects the result; the extents of patches bound memory and do not."""
        values = self.model_dump(mode="json")
        for section, key in _PATCHES:
            if values[section]:
                del values[section][key]
        return values

    def chosen(self) -> dict[str, Any]:
        """The values that the user set, as JSON; :meth:`model_validate` of it gives an equal workflow.

        Values that are left open stay open, since the card of the weights decides them.
        """
        return self.model_dump(mode="json", exclude_unset=True)

    def in_precision(self, precision: str) -> "Workflow":
        """The same workflow with every network in one precision.

        Raises:
            ConfigError: There is no such precision.
        """
        if precision not in PRECISIONS:
            raise ConfigError(f"--precision {precision!r}: choose {', '.join(PRECISIONS)}.")
        sections = {"segment": self.segment, "classify": self.classify}
        updates = {
            name: section.model_copy(update={"precision": precision})
            for name, section in sections.items()
            if section
        }
        return self.model_copy(update=updates)

    def with_smaller_patches(self, times: int) -> "Workflow":
        """Patches of the networks halved so many times, as far as they go."""
        updates: dict[str, Any] = {}
        if self.segment:
            smaller = max(64, (self.segment.patch_px >> times) // 64 * 64)
            updates["segment"] = self.segment.model_copy(update={"patch_px": smaller})
        if self.classify:
            smaller = max(1, self.classify.patch_cells >> times)
            updates["classify"] = self.classify.model_copy(update={"patch_cells": smaller})
        return self.model_copy(update=updates)


PRECISIONS = ("auto", "float32", "bfloat16", "float64")
_STAGES = ("segment", "instances", "classify")
_SECTIONS = ("tile", "tissue", *_STAGES)
_PATCHES = (("segment", "patch_px"), ("classify", "patch_cells"))


def workflow_folder() -> Path:
    """Where the workflows that come with wsipipe are: beside the package, or in it once installed."""
    package = Path(__file__).parents[1]
    inside = package / "_workflows"
    return inside if inside.is_dir() else package.parent / "workflows"


def workflow_names() -> list[str]:
    """Names that ``load_workflow`` knows."""
    return sorted(path.stem for path in workflow_folder().glob("*.yaml"))


def load_workflow(name_or_path: str | Path, settings: list[str] | None = None) -> Workflow:
    """Reads a workflow and applies settings over it.

    Args:
        name_or_path: One of :func:`workflow_names`, or the path of a YAML file.
        settings: ``stage.key=value`` each; the value is YAML.

    Raises:
        ConfigError: No such workflow, not YAML, an unknown key or a wrong type; names the key.
    """
    path = _find(name_or_path)
    content = read_mapping(path, "Workflow")
    # ``segment:`` with nothing below it is a section, as ``segment: {}`` is.
    content = {key: {} if value is None and key in _SECTIONS else value for key, value in content.items()}
    typed = []
    for setting in settings or []:
        _check_stage(content, setting)
        typed.append(apply_setting(content, setting, Workflow))
    workflow = validated(Workflow, content, f"Workflow {path}", typed)
    if (workflow.segment is None) != (workflow.instances is None):
        raise ConfigError(f"Workflow {path}: segment and instances go together; give both sections or none.")
    return workflow


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    known = workflow_folder() / f"{name_or_path}.yaml"
    for candidate in (known, path):
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"There is no workflow {str(name_or_path)!r}: it is neither a file nor one of "
        f"{', '.join(workflow_names())}."
    )


def _check_stage(content: dict[str, Any], setting: str) -> None:
    """Refuse a setting of a stage that the workflow does not run."""
    stage = setting.partition(".")[0]
    if stage in _STAGES and stage not in content:
        raise ConfigError(
            f"--set {setting!r}: this workflow has no {stage} stage; it has "
            f"{', '.join(name for name in Workflow.model_fields if name in content)}. Choose a workflow that "
            f"has it, or add the section to your own file."
        )
