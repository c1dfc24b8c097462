import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from prosail.FourSAIL import foursail
from torch.autograd import gradcheck
from torch.testing import assert_close

from sklearn_sits.physics.leaf_angles import campbell
from sklearn_sits.physics.sail import absorbed_fraction, bidirectional_reflectance, gap_fraction

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = [torch.float32, torch.float64]


class Scene:
    """Random leaves, soils, canopies and directions; what is given is the same in all of them."""

    def __init__(self, seed=0, n=50, dtype=torch.float64, albedo=None, **fixed):
        rng = np.random.default_rng(seed)
        albedo = rng.uniform(0.01, 0.99, (n, 4)) if albedo is None else np.full((n, 4), albedo)
        share = rng.uniform(0.02, 0.98, (n, 4))
        columns = {
            "reflectance": albedo * share,
            "transmittance": albedo * (1 - share),
            "soil": rng.uniform(0, 0.9, (n, 4)),
            "angle": rng.uniform(1, 89, n),
            "lai": rng.uniform(0, 10, n),
            "hspot": rng.uniform(0.005, 1, n),
            "sun": rng.uniform(0, 80, n),
            "view": rng.uniform(0, 80, n),
            "azimuth": rng.uniform(0, 180, n),
        }
        for name, column in columns.items():
            value = np.broadcast_to(fixed.pop(name, column), column.shape)
            setattr(self, name, torch.tensor(value, dtype=dtype))
        assert not fixed
        self.names = list(columns)

    def __iter__(self):
        return (getattr(self, name) for name in self.names)

    @property
    def leaf(self):
        return self.reflectance, self.transmittance

    def seen(self):
        geometry = torch.stack([self.sun, self.view, self.azimuth], dim=-1)
        shares = campbell(self.angle)
        return bidirectional_reflectance(
            self.leaf, self.soil, shares, self.lai, self.hspot, geometry
        )

    def absorbed(self):
        return absorbed_fraction(self.leaf, self.soil, campbell(self.angle), self.lai, self.sun)

    def gap(self, direction="sun"):
        return gap_fraction(campbell(self.angle), self.lai, getattr(self, direction))

    def reference(self):
        """Reflectance, absorbed fraction and gap fraction of the package prosail."""
        results = []
        for r, t, soil, angle, *rest in zip(*(x.numpy() for x in self), strict=True):
            with np.errstate(all="ignore"):
                terms = foursail(r, t, angle, 0, 2, *rest, soil)
            tss, rdd, tsd, rsdt, rsot = (terms[i] for i in (0, 3, 6, 13, 17))
            absorbed = 1 - rsdt - (1 - soil) * (tss + tsd) / (1 - soil * rdd)
            results.append((rsot, absorbed, tss))
        return [np.array(x) for x in zip(*results, strict=True)]

    def gradients(self, result):
        inputs = [x.requires_grad_() for x in self]
        gradients = torch.autograd.grad(result().sum(), inputs, materialize_grads=True)
        for x in inputs:
            x.requires_grad_(False)
        return gradients


@given(SEEDS)
@settings(max_examples=10)
def test_equals_the_reference(seed):
    scene = Scene(seed)
    reflectance, absorbed, gap = scene.reference()
    assert_allclose(scene.seen(), reflectance, rtol=0, atol=1e-10)
    assert_allclose(scene.absorbed(), absorbed, rtol=0, atol=1e-10)
    assert_allclose(scene.gap(), gap, rtol=0, atol=1e-13)


@pytest.mark.parametrize("hspot", [0, 1e-6, 1e-3, 0.01, 0.1, 1, 10])
@pytest.mark.parametrize("azimuth", [0, 1e-2, 5, 90, 180])
@pytest.mark.parametrize("view", [0, 29, 30, 70])
def test_hot_spot_equals_the_reference(hspot, azimuth, view):
    # For both at zero see below.
    scene = Scene(hspot=hspot, sun=30.0 if hspot else 30.5, view=view, azimuth=azimuth)
    # The decay of the hot spot is limited to a millionth and a million.
    assert_allclose(scene.seen(), scene.reference()[0], rtol=0, atol=1e-6 if hspot > 1e-4 else 1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zenith", [0, 30])
def test_no_hot_spot_without_leaf_size(zenith, dtype):
    scene = Scene(hspot=0, sun=zenith, view=zenith, azimuth=0, dtype=dtype)
    expected = Scene(hspot=0, sun=zenith, view=zenith, azimuth=0).reference()[0]
    assert_allclose(scene.seen(), expected, rtol=0, atol=5e-6)


@given(SEEDS)
@settings(max_examples=20)
def test_retro_direction_is_the_maximum(seed):
    rng = np.random.default_rng(seed)
    # Towards the horizon any canopy is brighter, whatever its wide hot spot.
    zenith, angle, lai = rng.uniform(5, 50), rng.uniform(5, 85), rng.uniform(0.5, 8)
    hspot = rng.uniform(0.01, 0.2)
    scene = dict(seed=seed, angle=angle, lai=lai, hspot=hspot, sun=zenith, albedo=0.2, soil=0.1)
    # Same leaves everywhere, so that only the direction differs.
    scene |= dict(reflectance=0.1, transmittance=0.1)
    steps = np.linspace(-4, 4, 51)
    for around in (dict(azimuth=steps, view=zenith), dict(azimuth=0, view=zenith + steps)):
        reflectance = Scene(n=51, **scene, **around).seen()[:, 0]
        assert reflectance.argmax() == 25
    # As bright as if every leaf that is sunlit was seen: the path of one beam.
    scene |= dict(reflectance=0, transmittance=0)
    found = Scene(n=1, **scene, azimuth=0, view=zenith)
    assert_allclose(found.seen(), 0.1 * found.gap().expand(1, 4), rtol=1e-4)


@given(SEEDS)
@settings(max_examples=20)
def test_black_leaves_only_hide_the_soil(seed):
    scene = Scene(seed, albedo=0, hspot=1e-8)
    # The hot spot is that narrow only away from the sun.
    far = (scene.sun - scene.view).abs() > 1
    expected = scene.soil * (scene.gap("sun") * scene.gap("view")).unsqueeze(-1)
    assert_allclose(scene.seen()[far], expected[far], rtol=0, atol=1e-5)
    black = Scene(seed, albedo=0, soil=0)
    assert_close(black.absorbed(), (1 - black.gap()).unsqueeze(-1).expand(-1, 4))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-11)])
@given(SEEDS, st.sampled_from([0, 0.3, 1]))
@settings(max_examples=20)
def test_white_leaves_absorb_nothing(dtype, atol, seed, soil):
    # Over any soil: what the layer reflects and transmits of diffuse light adds up to one, too.
    scene = Scene(seed, albedo=1, soil=soil, dtype=dtype)
    assert_allclose(scene.absorbed(), 0, atol=atol)
    white = Scene(seed, albedo=1, soil=1, dtype=dtype)
    assert_allclose(white.absorbed(), 0, atol=atol)
    assert all(gradient.isfinite().all() for gradient in scene.gradients(scene.absorbed))
    assert all(gradient.isfinite().all() for gradient in scene.gradients(scene.seen))


@given(SEEDS)
@settings(max_examples=20)
def test_absorbed_fraction_lies_between_bounds(seed):
    scene = Scene(seed)
    absorbed, intercepted = scene.absorbed(), 1 - scene.gap()
    assert (absorbed >= 0).all()
    # All that is intercepted, and part of what the soil sends back.
    black = Scene(seed, soil=0)
    assert (black.absorbed() <= intercepted.unsqueeze(-1) + 1e-12).all()
    assert (absorbed >= black.absorbed() - 1e-12).all()
    assert (absorbed <= 1).all()


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@given(SEEDS)
@settings(max_examples=20)
def test_reciprocity(dtype, rtol, seed):
    scene = Scene(seed, dtype=dtype)
    forth = scene.seen()
    scene.sun, scene.view = scene.view, scene.sun
    assert_allclose(scene.seen(), forth, rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@given(SEEDS)
@settings(max_examples=20)
def test_azimuth_is_periodic_and_even(dtype, seed):
    scene = Scene(seed, dtype=dtype)
    expected, azimuth = scene.seen(), scene.azimuth
    for scene.azimuth in (-azimuth, 360 - azimuth, azimuth - 360):
        assert_allclose(scene.seen(), expected, rtol=1e-3 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@given(SEEDS)
@settings(max_examples=20)
def test_no_leaves(dtype, seed):
    scene = Scene(seed, lai=0, dtype=dtype)
    eps = torch.finfo(dtype).eps
    assert_allclose(scene.seen(), scene.soil, rtol=2 * eps)
    assert_allclose(scene.absorbed(), 0, atol=4 * eps)
    assert (scene.gap() == 1).all()
    assert all(gradient.isfinite().all() for gradient in scene.gradients(scene.seen))
    # A few leaves change little.
    few = Scene(seed, lai=1e-7, dtype=dtype)
    assert_allclose(few.seen(), scene.soil, rtol=0, atol=1e-5)


@given(SEEDS)
@settings(max_examples=20)
def test_no_pole_where_extinctions_are_equal(seed):
    # Leaves that reflect as much as they transmit extinguish diffuse light by sqrt(1 - albedo).
    rng = np.random.default_rng(seed)
    fixed = dict(angle=rng.uniform(30, 80), lai=rng.uniform(1, 8), sun=rng.uniform(0, 30))
    extinction = -Scene(n=1, **fixed).gap().log().item() / fixed["lai"]
    assume(extinction < 0.99)

    def scene(offset, **options):
        half = (1 - extinction**2) * (1 + offset) / 2
        return Scene(seed, n=1, reflectance=half, transmittance=half, **fixed, **options)

    middle = scene(0.0)
    for offset in (-1e-3, -1e-6, -1e-9, 1e-9, 1e-6, 1e-3):
        near, atol = scene(offset), 20 * abs(offset)
        assert_allclose(near.seen(), middle.seen(), rtol=0, atol=atol)
        assert_allclose(near.absorbed(), middle.absorbed(), rtol=0, atol=atol)
    assert_allclose(middle.seen(), middle.reference()[0], rtol=0, atol=1e-8)
    single = scene(0.0, dtype=torch.float32)
    assert_allclose(single.seen(), middle.seen(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_soil_that_makes_light_stays_finite(dtype):
    scene = Scene(albedo=1, lai=15, soil=1.8, dtype=dtype)
    reference = Scene(albedo=0.9999, lai=15, soil=1.8).reference()[0]
    # The reference, which divides by 1e-36 there.
    assert reference.max() > 1e30
    found = scene.seen()
    assert found.isfinite().all()
    assert found.max() < 1e4
    assert all(gradient.isfinite().all() for gradient in scene.gradients(scene.seen))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "fixed",
    [
        {"sun": 0, "view": 0},
        {"sun": 0, "view": 0, "azimuth": 0, "hspot": 0},
        {"sun": 40, "view": 40, "azimuth": 0},
        {"sun": 40, "view": 40, "azimuth": 360, "hspot": 0},
        {"sun": 87.5, "view": 87.5, "angle": 2.5},
        {"angle": 0},
        {"angle": 90, "sun": 0, "view": 0},
        {"albedo": 0},
        {"reflectance": 0.0, "transmittance": 1.0},
        {"reflectance": 1.0, "transmittance": 0.0},
        {"lai": 1e3},
        {"lai": 0, "hspot": 0, "soil": 0},
    ],
)
def test_finite_at_the_extremes(fixed, dtype):
    for soil in (0, 0.3, 1):
        scene = Scene(**({"soil": soil} | fixed), dtype=dtype)
        for result in (scene.seen, scene.absorbed, scene.gap):
            assert result().isfinite().all()
            assert all(gradient.isfinite().all() for gradient in scene.gradients(result))
        assert scene.absorbed().min() > -1e-5
        assert scene.absorbed().max() < 1 + 1e-5


@given(SEEDS)
@settings(max_examples=5)
def test_gradient(seed):
    scene = Scene(seed, n=2)
    inputs = [x.requires_grad_() for x in scene]

    def result(*values):
        for name, value in zip(scene.names, values, strict=True):
            setattr(scene, name, value)
        return scene.seen(), scene.absorbed(), scene.gap()

    assert gradcheck(result, inputs, rtol=1e-3, atol=1e-6)
