"""The outcome of one slide of a run."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from wsipipe.errors import Place
from wsipipe.pipeline.reporting.run_json import PlanEntry, SlideEntry, UsageEntry


@dataclass(frozen=True)
class SlideWarning:
    """A warning about a finished slide, to be checked by a person.

    Attributes:
        code: Short name of the kind, such as ``LITTLE_TISSUE``.
        message: What was found and what to try.
    """

    code: str
    message: str


@dataclass(frozen=True)
class SlideOutcome:
    """The status of one slide.

    Attributes:
        slide_id: Identifier of the slide; name of its folder in OUT.
        path: File or folder of the slide.
        status: ``done``, ``kept`` (finished before, same plan), ``planned`` (dry run), ``failed``,
            ``skipped`` (too many others had failed), ``waiting`` or ``running`` (until it ends).
        code: Error code of a failed slide.
        message: Error message: what failed, where, what to do.
        place: Level, y, x of the tile; stage, row, column of the shard; as far as known.
        log: Last log lines.
        plan: Summary of the plan; empty if the slide did not open.
        seconds: Share of each stage in the duration of the slide, s; see
            :func:`wsipipe.pipeline.reporting.usage.wall_shares`.
        nuclei: Number of rows of the nuclei table; None without a table.
        warnings: Warnings to be checked by a person; the slide is finished nevertheless.
        networks: Precision, implementation and processor of each stage's network.
        usage: What the shards of each stage took in the workers.
        nuclei_summary: Counts of nuclei by type and positivity; empty without them.
        quality: Measures of the quality of the slide by name; empty where it was not measured.
    """

    slide_id: str
    path: Path
    status: str
    code: str = ""
    message: str = ""
    place: Place = field(default_factory=dict)
    log: tuple[str, ...] = ()
    plan: PlanEntry = field(default_factory=PlanEntry)
    seconds: dict[str, float] = field(default_factory=dict)
    nuclei: int | None = None
    warnings: tuple[SlideWarning, ...] = ()
    networks: dict[str, list[str]] = field(default_factory=dict)
    usage: dict[str, UsageEntry] = field(default_factory=dict)
    nuclei_summary: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> SlideEntry:
        """Return the entry for ``run.json``, without what was not measured."""
        entry = {**asdict(self), "path": str(self.path), "log": list(self.log)}
        for name in ("nuclei_summary", "quality"):
            if not entry[name]:
                del entry[name]
        return cast(SlideEntry, entry)

    @classmethod
    def from_json(cls, entry: SlideEntry) -> Self:
        """Read an entry of ``run.json``; unknown keys are ignored."""
        known: dict[str, Any] = {
            name: value for name, value in entry.items() if name in cls.__dataclass_fields__
        }
        warnings = tuple(SlideWarning(**each) for each in entry.get("warnings", ()))
        own = {"path": Path(entry["path"]), "log": tuple(entry.get("log", ())), "warnings": warnings}
        return cls(**known | own)

    def in_words(self) -> str:
        """Describe the outcome in one line."""
        if self.status == "failed":
            return f"FAILED {self.code}: {self.message}"
        if self.status == "planned":
            return f"planned, {sum(self.plan['shards'].values())} shards{self._precision()}"
        if self.status == "skipped":
            return "skipped, too many slides had failed"
        nuclei = f", {self.nuclei:,} nuclei" if self.nuclei is not None else ""
        if self.status == "kept":
            return f"kept, finished before with the same plan{nuclei}{self._precision()}"
        return f"done in {sum(self.seconds.values()):.1f} s{nuclei}{self._precision()}"

    def _precision(self) -> str:
        found = ", ".join(precisions(self.plan))
        return f", {found}" if found else ""


def precisions(plan: PlanEntry) -> list[str]:
    """List the precisions of a plan's networks, each once.

    Args:
        plan: Summary of a plan; that of version 0.1.0 has no parameters.
    """
    parameters = plan.get("parameters", {})
    sections = [section for section in parameters.values() if isinstance(section, dict)]
    return list(dict.fromkeys(section["precision"] for section in sections if "precision" in section))
