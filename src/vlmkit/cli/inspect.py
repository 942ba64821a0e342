"""`vlmkit inspect`: what an artifact is."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.inspect import InspectConfig

app = actions("inspect")


@command(app, InspectConfig)
def run(config: InspectConfig) -> object:
    """Show what lies at a path."""
    from vlmkit.core.recipes.inspect import run

    return run(config)
