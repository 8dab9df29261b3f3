"""`striate recipes`: named ways to train."""

from __future__ import annotations

from striate.cli.registry import command


@command(
    "recipes",
    help="List the training recipes; with a NAME, all its fields.",
    section="Reference",
    options={"name": "One recipe, to see its fields.", "json": "Print JSON, which --recipe FILE.json reads back."},
    complete={"name": "recipes"},
    examples=("striate recipes", "striate recipes digits --json > mine.json"),
)
def recipes(name: str | None = None, *, json: bool = False) -> None:
    """Read the table of recipes; torch is not imported."""
    from striate.cli.output import facts, print_json, say, table
    from striate.training import recipes as known

    if name is not None:
        fields = known.get(name).to_json()
        if json:
            print_json(fields)
            return
        facts(
            {
                field: ", ".join(map(str, value)) if isinstance(value, list) else value
                for field, value in fields.items()
                if value not in (None, [], {})
            }
        )
        say(f"Change a field: striate train --recipe {name} --set lr={fields['lr']}", style="dim")
        return
    found = [known.get(each) for each in known.names()]
    if json:
        print_json([recipe.to_json() for recipe in found])
        return
    rows = [[recipe.name, f"{recipe.epochs:g}", recipe.optimiser, known.help_of(recipe.name)] for recipe in found]
    table(["name", "epochs", "optimiser", "what for"], rows)
    say("All of one: striate recipes NAME", style="dim")
