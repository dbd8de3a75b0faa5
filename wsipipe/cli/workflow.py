"""Commands about workflow files: list, show, check, schema."""

from typing import Annotated

import typer

from wsipipe.cli.run_options import Settings
from wsipipe.cli.shared import AsJson, app, console, print_json, print_rows

workflow = typer.Typer(no_args_is_help=True, help="Workflow files: list, show, check, and their JSON Schema.")
app.add_typer(workflow, name="workflow")

NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="Name of a shipped workflow, or a YAML file.")
]


@workflow.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the shipped workflows."""
    from wsipipe.stages.workflow import load_workflow, workflow_names

    found = [load_workflow(name) for name in workflow_names()]
    if as_json:
        print_json([{"name": each.name, "description": each.description} for each in found])
        return
    print_rows(("name", "description"), [(each.name, each.description) for each in found])


@workflow.command()
def show(name: NameOrFile, settings: Settings = None, as_json: AsJson = False) -> None:
    """Print a workflow with every value and a comment for every key.

    Values that the file leaves open are those of the card of the weights; where weights are chosen for each
    slide, values that follow from them stay open. The text is itself a workflow file.
    """
    from wsipipe.stages.flow import completed, workflow_cards
    from wsipipe.stages.workflow import load_workflow
    from wsipipe.stages.workflow_text import as_yaml, shown_values

    chosen = load_workflow(name, settings)
    resolved = completed(chosen, workflow_cards(chosen))
    if as_json:
        print_json(shown_values(resolved))
        return
    typer.echo(as_yaml(resolved), nl=False)


@workflow.command()
def check(file: NameOrFile, settings: Settings = None) -> None:
    """Check a workflow file and its weights."""
    from wsipipe.pipeline.planning.weight_choice import SECTION, weight_chooser
    from wsipipe.stages.flow import completed, workflow_cards
    from wsipipe.stages.workflow import load_workflow

    chosen = load_workflow(file, settings)
    cards = workflow_cards(chosen)
    completed(chosen, cards)
    names = {section: card.name for section, card in cards.items()}
    if chooser := weight_chooser(chosen, cards):
        names[SECTION] = " or ".join(each.card.name for each in chooser.candidates)
    weights = ", ".join(f"{section} with {name}" for section, name in names.items()) or "no network"
    console.print(f"{file}: the workflow {chosen.name} is valid: {weights}", soft_wrap=True)


@workflow.command()
def schema() -> None:
    """Print the JSON Schema of workflow files, for editors.

    It has the sections that installed packages add. Save it, and name it in the first line of a workflow:
    # yaml-language-server: $schema=workflow.schema.json
    """
    from wsipipe.stages.workflow_text import as_schema

    print_json(as_schema())
