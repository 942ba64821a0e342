"""The compiled operations of this machine: which there are, building them, checking them."""

import dataclasses

import torch

from vlmkit.core.configs.kernels import KernelsBuildConfig, KernelsCheckConfig, KernelsListConfig
from vlmkit.core.io.job import Result
from vlmkit.cuda import build as compiler
from vlmkit.cuda.operations import OPERATIONS

MARGIN = 2.0  # how much further off than plain torch a compiled operation may be
ROUNDING = 2.0**-23  # of the output in float32


def list_all(_config: KernelsListConfig) -> Result:
    """Each operation with its state for each target."""
    return Result({"kernels": states()})


def build(_config: KernelsBuildConfig) -> Result:
    """Compile each operation for each target that has a compiler here."""
    failed: dict[str, str] = {}
    for operation in OPERATIONS:
        for target in operation.targets:
            if compiler.find_compiler(target):
                try:
                    compiler.build(operation.name, target)
                except compiler.BuildError as error:
                    failed[f"{operation.name} ({target})"] = str(error)
    values: dict[str, object] = {"kernels": states()}
    return Result(values | ({"failed": failed} if failed else {}), ok=not failed)


def check(_config: KernelsCheckConfig) -> Result:
    """Each operation beside its reference, on every device that this machine has."""
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    rows: list[dict[str, object]] = []
    for operation in OPERATIONS:
        for device in (one for one in devices if one in operation.targets):
            ours, plain = operation.check(torch.device(device))
            found = compiler.status(operation.name, "cuda" if device == "cuda" else "cpu")
            good = ours <= MARGIN * plain + ROUNDING
            rows.append({"name": operation.name, "device": device, "compiled": found.state == "built"})
            rows[-1] |= {"difference": ours, "plain_difference": plain, "agrees": good}
    return Result({"checks": rows}, ok=all(row["agrees"] for row in rows))


def states() -> list[dict[str, object]]:
    """What stands for each operation and target."""
    return [
        {"summary": operation.summary, **dataclasses.asdict(compiler.status(operation.name, target))}
        for operation in OPERATIONS
        for target in operation.targets
    ]
