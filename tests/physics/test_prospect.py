import numpy as np
import prosail
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch.autograd import gradcheck
from torch.testing import assert_close

from sklearn_sits.physics import Prosail
from sklearn_sits.physics.prospect import Prospect, leaf_tables, metadata

HIGHEST = np.array([120, 40, 10, 2, 0.1, 0.05])
DTYPES = [torch.float32, torch.float64]


def make_leaf(version="D", step=1):
    index, *absorption = leaf_tables(version)[:, ::step]
    return Prospect(index, np.array(absorption))


def reference(structure, contents, version="D"):
    rows = []
    for n, (cab, car, ant, cbrown, cw, cm) in zip(structure, contents, strict=True):
        # Where nothing is absorbed it divides by zero before it replaces the result.
        with np.errstate(all="ignore"):
            spectra = prosail.run_prospect(
                n, cab, car, cbrown, cw, cm, ant=ant, prospect_version=version
            )
        rows.append(spectra[1:])
    return np.moveaxis(rows, 1, 0)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 5e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("version", ["D", "5"])
def test_equals_the_reference(version, dtype, atol):
    rng = np.random.default_rng(0)
    structure, contents = rng.uniform(1, 3.5, 300), rng.uniform(0.001, 1, (300, 6)) * HIGHEST
    structure[:10] = 1
    inputs = (torch.tensor(x, dtype=dtype) for x in (structure, contents))
    leaf = make_leaf(version)(*inputs)
    assert leaf[0].dtype == leaf[1].dtype == dtype
    for found, expected in zip(leaf, reference(structure, contents, version), strict=True):
        assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("version", ["D", "5"])
def test_without_absorption_no_light_is_lost(version, dtype, atol):
    structure, contents = torch.linspace(1, 3.5, 26, dtype=dtype), torch.zeros(26, 6, dtype=dtype)
    reflectance, transmittance = make_leaf(version)(structure, contents)
    assert_close(reflectance + transmittance, torch.ones_like(reflectance), rtol=0, atol=atol)
    # The reference has a formula of its own for this case, right to some 1e-8.
    expected = reference(structure.tolist(), contents.tolist(), version)
    assert_allclose(reflectance, expected[0], rtol=0, atol=1e-7 + atol)
    assert_allclose(transmittance, expected[1], rtol=0, atol=1e-7 + atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0, 1e-12, 1e-4, 1, 100, 1e9])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_energy_and_gradients_anywhere(dtype, scale, seed):
    rng = np.random.default_rng(seed)
    structure, contents = 1 + 2.5 * rng.random(50), scale * rng.random((50, 6)) * HIGHEST
    structure[:10] = 1
    inputs = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in (structure, contents)]
    reflectance, transmittance = make_leaf(step=50)(*inputs)
    assert (reflectance + transmittance <= 1 + 1e-6).all()
    assert reflectance.min() > 0
    assert transmittance.min() >= -1e-6
    for output in (reflectance, transmittance):
        gradients = torch.autograd.grad(output.sum(), inputs, retain_graph=True)
        assert all(gradient.isfinite().all() for gradient in gradients)


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
@settings(max_examples=30)
def test_more_of_anything_absorbs_more(seed, column):
    rng = np.random.default_rng(seed)
    contents = np.tile(rng.random(6) * HIGHEST, (20, 1))
    contents[:, column] = np.linspace(0, HIGHEST[column], 20)
    structure = torch.full((20,), rng.uniform(1, 3.5)).double()
    leaf = make_leaf(step=20)(structure, torch.tensor(contents))
    absorbed = 1 - leaf[0] - leaf[1]
    assert (absorbed.diff(dim=0) >= -1e-12).all()
    assert (absorbed[-1] - absorbed[0]).max() > 1e-4


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_gradient(seed):
    rng = np.random.default_rng(seed)
    leaf, highest = make_leaf(step=400), torch.tensor(HIGHEST)
    unit = torch.tensor(rng.uniform(0.02, 1, (2, 7)), requires_grad=True)
    assert gradcheck(lambda u: leaf(1 + 2.5 * u[:, 0], highest * u[:, 1:]), unit)


def test_shapes():
    leaf = make_leaf(step=100)
    contents = torch.rand(4, 3, 6).double()
    found = leaf(torch.tensor(1.5).double(), contents)
    one = leaf(torch.tensor(1.5).double(), contents[2, 1])
    assert found[0].shape == found[1].shape == (4, 3, 22)
    assert_close((found[0][2, 1], found[1][2, 1]), one)


def test_tables_of_prospect5_have_no_anthocyanins():
    assert leaf_tables("D").shape == leaf_tables("5").shape == (7, 2101)
    assert not leaf_tables("5")[3].any()
    assert leaf_tables("D")[3].any()


@pytest.mark.parametrize("version", ["PRO", "4", 5, None])
def test_unknown_version(version):
    with pytest.raises(ValueError, match=f"leaf must be 'D' or '5', got {version!r}"):
        leaf_tables(version)
    with pytest.raises(ValueError, match="leaf must be 'D' or '5'"):
        Prosail(leaf=version)


@pytest.mark.parametrize("found", [None, "2.0.4"])
def test_prospect5_needs_the_package(found, monkeypatch):
    def version(name):
        assert name == "prosail"
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)
    message = rf"package prosail 2\.0\.5, found {found or 'none'}: pip install prosail==2\.0\.5"
    with pytest.raises(ImportError, match=message):
        Prosail(leaf="5")
    Prosail(leaf="D")
