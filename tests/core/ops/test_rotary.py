import torch

from vlmkit.core.ops.norm import gain_norm
from vlmkit.core.ops.rotary import angles, rotate


def test_rotation_turns_pairs_of_halves_as_complex_numbers():
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    positions = torch.tensor([[0, 1, 2, 3, 4], [7, 8, 9, 0, 1]])
    out = rotate(x, *angles(positions, width=8, dtype=torch.float64))
    turn = positions[:, None, :, None] * 10000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    expected = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(turn), turn)
    torch.testing.assert_close(out, torch.cat((expected.real, expected.imag), dim=-1))


def test_scores_depend_on_distances_only():
    q, k = torch.randn(2, 1, 1, 6, 16, dtype=torch.float64)
    near, far = torch.arange(6)[None], torch.arange(6)[None] + 1000
    scores = [
        rotate(q, *angles(p, width=16, dtype=q.dtype)) @ rotate(k, *angles(p, width=16, dtype=q.dtype)).mT
        for p in (near, far)
    ]
    torch.testing.assert_close(scores[0], scores[1])


def test_angles_of_far_positions_are_exact_in_low_precision():
    positions = torch.tensor([[4095]])
    exact, _ = angles(positions, width=64, dtype=torch.float64)
    low, _ = angles(positions, width=64, dtype=torch.bfloat16)
    assert (low.double() - exact).abs().max() < 0.005  # half a unit in the last place of bfloat16 at 1


def test_gain_norm_is_layer_norm_and_stays_low_under_autocast():
    x, gain = torch.randn(4, 6), torch.rand(6)
    expected = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * gain
    torch.testing.assert_close(gain_norm(x, gain), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gain_norm(x, gain).dtype == torch.bfloat16
