"""What became of one slide of a run."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from wsipipe.errors import Place


@dataclass(frozen=True)
class SlideWarning:
    """Something about a finished slide that a person should look at.

    Attributes:
        code: Short name of the kind, as ``LITTLE_TISSUE``.
        message: What was found and what to try.
    """

    code: str
    message: str


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one slide.

    Attributes:
        slide_id: Its folder in OUT.
        path: The slide.
        status: ``done``, ``kept`` (finished before, same plan), ``planned`` (dry run), ``failed``,
            ``skipped`` (too many others had failed), ``waiting`` or ``running`` (until it ends).
        code: Error code of a failed slide.
        message: Its paragraph: what, where, what to do.
        place: Level, y, x of the tile; stage, row, column of the shard; where they are known.
        log: Last lines of what happened to it.
        plan: What was planned, where the slide opened.
        seconds: By stage.
        nuclei: Rows of the table; None without one.
        warnings: What a person should look at; the slide is finished all the same.
        networks: By stage, what its network ran with: precision, implementation and processor.
    """

    slide_id: str
    path: Path
    status: str
    code: str = ""
    message: str = ""
    place: Place = field(default_factory=dict)
    log: tuple[str, ...] = ()
    plan: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    nuclei: int | None = None
    warnings: tuple[SlideWarning, ...] = ()
    networks: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {**asdict(self), "path": str(self.path), "log": list(self.log)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """From ``run.json``; keys of other versions are passed over."""
        known = {name: entry[name] for name in cls.__dataclass_fields__ if name in entry}
        warnings = tuple(SlideWarning(**each) for each in entry.get("warnings", ()))
        own = {"path": Path(entry["path"]), "log": tuple(entry.get("log", ())), "warnings": warnings}
        return cls(**known | own)

    def in_words(self) -> str:
        """The outcome as one line."""
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


def precisions(plan: dict[str, Any]) -> list[str]:
    """The precisions of a plan's networks, each once; empty without networks.

    Args:
        plan: Summary of a plan, as ``run.json`` keeps it; one of version 0.1.0 has no parameters.
    """
    parameters = plan.get("parameters", {})
    sections = [section for section in parameters.values() if isinstance(section, dict)]
    return list(dict.fromkeys(section["precision"] for section in sections if "precision" in section))
