"""Verbs about OUT: status, retry, verify, clean; and index, for the checksums of slides."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from wsipipe.cli.app import AsJson, DeviceName, Workers, app, complaints, console
from wsipipe.cli.run import Budget, print_run, with_progress
from wsipipe.errors import ExitCode

Results = Annotated[Path, typer.Argument(metavar="OUT", help="Folder that was given to --out.")]


@app.command()
def status(out: Results, as_json: AsJson = False) -> int:
    """Tells how far each slide of OUT is, also while a run works on it; fails if any slide has failed."""
    from wsipipe.inventory import status as status_of

    found = status_of(out)
    if as_json:
        console.print_json(json.dumps(found))
    else:
        console.print(f"worked on by {found['working']}" if found["working"] else "no run works on it")
        table = Table("slide", "status", "code", "shards in work", "what happened and what to do")
        for slide in found["slides"]:
            table.add_row(
                slide["slide_id"], slide["status"], slide["code"], str(slide["shards_done"]), slide["message"]
            )
        console.print(table)
    failed = any(slide["status"] in {"failed", "missing"} for slide in found["slides"])
    return int(ExitCode.SOME_SLIDES_FAILED if failed else ExitCode.OK)


@app.command()
def retry(
    out: Results,
    only: Annotated[str | None, typer.Option(help="Only slides that failed with this code.")] = None,
    workers: Workers = None,
    device: DeviceName = "auto",
    memory_budget: Budget = None,
) -> int:
    """Runs the slides of OUT again that failed, were skipped or interrupted; finished shards are kept."""
    from wsipipe.cli.run import budget_bytes
    from wsipipe.retry import retry as retry_slides
    from wsipipe.workflow import Resources

    resources = Resources(workers, device=device, memory_budget=budget_bytes(memory_budget))
    results = with_progress(lambda teller: retry_slides(out, only, resources, teller))
    for result in results:
        print_run(result, dry_run=False)
    if not results:
        console.print("nothing to retry")
    return max((int(result.exit_code) for result in results), default=int(ExitCode.OK))


@app.command()
def verify(out: Annotated[Path, typer.Argument(metavar="OUT", help="Results, or one slide in them.")]) -> int:
    """Hashes every file of every finished slide again and names the damaged ones, with their shards."""
    from wsipipe.inventory import damage, published

    damaged = 0
    for folder in published(out):
        lines = damage(folder)
        damaged += bool(lines)
        for line in lines:
            console.print(f"damaged or missing: {folder.name}/{line}", soft_wrap=True)
        state = "damaged; run the workflow again with --restart" if lines else "every file is as published"
        console.print(f"{folder}: {state}", soft_wrap=True)
    return int(ExitCode.FAILED if damaged else ExitCode.OK)


@app.command()
def clean(
    out: Results, yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False
) -> None:
    """Lists unfinished work and replaced results in OUT; deletes them with --yes."""
    from wsipipe.inventory import clean as delete
    from wsipipe.inventory import leftovers

    found = leftovers(out)
    for each in found:
        console.print(f"{each.size_bytes / 1e6:9.1f} MB  {each.path}: {each.what}", soft_wrap=True)
    if yes:
        delete(out, found)
    word = "deleted" if yes else "to delete; give --yes to do so"
    console.print(f"{sum(each.size_bytes for each in found) / 1e6:.1f} MB {word}" if found else "all clean")


@app.command()
def index(
    slides: Annotated[list[str], typer.Argument(help="Files, folders, globs, or a manifest CSV.")],
    to: Annotated[Path, typer.Option("--to", help="File to write, as sha256sum does.")] = Path("SHA256SUMS"),
) -> int:
    """Writes the SHA-256 of every file of the slides, for run --checksums; names those it cannot read."""
    from wsipipe.checksums import write_sums
    from wsipipe.tiling.collect import collect

    unreadable: list[str] = []
    count = write_sums(to, collect(list(slides)), unreadable.append)
    for text in unreadable:
        complaints.print(text, style="red", soft_wrap=True)
    console.print(f"{to}: {count} files", soft_wrap=True)
    return int(ExitCode.SOME_SLIDES_FAILED if unreadable else ExitCode.OK)
