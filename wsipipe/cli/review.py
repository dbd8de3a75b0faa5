"""Verbs about looking and correcting: view, and review status, merge, export, import."""

import os
from pathlib import Path
from typing import Annotated

import typer

from wsipipe.cli.shared import AsJson, app, console, print_json

review = typer.Typer(no_args_is_help=True, help="Corrections of finished slides: journals, merging, export.")
app.add_typer(review, name="review")

Slide = Annotated[Path, typer.Argument(help="OUT/SLIDE, or its slide.zarr.")]
User = Annotated[str | None, typer.Option(help="Reviewer; default the login name.")]
Reviews = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Folder of journals, if not OUT/SLIDE/reviews (read-only disks)."),
]


@app.command()
def view(
    path: Annotated[Path, typer.Argument(help="OUT, OUT/SLIDE, its slide.zarr, or any slide file.")],
    user: User = None,
    reviews: Reviews = None,
    review: Annotated[bool, typer.Option(help="With the panel for corrections.")] = True,
) -> None:
    """Opens results or a slide in napari, with the review panel: look, correct, lose nothing."""
    from wsipipe.review.gui.viewer import view as open_window

    open_window(path, user, reviews, review)


@review.command()
def status(slide: Slide, reviews: Reviews = None, as_json: AsJson = False) -> None:
    """Lists the journals of a slide: reviewer, acts in force, nuclei touched."""
    from wsipipe.review import Session
    from wsipipe.review.journal.journal import SUFFIX
    from wsipipe.review.published import open_source
    from wsipipe.review.slide import reviews_folder

    rows = []
    folder = reviews_folder(open_source(slide), reviews)
    # Listed and not globbed, which passes over a folder that may not be read.
    names = sorted(os.listdir(folder)) if folder.exists() else []
    for path in (folder / name for name in names if name.endswith(SUFFIX)):
        with Session.open(slide, path.stem, reviews, read_only=True) as session:
            state = session.state
            rows.append({"user": path.stem, "acts": len(state.done), "nuclei": len(state.touched)})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        console.print(f"{row['user']}: {row['acts']} acts on {row['nuclei']} nuclei")
    if not rows:
        console.print(f"{slide} was not reviewed yet; begin with wsipipe view {slide}", soft_wrap=True)


@review.command()
def merge(
    slide: Slide,
    one: Annotated[str, typer.Argument(help="A reviewer.")],
    other: Annotated[str, typer.Argument(help="Another reviewer.")],
    into: Annotated[str, typer.Option(help="Name of the merged review.")] = "merged",
    prefer: Annotated[
        str | None, typer.Option(help="Reviewer who wins conflicts; else they stay as published.")
    ] = None,
    reviews: Reviews = None,
    as_json: AsJson = False,
) -> None:
    """Combines two reviews, lists their conflicts, and tells how well the reviewers agree."""
    from dataclasses import asdict

    from wsipipe.review import Session
    from wsipipe.review.agreement import agreement
    from wsipipe.review.merge import merge_reviews

    with (
        Session.open(slide, one, reviews, read_only=True) as first,
        Session.open(slide, other, reviews, read_only=True) as second,
    ):
        agree = agreement(first, second)
        merged = merge_reviews(first, second, into, prefer)
    conflicts = [asdict(conflict) for conflict in merged.conflicts]
    if as_json:
        print_json({"taken": merged.taken, "conflicts": conflicts, "agreement": agree})
        return
    console.print(f"{merged.journal}: {merged.taken} acts, {len(conflicts)} conflicts", soft_wrap=True)
    for conflict in merged.conflicts:
        told = f"{one}: {', '.join(conflict.one)}; {other}: {', '.join(conflict.other)}"
        console.print(f"  y {conflict.place[0]}, x {conflict.place[1]}: {told}", soft_wrap=True)
    console.print(f"kappa {_said(agree['kappa'])} over {agree['judged']} nuclei that both judged")
    for name, value in agree["kappa_by_class"].items():
        console.print(f"  {name}: kappa {_said(value)}")
    for what in ("nuclei", "tissue"):
        for name, value in agree[f"{what}_dice_by_class"].items():
            console.print(f"  {what}, {name}: Dice {_said(value)}")


@review.command()
def export(slide: Slide, user: User = None, reviews: Reviews = None, as_json: AsJson = False) -> None:
    """Writes reviewed labels, table, GeoJSON, summary and a training set into reviews/USER."""
    from wsipipe.review import Session
    from wsipipe.review.export import export_review

    with Session.open(slide, user, reviews, read_only=True) as session:
        exported = export_review(session)
    if as_json:
        print_json(exported.summary)
        return
    nuclei = ", ".join(f"{count:,} {status}" for status, count in exported.summary["nuclei"].items())
    console.print(f"{exported.folder}: nuclei: {nuclei}", soft_wrap=True)
    seen, fields = exported.summary["seen_mm2"], exported.summary["training_fields"]
    console.print(f"seen {seen} of {exported.summary['slide_mm2']} mm2; {fields} fields to learn from")


@review.command(name="import")
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON that was edited in QuPath.")
    ],
    slide: Slide,
    user: User = None,
    reviews: Reviews = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Nuclei that the file lacks were deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Makes acts of a journal of what a GeoJSON file changes."""
    from wsipipe.review import Session
    from wsipipe.review.geojson_import import LEFT_OUT, import_geojson

    with Session.open(slide, user, reviews) as session:
        done = import_geojson(session, file, complete)
    if as_json:
        print_json(dict(done))
        return
    acts = [f"{count:,} {kind}" for kind, count in sorted(done.items()) if not kind.startswith(LEFT_OUT)]
    console.print(f"{file}: {', '.join(acts) or 'nothing was changed'}", soft_wrap=True)
    for kind, count in sorted(done.items()):
        if kind.startswith(LEFT_OUT):
            console.print(f"  {count:,} {kind}", soft_wrap=True)
    if done["missing"]:
        console.print("Missing nuclei were kept; say --complete if they were deleted on purpose.")


def _said(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
