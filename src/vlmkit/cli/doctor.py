"""`vlmkit doctor`: what works on this machine."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.doctor import DoctorConfig

app = actions("doctor")


@command(app, DoctorConfig)
def run(config: DoctorConfig) -> object:
    """Check the machine."""
    from vlmkit.core.recipes.doctor import run

    return run(config)
