"""What lies at a path."""
from vlmkit.core.configs.inspect import InspectConfig
from vlmkit.core.io.job import Result


def run(config: InspectConfig) -> Result:
    """Describe a path."""
    return Result({"kind": "x", "things": [{"a": 1, "b": 2.5}], "deep": {"k": {"x": 1}}})
