import pytest
import torch
from torch import nn

from sklearn_sits.nn.calibrated_encoder import CalibratedEncoder


class FixedEncoder(nn.Module):
    """Distributions of one width, whose means follow the first input."""

    def __init__(self, scale, n_latents=4):
        super().__init__()
        self.scale, self.n_latents = scale, n_latents

    def forward(self, inputs):
        self.inputs = inputs
        loc = torch.sigmoid(inputs[:, :1]).expand(-1, self.n_latents)
        return loc, torch.full_like(loc, self.scale)


def make(before=None, n_bands=3):
    pretrained = None if before is None else FixedEncoder(before)
    return CalibratedEncoder(FixedEncoder(0.1), n_bands, 4, 2, pretrained)


def residuals(n=4000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.tensor([[0.01, 0.0, 0.0], [0.02, 0.005, 0.0], [0.0, 0.001, 0.03]])
    return torch.randn(n, 3, generator=generator) @ factor.T


def test_angles_are_seen_as_cosines():
    module = make()
    module(torch.full((1, 3), 0.3), torch.tensor([[60.0, 0.0, 180.0]]))
    expected = torch.tensor([[0.3, 0.3, 0.3, 0.5, 1.0, -1.0]])
    torch.testing.assert_close(module.encoder.inputs, expected)


def test_whitening():
    module = make()
    errors = residuals()
    module.learn_residuals(errors)
    white = errors @ module.whitening
    covariance = white.T @ white / len(white)
    torch.testing.assert_close(covariance, torch.eye(3), rtol=0, atol=0.01)
    size = white.square().mean(1).sqrt()
    torch.testing.assert_close(module.median_residual, size.median())


def test_whitening_of_a_band_without_errors():
    module = make()
    errors = residuals()
    errors[:, 1] = 0.0
    module.learn_residuals(errors)
    assert torch.isfinite(module.whitening).all()
    assert torch.isfinite(module.misfit(errors)).all()


def test_misfit_is_one_for_simulations_and_grows():
    module = make()
    errors = residuals()
    module.learn_residuals(errors)
    found = module.misfit(errors)
    assert found.median() == pytest.approx(1.0, abs=1e-3)
    sizes = [module.misfit(factor * errors).median().item() for factor in (0.0, 1.0, 3.0, 10.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1
    # Proportional to the residuals where these are large.
    large = module.misfit(1e4 * errors) / module.misfit(1e3 * errors)
    torch.testing.assert_close(large, torch.full_like(large, 10.0), rtol=1e-3, atol=0)


def test_misfit_of_one_by_hand():
    module = make()
    module.median_residual.fill_(2.0)
    found = module.misfit(torch.tensor([[1.0, 2.0, 2.0]]))
    assert found.item() == pytest.approx(((1 + 3) / (1 + 4)) ** 0.5)


@pytest.mark.parametrize(("before", "ratio"), [(0.1, 1.0), (0.05, 1.0), (0.2, None)])
def test_pretraining_width_ratio(before, ratio):
    """Distributions are never narrowed by the comparison."""
    module = make(before)
    spectra, angles = torch.zeros(5, 3), torch.zeros(5, 3)
    std = torch.full((5, 4), 0.1)
    found = module.pretraining_width_ratio(spectra, angles, std)
    assert found.shape == (5, 4)
    assert (found >= 1).all()
    if ratio is None:
        # Of a normal distribution of that width, little of which is cut off.
        torch.testing.assert_close(found, torch.full_like(found, 2.0), rtol=0.05, atol=0)
    else:
        torch.testing.assert_close(found, torch.full_like(found, ratio))


def test_state_has_the_buffers():
    names = {name for name in make().state_dict() if not name.startswith("domain.")}
    assert names == {
        "whitening",
        "median_residual",
        "simulation_factor",
        "measurement_factor",
        "measurement_offset",
        "measurement_slope",
        "log_std",
        "error_correlation",
        "copula_factor",
        "largest_misfit",
    }
    assert make().copula_factor.shape == (2, 2)
