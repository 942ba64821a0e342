"""`vlmkit sample`: inputs to try the other commands on."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.sample import SampleConfig

app = actions("sample", default="run")


@command(app, SampleConfig)
def run(config: SampleConfig) -> object:
    """Make a sample."""
    from vlmkit.core.recipes.sample import run

    return run(config)
