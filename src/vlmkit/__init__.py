"""vlmkit: composable commands for training, hardening and serving language and vision-language models."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmkit.core.models.register import register as register


def __getattr__(name: str) -> object:
    if name == "register":
        from vlmkit.core.models.register import register

        return register
    raise AttributeError(f"module 'vlmkit' has no attribute '{name}'")
