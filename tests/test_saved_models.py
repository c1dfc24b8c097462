"""Files of models name public modules only, so that they outlive the layout of the package."""

import json
import pickle
import pickletools
import zipfile

import numpy as np
import pytest
import skops.io
from numpy.testing import assert_array_equal
from small_estimators import DATA, ESTIMATORS, fit, make

import sklearn_sits
from sklearn_sits.physics import Sensor

PUBLIC = {
    "sklearn_sits",
    "sklearn_sits.datasets",
    "sklearn_sits.exceptions",
    "sklearn_sits.physics",
    "sklearn_sits.raster",
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted(request):
    return fit(request.param)


def apply(estimator):
    method = getattr(estimator, "predict_proba", getattr(estimator, "predict", None))
    return (method or estimator.transform)(DATA[type(estimator).__name__][0])


def modules_of_pickle(data):
    """Return the modules of this package that a pickle names."""
    texts = [arg for _, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
    return {text.split()[0] for text in texts if text.split(".")[0].split(" ")[0] == "sklearn_sits"}


@pytest.mark.parametrize("protocol", [2, pickle.DEFAULT_PROTOCOL])
def test_pickle_names_public_modules(fitted, protocol):
    data = pickle.dumps(fitted, protocol=protocol)
    assert "sklearn_sits" in modules_of_pickle(data) <= PUBLIC
    assert type(fitted).__name__.encode() in data
    assert_array_equal(apply(pickle.loads(data)), apply(fitted))


def test_skops_names_public_modules(fitted, tmp_path):
    skops.io.dump(fitted, tmp_path / "model.skops")
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        schema = json.loads(archive.read("schema.json"))
    named = {module for module in modules_of_skops(schema) if module.startswith("sklearn_sits")}
    assert "sklearn_sits" in named <= PUBLIC
    trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
    assert_array_equal(apply(loaded), apply(fitted))


def modules_of_skops(node):
    """Return the modules that a schema of skops names."""
    if isinstance(node, dict):
        own = {node["__module__"]} if "__module__" in node else set()
        return own.union(*map(modules_of_skops, node.values()))
    return set().union(*map(modules_of_skops, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_pickle_with_the_public_name_loads(name):
    """As it was written by hand: a class by its public name, and one parameter."""
    parameter = next(iter(make(name).get_params()))
    state = f"}}X{chr(len(parameter))}\0\0\0{parameter}K\7s".encode("latin-1")
    loaded = pickle.loads(b"\x80\2csklearn_sits\n" + name.encode() + b"\n)\x81" + state + b"b.")
    assert type(loaded) is getattr(sklearn_sits, name)
    assert getattr(loaded, parameter) == 7


def test_a_pickled_sensor_names_its_public_module():
    sensor = Sensor.load("Sentinel-2A", ["B4", "B8"])
    data = pickle.dumps(sensor)
    assert modules_of_pickle(data) == {"sklearn_sits.physics"}
    loaded = pickle.loads(data)
    assert loaded.bands == ("B4", "B8")
    assert np.array_equal(loaded.responses, sensor.responses)
