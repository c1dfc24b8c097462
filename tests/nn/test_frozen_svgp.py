import pytest
import torch
from gaussian_processes import features, make_svgp
from torch.testing import assert_close


@pytest.mark.parametrize("n_equal", [0, 4])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_process(seed, n_equal):
    """Equal inducing points make the inverse of their covariance as large as it gets."""
    gp, z = make_svgp(seed), features(50)
    with torch.no_grad():
        gp.inducing_points[:, :n_equal] = gp.inducing_points[:, -1:]
        frozen = gp.freeze()
        for found, expected in zip(frozen(z), gp(z), strict=True):
            assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_equal", [0, 4])
def test_float32(n_equal):
    gp, z = make_svgp(), features(50)
    with torch.no_grad():
        gp.inducing_points[:, :n_equal] = gp.inducing_points[:, -1:]
        expected = gp.freeze()(z)
        found = gp.freeze().float()(z.float())
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


def test_parameters_may_change_afterwards():
    gp, z = make_svgp(), features()
    with torch.no_grad():
        frozen = gp.freeze()
        before = frozen(z)
        for parameter in gp.parameters():
            parameter.add_(1.0)
        for one, other in zip(frozen(z), before, strict=True):
            assert_close(one, other, rtol=0, atol=0)


def test_far_from_the_inducing_points_is_the_prior():
    gp = make_svgp()
    with torch.no_grad():
        mean, variance = gp.freeze()(features() + 1e3)
        assert_close(mean, gp.mean[:, None].expand_as(mean))
        assert_close(variance, gp.kernel.outputscale[:, None].expand_as(variance))
