"""Making what is ours known to transformers: the open_lm architecture, and our attentions with their masks."""

from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, AutoModel, AutoModelForCausalLM

OURS = ("open_lm",)  # model types that transformers knows only after `register`


def register() -> None:
    """Make `open_lm` and the attentions `vlmkit_…` known to transformers; calling it again changes nothing."""
    from vlmkit.core.models.attention import IMPLEMENTATIONS
    from vlmkit.core.models.open_lm import OpenLMConfig, OpenLMForCausalLM, OpenLMModel

    for name, (attention, mask) in IMPLEMENTATIONS.items():
        AttentionInterface.register(name, attention)
        AttentionMaskInterface.register(name, mask)
    AutoConfig.register("open_lm", OpenLMConfig, exist_ok=True)
    AutoModel.register(OpenLMConfig, OpenLMModel, exist_ok=True)
    AutoModelForCausalLM.register(OpenLMConfig, OpenLMForCausalLM, exist_ok=True)
