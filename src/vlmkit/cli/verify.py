"""`vlmkit verify`: whether an artifact is intact."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.verify import VerifyConfig

app = actions("verify")


@command(app, VerifyConfig)
def run(config: VerifyConfig) -> object:
    """Re-check digests."""
    from vlmkit.core.recipes.verify import run

    return run(config)
