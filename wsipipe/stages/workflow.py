"""Workflows: strict, frozen models of YAML files.

They contain every value that affects a result.
"""

import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from wsipipe.common.html_tables import rows_table
from wsipipe.common.settings import apply_setting, read_mapping, section_of, validated
from wsipipe.errors import ConfigError
from wsipipe.stages.classify import ClassifyParams
from wsipipe.stages.imported import ImportedParams
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.positivity import MeasureParams
from wsipipe.stages.quality.params import QualityParams
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.stage_params import PRECISIONS, NetworkParams, StageParams
from wsipipe.stages.tile import TileParams
from wsipipe.tiling.tissue_params import TissueParams

STAGE_GROUP = "wsipipe.stages"
"""Entry point group in which packages name further sections."""


class Workflow(BaseModel):
    """Stages to run on a slide, and their parameters.

    A stage whose section is absent is not run. Other packages add sections under names of their own (entry
    point group ``wsipipe.stages``).

    Attributes:
        name: Name for reports.
        description: One sentence.
        tile: Canvas, shards and how pixels are stored.
        tissue: The tissue mask.
        segment: Nucleus probabilities; needs ``instances``.
        instances: Nuclei from probabilities.
        classify: Tissue classes.
        measure: Further measurements of the nuclei.
        quality: Ink, folds, focus and stain of the slide.
        imported: Nuclei of another program, set by ``wsipipe import``.
        label_images: Whether to copy the photographs of label and glass, which may show a patient's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    tile: TileParams = TileParams()
    tissue: TissueParams = TissueParams()
    segment: SegmentParams | None = None
    instances: InstanceParams | None = None
    classify: ClassifyParams | None = None
    measure: MeasureParams = MeasureParams()
    quality: QualityParams | None = None
    imported: ImportedParams | None = None
    label_images: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle sections of other packages by their own classes."""
        return _rebuilt, (dict(self), self.model_fields_set)

    def _repr_html_(self) -> str:
        """Show every value of the workflow in a notebook."""
        sections = {name: value for name, value in self.model_dump(mode="json").items() if value is not None}
        rows = [
            (f"{name}.{key}", value)
            for name, values in sections.items()
            if isinstance(values, dict)
            for key, value in values.items()
        ]
        return rows_table(f"Workflow {self.name}: {self.description}", ("key", "value"), rows)

    def further(self) -> dict[str, StageParams]:
        """Return the sections of other packages, by name."""
        names = type(self).model_fields.keys() - Workflow.model_fields.keys()
        sections = {name: getattr(self, name) for name in sorted(names)}
        return {name: params for name, params in sections.items() if params is not None}

    def networks(self) -> dict[str, NetworkParams]:
        """Return the sections with a network, by name."""
        sections = {"segment": self.segment, "classify": self.classify} | self.further()
        return {name: params for name, params in sections.items() if isinstance(params, NetworkParams)}

    def causes(self) -> dict[str, object]:
        """Return every value that affects the result, as JSON.

        The extents of patches do not affect it.
        """
        values: dict[str, Any] = self.model_dump(mode="json")
        if self.segment is None and self.imported is None:
            del values["measure"]
        elif not self.measure.positivity:
            values["measure"] = {"positivity": False}
        if self.imported is None:
            del values["imported"]
        else:
            values["imported"] = self.imported.causes()
        values |= {name: params.causes() for name, params in self.networks().items()}
        return values | {name: {**values[name], "package": _package_of(name)} for name in self.further()}

    def chosen(self) -> dict[str, object]:
        """Return the values that the user set, as JSON.

        :meth:`model_validate` of them gives an equal workflow.
        Values that are left open stay open, since the card of the weights decides them.
        """
        return self.model_dump(mode="json", exclude_unset=True)

    def in_precision(self, precision: str, only_auto: bool = False) -> "Workflow":
        """Return the same workflow with its networks in one precision.

        Args:
            precision: One of ``PRECISIONS``.
            only_auto: Whether to leave networks alone whose precision is chosen already.

        Raises:
            ConfigError: There is no such precision.
        """
        if precision not in PRECISIONS:
            raise ConfigError(f"Invalid --precision {precision!r}. Choose {', '.join(PRECISIONS)}.")
        return self.model_copy(
            update={
                name: params.model_copy(update={"precision": precision})
                for name, params in self.networks().items()
                if params.precision == "auto" or not only_auto
            }
        )

    def with_smaller_patches(self, times: int) -> "Workflow":
        """Return the workflow with patches halved ``times`` times, as far as possible."""
        return self.model_copy(
            update={name: params.with_smaller_patches(times) for name, params in self.networks().items()}
        )

    def with_shards(self, shard_px: int) -> "Workflow":
        """Return the workflow with shards of that side.

        Chunks and patches are made to fit into them.
        """
        chunk_px = min(self.tile.chunk_px, shard_px)
        tile = self.tile.model_copy(update={"shard_px": shard_px, "chunk_px": chunk_px})
        networks = {name: params.fitted_to(shard_px) for name, params in self.networks().items()}
        return self.model_copy(update={"tile": tile, **networks})


def _rebuilt(values: dict[str, Any], chosen: set[str]) -> Workflow:
    return workflow_model().model_construct(_fields_set=chosen, **values)


@cache
def workflow_model() -> type[Workflow]:
    """Return :class:`Workflow` with the sections that installed packages add.

    A package whose section cannot be imported is left out with a warning.
    """
    sections: dict[str, Any] = {}
    for point in entry_points(group=STAGE_GROUP):
        try:
            sections[point.name] = (_section_class(point), None)
        except Exception as error:  # importing another package may raise anything
            warnings.warn(
                f"The workflow section {point.name} is not available: {point.value} cannot be loaded: "
                f"{error}. Correct or remove the package that declares it.",
                stacklevel=2,
            )
    return create_model("Workflow", __base__=Workflow, **sections) if sections else Workflow


def _package_of(section: str) -> str:
    """Return name and version of the package that adds a section, as ``colours 1.0``."""
    points = [point for point in entry_points(group=STAGE_GROUP) if point.name == section]
    found = points[0].dist if points else None
    return f"{found.name} {found.version}" if found else ""


def _section_class(point: EntryPoint) -> Any:
    found = point.load()
    if point.name in Workflow.model_fields:
        raise TypeError("wsipipe itself has a section of that name")
    if not (isinstance(found, type) and issubclass(found, StageParams)):
        raise TypeError("it is not a subclass of wsipipe.stages.stage_params.StageParams")
    return found | None


def workflow_folder() -> Path:
    """Return the folder of the shipped workflows.

    It is beside the package in a checkout, and inside it once installed.
    """
    package = Path(__file__).parents[1]
    inside = package / "_workflows"
    return inside if inside.is_dir() else package.parent / "workflows"


def workflow_names() -> list[str]:
    """Return the names of the shipped workflows."""
    return sorted(path.stem for path in workflow_folder().glob("*.yaml"))


def load_workflow(name_or_path: str | Path, settings: list[str] | None = None) -> Workflow:
    """Read a workflow and apply settings to it.

    Args:
        name_or_path: One of :func:`workflow_names`, or the path of a YAML file.
        settings: Settings of the form ``stage.key=value``; the value is YAML.

    Raises:
        ConfigError: The workflow does not exist or is not YAML, or a key or its type is wrong; names the key.
    """
    path, model = _find(name_or_path), workflow_model()
    content = read_mapping(path, "Workflow")
    # ``segment:`` with nothing below it is a section, as ``segment: {}`` is.
    sections = {name for name, field in model.model_fields.items() if section_of(field.annotation)}
    content = {key: {} if value is None and key in sections else value for key, value in content.items()}
    typed = []
    for setting in settings or []:
        _check_stage(model, content, setting)
        typed.append(apply_setting(content, setting, model))
    workflow = validated(model, content, f"Workflow {path}", typed, file=path)
    if workflow.measure.positivity and workflow.segment is None:
        raise ConfigError(
            f"Workflow {path}: measure.positivity needs nuclei. Add the sections segment and instances, or "
            "set measure.positivity=false."
        )
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


def _check_stage(model: type[Workflow], content: dict[str, Any], setting: str) -> None:
    """Refuse a setting of a stage that the workflow does not run."""
    stage = setting.partition(".")[0]
    field = model.model_fields.get(stage)
    if field is not None and field.default is None and stage not in content:
        raise ConfigError(
            f"--set {setting!r}: this workflow has no {stage} stage; it has "
            f"{', '.join(name for name in model.model_fields if name in content)}. Choose a workflow that "
            f"has it, or add the section to your own file."
        )
