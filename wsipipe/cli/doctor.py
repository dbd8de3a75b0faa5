"""The command doctor: examine this machine."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsipipe.cli.shared import AsJson, app, console, print_json
from wsipipe.cli.versions import versions
from wsipipe.errors import ExitCode

if TYPE_CHECKING:
    from wsipipe.pipeline.doctor.finding import Finding

_STYLES = {"ok": "green", "note": "yellow", "failed": "red"}


@app.command()
def doctor(
    out: Annotated[Path, typer.Option("--out", help="Folder of results, whose disk is examined.")] = Path(),
    as_json: AsJson = False,
) -> int:
    """Examine this machine: readers, kernels, GPU, disk, workers.

    The exit code is 1 if something was found with which runs fail.
    """
    from wsipipe.pipeline.doctor.examine import examine

    found = []
    for finding in examine(out):
        found.append(finding)
        if not as_json:
            _show(finding, len(found) == 1 or finding.topic != found[-2].topic)
    failed = any(finding.state == "failed" for finding in found)
    if as_json:
        print_json({"versions": versions(), "findings": [asdict(finding) for finding in found]})
    else:
        notes = sum(finding.state == "note" for finding in found)
        console.print(_summary(failed, notes), soft_wrap=True)
    return int(ExitCode.FAILED if failed else ExitCode.OK)


def _show(finding: "Finding", is_first: bool) -> None:
    """Print one line, and the remedy on a second."""
    if is_first:
        console.print(finding.topic, style="bold")
    console.print(f"  {finding.state:6}", style=_STYLES[finding.state], end="")
    console.print(f"  {finding.name:29}  {finding.value}", soft_wrap=True)
    if finding.remedy:
        console.print(f"{'':39}  {finding.remedy}", soft_wrap=True)


def _summary(failed: bool, notes: int) -> str:
    if failed:
        return "Runs fail on this machine until the findings marked as failed are corrected."
    return f"wsipipe works on this machine{f'; notes above: {notes}' if notes else ''}."
