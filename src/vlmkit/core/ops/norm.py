"""Layer normalisation with a gain and no bias, computed in the number format of autocast (OpenLM's gain_only_lp).

torch would compute it in float32 under autocast; OpenLM's low-precision norm does not, and its models are trained so.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def gain_norm(x: Tensor, gain: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Normalise the last axis of x (…, E) to mean 0 and variance 1, then scale it by gain (E)."""
    kind = x.device.type
    if not torch.is_autocast_enabled(kind):
        return F.layer_norm(x, gain.shape, gain, None, eps)
    low = torch.get_autocast_dtype(kind)
    with torch.autocast(kind, enabled=False):
        return F.layer_norm(x.to(low), gain.shape, gain.to(low), None, eps)
