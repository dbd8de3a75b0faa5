"""Commands about results (status, retry, verify, clean) and checksums (index)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsipipe.cli.option_groups import grouped
from wsipipe.cli.run import print_runs, with_progress
from wsipipe.cli.run_options import MachineOptions
from wsipipe.cli.shared import (
    AsJson,
    Results,
    app,
    console,
    print_json,
    print_rows,
    stderr,
)
from wsipipe.errors import ConfigError, ExitCode, WsipipeError

if TYPE_CHECKING:
    from wsipipe.pipeline.maintenance import SlideStatus


@app.command()
def status(out: Results, as_json: AsJson = False) -> int:
    """Show the status of each slide in OUT.

    Also works during a run. Exits with an error code if any slide has failed.
    """
    from wsipipe.pipeline.maintenance import status as status_of

    found = status_of(out)
    if as_json:
        print_json(found)
    else:
        console.print(f"Active run: {found['working']}" if found["working"] else "No active run")
        for note in found["notes"]:
            console.print(note, soft_wrap=True)
        print_rows(
            ("slide", "status", "code", "unpublished shards", "message"),
            [_status_row(slide) for slide in found["slides"]],
        )
    failed = any(slide["status"] in {"failed", "missing"} for slide in found["slides"])
    return int(ExitCode.SOME_SLIDES_FAILED if failed else ExitCode.OK)


@app.command()
@grouped
def retry(
    out: Results,
    machine: MachineOptions,
    only: Annotated[str | None, typer.Option(help="Only slides that failed with this error code.")] = None,
    as_json: AsJson = False,
) -> int:
    """Rerun slides that failed, were skipped or were interrupted.

    Finished shards are kept.
    """
    from wsipipe.pipeline.retry import retry as retry_slides

    _check_code(only)
    results = with_progress(lambda reporter: retry_slides(out, only, machine.resources(), reporter), as_json)
    if results or as_json:
        print_runs(out, results, as_json)
    else:
        console.print("nothing to retry")
    return max((int(result.exit_code) for result in results), default=int(ExitCode.OK))


def _status_row(slide: "SlideStatus") -> tuple[str, ...]:
    warnings = [f"WARNING {warning['code']}: {warning['message']}" for warning in slide["warnings"]]
    message = " ".join([slide["message"], *warnings]).strip()
    return slide["slide_id"], slide["status"], slide["code"], str(slide["shards_done"]), message


def _check_code(code: str | None) -> None:
    """Refuse an unknown error code.

    Raises:
        ConfigError: The code is unknown; lists the known ones.
    """
    known = sorted(_codes(WsipipeError))
    if code is not None and code not in known:
        raise ConfigError(f"--only {code}: there is no such error code. Choose one of {', '.join(known)}.")


def _codes(error: type[WsipipeError]) -> set[str]:
    return {error.code}.union(*(_codes(child) for child in error.__subclasses__()))


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Results folder, or one slide's folder in it.")],
    as_json: AsJson = False,
) -> int:
    """Check the files of finished slides against their checksums.

    Lists damaged and missing files, with their shards.
    """
    from wsipipe.pipeline.maintenance import finished_slides, verify

    slides = []
    for folder in finished_slides(out):
        lines = verify(folder)
        slides.append({"slide_id": folder.name, "path": str(folder), "damaged": lines})
        if as_json:
            continue
        for line in lines:
            console.print(f"damaged or missing: {folder.name}/{line}", soft_wrap=True)
        state = "damaged; run the workflow again with --restart" if lines else "all files are intact"
        console.print(f"{folder}: {state}", soft_wrap=True)
    code = int(ExitCode.FAILED if any(slide["damaged"] for slide in slides) else ExitCode.OK)
    if as_json:
        print_json({"out": str(out), "exit_code": code, "slides": slides})
    return code


@app.command()
def clean(
    out: Results,
    yes: Annotated[bool, typer.Option("--yes", help="Delete the listed files and folders.")] = False,
    as_json: AsJson = False,
) -> None:
    """List unfinished work and replaced results in OUT.

    Deletes them with --yes.
    """
    from wsipipe.pipeline.maintenance import clean as delete
    from wsipipe.pipeline.maintenance import leftovers

    found = leftovers(out)
    if not as_json:
        for each in found:
            console.print(f"{each.size_bytes / 1e6:9.1f} MB  {each.path}: {each.what}", soft_wrap=True)
    if yes:
        delete(out, found)
    total = sum(each.size_bytes for each in found)
    if as_json:
        listed = [
            {"path": str(each.path), "what": each.what, "size_bytes": each.size_bytes} for each in found
        ]
        print_json({"out": str(out), "deleted": yes, "size_bytes": total, "leftovers": listed})
        return
    word = "deleted" if yes else "to delete; give --yes to do so"
    console.print(f"{total / 1e6:.1f} MB {word}" if found else "nothing to clean")


@app.command()
def index(
    slides: Annotated[list[str], typer.Argument(help="Files, folders, globs, or a manifest CSV.")],
    to: Annotated[
        Path, typer.Option("--to", dir_okay=False, help="File to write, in the format of sha256sum.")
    ] = Path("SHA256SUMS"),
) -> int:
    """Write the SHA-256 of every file of the slides.

    The file is for run --checksums. Slides that cannot be read are listed and left out.
    """
    from wsipipe.pipeline.planning.checksums import write_sums
    from wsipipe.tiling.collect import collect

    unreadable: list[str] = []
    count = write_sums(to, collect(list(slides)), unreadable.append)
    for text in unreadable:
        stderr.print(text, style="red", soft_wrap=True)
    console.print(f"{to}: {count} files", soft_wrap=True)
    return int(ExitCode.SOME_SLIDES_FAILED if unreadable else ExitCode.OK)
