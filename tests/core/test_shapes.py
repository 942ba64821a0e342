"""Axis letters are checked at public doors."""

import pytest
import torch

from vlmkit.core.shapes import dims


def test_letters_bind_and_must_agree():
    q, k = torch.zeros(2, 4, 8, 16), torch.zeros(2, 1, 9, 16)
    assert dims("B H S D, B K T D", q=q, k=k) == {"B": 2, "H": 4, "S": 8, "D": 16, "K": 1, "T": 9}
    with pytest.raises(ValueError, match=r"k has shape .* axis D is 15, but it was 16"):
        dims("B H S D, B K T D", q=q, k=k[..., :15])
    with pytest.raises(ValueError, match=r"\(B, C\) was asked for"):
        dims("B C", x=q)
    with pytest.raises(ValueError, match="axis 1 is 9"):
        dims("B K 1 D", k=k)
