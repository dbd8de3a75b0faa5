"""Commands for viewing and reviewing results."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsipipe.cli.shared import AsJson, app, console, print_json, stderr

if TYPE_CHECKING:
    from wsipipe.review.gui.reference import Reference

review = typer.Typer(no_args_is_help=True, help="Review of finished slides: journals, merging, export.")
app.add_typer(review, name="review")

Slide = Annotated[Path, typer.Argument(help="OUT/SLIDE, or its slide.zarr.")]
User = Annotated[str | None, typer.Option(help="Name of the reviewer (default: the login name).")]
Reviews = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of journals, if not OUT/SLIDE/reviews, for example for a read-only disk.",
    ),
]


@app.command()
def view(
    path: Annotated[Path, typer.Argument(help="OUT, OUT/SLIDE, its slide.zarr, or a slide file.")],
    user: User = None,
    reviews: Reviews = None,
    review: Annotated[bool, typer.Option(help="Show the review panel.")] = True,
    other: Annotated[
        Path | None,
        typer.Option(
            "--with",
            help="Other nuclei of the slide as a second layer: a result, a label file or GeoJSON, as for "
            "compare.",
        ),
    ] = None,
) -> None:
    """Open results or a slide in napari, with the review panel."""
    stderr.print(f"Opening {path} ...", soft_wrap=True)
    from wsipipe.review.gui.viewer import view as open_window

    reference = _reference(path, other) if other else None
    open_window(path, user, reviews, review, reference, lambda text: stderr.print(text, soft_wrap=True))


def _reference(path: Path, other: Path) -> "Reference":
    """Open the nuclei of another source on the grid of a result.

    Raises:
        ConfigError: They cannot be read, or the folder is not that of one slide.
    """
    from wsipipe.errors import ConfigError
    from wsipipe.results.compare.nuclei_map import open_other
    from wsipipe.review.gui.reference import Reference
    from wsipipe.review.published import open_published
    from wsipipe.review.recognise import is_result

    if not is_result(path):
        raise ConfigError(f"--with cannot be shown: {path} is not the result of one slide. Name OUT/SLIDE.")
    found = open_other(other, open_published(path))
    return Reference(f"reference: {other.name}", found.read)


@review.command()
def status(slide: Slide, reviews: Reviews = None, as_json: AsJson = False) -> None:
    """List journals: reviewer, edits in force, nuclei touched."""
    from wsipipe.review.journal.journal_file import SUFFIX
    from wsipipe.review.journals import reviews_folder
    from wsipipe.review.published import open_published
    from wsipipe.review.slide import ReviewedSlide

    rows = []
    folder = reviews_folder(open_published(slide), reviews)
    # Path.glob would ignore a folder without read permission.
    names = sorted(os.listdir(folder)) if folder.exists() else []
    for path in (folder / name for name in names if name.endswith(SUFFIX)):
        history = ReviewedSlide.open(slide, path.stem, reviews).history
        rows.append({"user": path.stem, "acts": len(history.done), "nuclei": len(history.touched)})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        console.print(f"{row['user']}: {row['acts']} edits on {row['nuclei']} nuclei")
    if not rows:
        console.print(f"{slide} was not reviewed yet; start with wsipipe view {slide}", soft_wrap=True)


@review.command()
def merge(
    slide: Slide,
    one: Annotated[str, typer.Argument(help="First reviewer.")],
    other: Annotated[str, typer.Argument(help="Second reviewer.")],
    into: Annotated[str, typer.Option(help="Name of the merged review.")] = "merged",
    prefer: Annotated[
        str | None,
        typer.Option(help="Reviewer whose edits are taken in conflicts (default: leave as published)."),
    ] = None,
    reviews: Reviews = None,
    as_json: AsJson = False,
) -> None:
    """Merge two reviews; report conflicts and agreement."""
    from dataclasses import asdict

    from wsipipe.review.agreement import agreement
    from wsipipe.review.merge import merge_reviews
    from wsipipe.review.slide import ReviewedSlide

    first, second = (ReviewedSlide.open(slide, user, reviews) for user in (one, other))
    agree = agreement(first, second)
    merged = merge_reviews(first, second, into, prefer)
    conflicts = [asdict(conflict) for conflict in merged.conflicts]
    if as_json:
        print_json({"taken": merged.edit_count, "conflicts": conflicts, "agreement": agree})
        return
    console.print(f"{merged.journal}: {merged.edit_count} edits, {len(conflicts)} conflicts", soft_wrap=True)
    for conflict in merged.conflicts:
        edits = f"{one}: {', '.join(conflict.one)}; {other}: {', '.join(conflict.other)}"
        console.print(f"  y {conflict.place[0]}, x {conflict.place[1]}: {edits}", soft_wrap=True)
    console.print(f"kappa {_number(agree['kappa'])} over {agree['judged']} nuclei that both judged")
    for name, value in agree["kappa_by_class"].items():
        console.print(f"  {name}: kappa {_number(value)}")
    for name, value in agree["nuclei_dice_by_class"].items():
        console.print(f"  nuclei, {name}: Dice {_number(value)}")
    for name, value in agree["tissue_dice_by_class"].items():
        console.print(f"  tissue, {name}: Dice {_number(value)}")


@review.command()
def export(slide: Slide, user: User = None, reviews: Reviews = None, as_json: AsJson = False) -> None:
    """Export labels, table, GeoJSON and training set to reviews/USER."""
    from wsipipe.review.export import export_review
    from wsipipe.review.slide import ReviewedSlide

    exported = export_review(ReviewedSlide.open(slide, user, reviews))
    if as_json:
        print_json(exported.summary)
        return
    nuclei = ", ".join(f"{count:,} {status}" for status, count in exported.summary["nuclei"].items())
    console.print(f"{exported.folder}: nuclei: {nuclei}", soft_wrap=True)
    visited, fields = exported.summary["seen_mm2"], exported.summary["training_fields"]
    console.print(f"visited {visited} of {exported.summary['slide_mm2']} mm2; {fields} training fields")


@review.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON edited in QuPath.")],
    slide: Slide,
    user: User = None,
    reviews: Reviews = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Delete nuclei that are not in the file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import the differences in a GeoJSON file from QuPath."""
    from wsipipe.review import Session
    from wsipipe.review.geojson_import import LEFT_OUT, import_geojson

    with Session.open(slide, user, reviews) as session:
        done = import_geojson(session, file, complete)
    if as_json:
        print_json(dict(done))
        return
    edits = [f"{count:,} {kind}" for kind, count in sorted(done.items()) if not kind.startswith(LEFT_OUT)]
    console.print(f"{file}: {', '.join(edits) or 'nothing changed'}", soft_wrap=True)
    for kind, count in sorted(done.items()):
        if kind.startswith(LEFT_OUT):
            console.print(f"  {count:,} {kind}", soft_wrap=True)
    if done["missing"]:
        console.print("Missing nuclei were kept; use --complete if they were deleted on purpose.")


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
