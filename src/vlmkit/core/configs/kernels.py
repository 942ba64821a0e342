"""Options of `vlmkit kernels`."""

from dataclasses import dataclass
from typing import ClassVar

from vlmkit.core.configs.fields import Action


@dataclass(frozen=True, kw_only=True)
class KernelsListConfig(Action):
    """List, build and check the compiled operations.

    Each operation has a plain-torch reference that serves wherever no compiled version is at hand.
    """

    command: ClassVar[str] = "kernels"
    action: ClassVar[str] = "list"
    examples: ClassVar[tuple[str, ...]] = ("vlmkit kernels", "vlmkit kernels list --json")


@dataclass(frozen=True, kw_only=True)
class KernelsBuildConfig(Action):
    """Compile every operation that this machine has a compiler for, now rather than at first use."""

    command: ClassVar[str] = "kernels"
    action: ClassVar[str] = "build"
    examples: ClassVar[tuple[str, ...]] = ("vlmkit kernels build", "VLMKIT_CACHE=/shared/cache vlmkit kernels build")


@dataclass(frozen=True, kw_only=True)
class KernelsCheckConfig(Action):
    """Run each compiled operation beside its reference; exit 1 if one is further off than plain torch allows."""

    command: ClassVar[str] = "kernels"
    action: ClassVar[str] = "check"
    examples: ClassVar[tuple[str, ...]] = ("vlmkit kernels check", "vlmkit kernels check --json")
