"""What lies at a path."""

from vlmkit.core.configs.inspect import InspectConfig
from vlmkit.core.io.describe import describe
from vlmkit.core.io.job import Result


def run(config: InspectConfig) -> Result:
    """Describe a path: what it is, how large, where it came from, and a few rows."""
    return Result(describe(config.path, config.rows))
