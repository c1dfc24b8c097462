"""Code of users that mypy checks and nobody runs: the hints of the public functions and classes."""

import warnings
from pathlib import Path
from typing import assert_type

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from sklearn.frozen import FrozenEstimator
from torch import Tensor

import sklearn_sits
from sklearn_sits import (
    LinearInterpolator,
    MTANEncoder,
    MTANMLPClassifier,
    MTANSVGPClassifier,
    PhenologyVAERegressor,
    ProsailVAERegressor,
    SVGPClassifier,
    load_prosail_vae,
    pack,
    pack_frame,
    reconstruction_score,
    unpack,
)
from sklearn_sits.classifiers import BaseMTANClassifier
from sklearn_sits.datasets import load_romania, make_phenology, make_prosail, make_sits
from sklearn_sits.displays import (
    AttentionDisplay,
    ImportanceDisplay,
    InterpolationDisplay,
    MapDisplay,
    ReliabilityDisplay,
    SeriesDisplay,
    TraitSeriesDisplay,
)
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.inspection import attention_weights, permutation_importance
from sklearn_sits.metrics import (
    AreaEstimates,
    accuracy_report,
    area_estimates,
    confusion_table,
    expected_calibration_error,
    reliability_curve,
)
from sklearn_sits.model_selection import (
    BlockKFold,
    find_duplicates,
    make_blocks,
    select_to_label,
    suspicious_labels,
)
from sklearn_sits.nn.heads import Head
from sklearn_sits.physics import (
    SENSORS,
    SIMULATION_PRIORS,
    Prior,
    Prosail,
    RadiativeTransferModel,
    Sensor,
    Trait,
    TruncatedNormal,
    Variable,
    overpass_time,
    sample_geometry,
    sample_variables,
    sun_angles,
)
from sklearn_sits.raster import (
    decode_stac,
    export_geotiff,
    map_uncertainty,
    open_map,
    pack_cube,
    predict_raster,
    read_stac_angles,
    read_stac_scale,
    sample_cube,
    sample_labels,
    write_map,
    write_vrt,
)


def series(frame) -> None:
    values = [[[0.1], [0.2]], [[0.3], [np.nan]]]
    assert_type(pack(values, ["2024-01-01", "2024-01-11"], origin="2024-01-01"), np.ndarray)
    ragged = [np.ones((3, 2)), np.ones((2, 2))]
    X = pack(ragged, [np.arange(3), np.arange(2)], static=[[0.0], [1.0]], dtype=np.float64)
    bands, dates, mask = unpack(X)
    assert_type(mask, np.ndarray)
    packed, ids = pack_frame(frame, id="field", date="date", bands=["red", "nir"], valid="clear")
    pack_frame(frame, id="field", date="date", bands=["red"], valid={"qa": ["red"]})
    assert_type(packed, np.ndarray)
    ids.astype(str)
    interpolator = LinearInterpolator(step=5, static_channels=(-2, -1)).fit(X)
    assert_type(interpolator, LinearInterpolator)
    assert_type(interpolator.transform(X), np.ndarray)
    assert_type(LinearInterpolator(dates=range(0, 365, 10)).get_feature_names_out(), np.ndarray)


def classifiers() -> None:
    X, y = make_sits(n_series=100, n_classes=3, dtype="float64", random_state=0)
    assert_type(X, np.ndarray)
    assert_type(y, np.ndarray)
    classifier = MTANSVGPClassifier(position_channels=(-2, -1), max_iter=10, device="cpu")
    assert_type(classifier.fit(X, y), MTANSVGPClassifier)
    assert_type(classifier.fit(X, list("abc"), sample_weight=np.ones(3)), MTANSVGPClassifier)
    assert_type(classifier.predict_proba(X), np.ndarray)
    assert_type(classifier.predict_log_proba(X), np.ndarray)
    assert_type(classifier.predict(X), np.ndarray)
    assert_type(classifier.transform(X), np.ndarray)
    assert_type(classifier.predict_latent(X), np.ndarray)
    mean, std = classifier.predict_latent(X, return_std=True)
    assert_type(std, np.ndarray)
    table = X.reshape(len(X), -1)
    machine = torch.device("cuda")
    svgp = SVGPClassifier(class_weight="balanced", device=machine).fit(table, y)
    assert_type(svgp, SVGPClassifier)

    encoder = MTANEncoder(random_state=np.random.RandomState(0)).fit(X)
    assert_type(encoder.transform(X), np.ndarray)
    assert_type(encoder.reference_dates_, np.ndarray)
    MTANMLPClassifier(encoder=FrozenEstimator(encoder), class_weight={"crop": 2.0, "tree": 1.0})
    MTANMLPClassifier(encoder=MTANEncoder(), n_members=3, embedding="linear")


class PrototypeHead(Head):
    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.prototypes = torch.nn.Parameter(torch.zeros(n_classes, n_features))

    def reset(self, z: Tensor, labels: Tensor, weight: Tensor, generator: torch.Generator) -> None:
        for k in labels.unique():
            self.prototypes.data[k] = z[labels == k].mean(0)

    def predict_log_proba(self, z: Tensor) -> Tensor:
        return (-((z[:, None] - self.prototypes) ** 2).mean(2)).log_softmax(1)

    def nll(self, z: Tensor, labels: Tensor) -> Tensor:
        return -self.predict_log_proba(z).gather(1, labels[:, None])[:, 0]


class PrototypeClassifier(BaseMTANClassifier):
    def _make_head(self, params, n_features, n_classes):
        return PrototypeHead(n_features, n_classes)


def extension(X: np.ndarray, y: np.ndarray) -> None:
    assert_type(PrototypeClassifier(max_iter=5).fit(X, y).predict(X), np.ndarray)


def traits() -> None:
    X, y = make_prosail(100, targets=["LAI"], random_state=0)
    assert_type(y, np.ndarray)
    frame, _ = make_prosail(100, variables="mixed", as_frame=True)
    model = ProsailVAERegressor(["LAI", "Cab"], sensor="Sentinel-2B", bands=("B4", "B8"))
    assert_type(model.fit(X), ProsailVAERegressor)
    assert_type(model.calibrate(X, y), ProsailVAERegressor)
    ProsailVAERegressor(objective="simulations").fit(None)
    model.predict(X).shape[0]
    assert_type(model.predict(X), np.ndarray)
    mean, std = model.predict(frame, return_std=True)
    assert_type(mean, np.ndarray)
    assert_type(std, np.ndarray)
    lower, upper = model.predict_interval(X, coverage=0.9)
    assert_type(lower, np.ndarray)
    assert_type(upper, np.ndarray)
    assert_type(model.sample(X, n_draws=5, random_state=0), np.ndarray)
    assert_type(model.quality(X), np.ndarray)
    assert_type(model.quality_flags_["extrapolated"], int)
    assert_type(model.reconstruct(X), np.ndarray)
    assert_type(load_prosail_vae("Landsat-8", targets=["LAI"]), ProsailVAERegressor)
    assert_type(reconstruction_score(model, X), float)
    ProsailVAERegressor(priors={"LAI": (0.0, 8.0), "N": Prior.uniform(1.0, 2.0)}, geometry="X")


def phenology() -> None:
    X, y = make_phenology(100, n_seasons=2, priors={"start": (60.0, 90.0)})
    model = PhenologyVAERegressor("all", channel=1, n_seasons=2, priors={"start": (60, 90)})
    assert_type(model.fit(X, y), PhenologyVAERegressor)
    mean, std = model.predict(X, return_std=True)
    assert_type(mean, np.ndarray)
    assert_type(model.reconstruct(X, dates=np.arange(365)), np.ndarray)
    assert_type(model.get_feature_names_out(), np.ndarray)


def romania() -> None:
    X, y = load_romania(years=2018, return_X_y=True)
    assert_type(X, np.ndarray)
    load_romania(years=(2018, 2019)).target.mean()


class Layer(RadiativeTransferModel):
    variables = (Variable("LAI", "m²/m²", 0.0, 4.0, "leaf area index"),)
    priors = {variable.name: Prior.uniform(*variable[2:4]) for variable in variables}
    bands = ("red", "nir")

    def forward(self, variables: Tensor, geometry: Tensor, *, check: bool = True) -> Tensor:
        return torch.exp(-variables)


def _double(model: Prosail, variables: Tensor, geometry: Tensor) -> Tensor:
    return 2 * variables[..., 6]


class Doubled(Prosail):
    derived = (*Prosail.derived, Trait("double", "", _double))


def physics() -> None:
    sensor = Sensor.from_responses([500.0, 550.0, 600.0], [[0.0, 1.0, 0.0]], ["green"])
    assert_type(sensor.select(["green"]), Sensor)
    assert_type(SENSORS, tuple[str, ...])
    model = Prosail(sensor, leaf="5", soil=np.full(2101, 0.2), quadrature="exact")
    canopies = sample_variables(10, SIMULATION_PRIORS, codistribution=False)
    angles = sample_geometry(10)
    assert_type(model.spectrum(canopies, angles), Tensor)
    assert_type(model.fapar(canopies, angles).mean(), Tensor)
    ProsailVAERegressor("LAI", decoder=Layer())
    ProsailVAERegressor("double", decoder=Doubled())
    assert_type(TruncatedNormal(0.0, torch.ones(3), 0.0, 1.0).rsample((5,)), Tensor)
    zenith, azimuth = sun_angles(overpass_time(["2024-06-01"], 43.6, [1.4]), 43.6, 1.4)
    assert_type(azimuth, np.ndarray)


def accuracy(y: np.ndarray, proba: np.ndarray) -> None:
    predictions = proba.argmax(1)
    accuracy_report(y, predictions, folds=np.zeros(len(y))).to_csv("report.csv")
    confusion_table(list("abc"), list("abb"))
    estimates = area_estimates(y, predictions, {"crop": 60.0, "tree": 30})
    assert_type(estimates, AreaEstimates)
    estimates.area.loc["crop"]
    assert_type(expected_calibration_error(y, proba, strategy="quantile"), float)
    prob_true, prob_pred, counts = reliability_curve(y, proba, pos_label="crop")
    assert_type(counts, np.ndarray)


def validation(X: np.ndarray, y: np.ndarray) -> None:
    positions = X[:, 0, -2:]
    blocks = make_blocks(positions[:, 0], positions[:, 1], (1000, 500))
    assert_type(blocks, np.ndarray)
    for train, test in BlockKFold(20_000, shuffle=True, random_state=0).split(X, y, positions):
        assert_type(train, np.ndarray)
        assert_type(test, np.ndarray)
    assert_type(BlockKFold(10.0).get_n_splits(), int)
    model = MTANSVGPClassifier().fit(X, y)
    assert_type(select_to_label(model.predict_proba(X), 10, random_state=0), np.ndarray)
    find_duplicates(X, y=y).head()
    suspicious_labels(model, X, y, groups=blocks, cv=BlockKFold(20_000)).sort_index()


def maps(cube: xr.Dataset, one: xr.DataArray, items: list, model: MTANSVGPClassifier) -> None:
    assert_type(pack_cube(cube, bands=["red"], static="dem", origin="2024-01-01"), np.ndarray)
    assert_type(sample_cube(cube, [[1.0, 2.0]], crs="EPSG:4326"), np.ndarray)
    X, y = sample_labels(cube, one, n_per_class=100, static=[one, "dem"])
    assert_type(y, np.ndarray)
    decoded = decode_stac(cube, items, ["red"])
    assert_type(decoded, xr.Dataset)
    assert_type(decode_stac(one, iter(items), ["red"], scale=1e-4), xr.DataArray)
    assert_type(read_stac_angles(items, cube), xr.Dataset)
    assert_type(read_stac_scale(items, ("red", "nir")), xr.Dataset)
    raster = predict_raster(model, cube, method="predict_proba", valid=one)
    assert_type(write_map(raster, Path("map.zarr"), colors={"crop": "#ffff00"}), xr.DataArray)
    assert_type(map_uncertainty(raster), xr.Dataset)
    export_geotiff(open_map("map.zarr"), "map.tif", crs=32631)
    write_vrt([Path("a.tif"), Path("b.tif")], "map.vrt")
    assert_type(MapDisplay.from_data(one, cmap="magma"), MapDisplay)


def inspection(model: MTANSVGPClassifier, X: np.ndarray, y: np.ndarray, ax: Axes) -> None:
    attention_weights(model, X, channel=2).weights.mean()
    bands = {"red": 1, "position": [-2, -1]}
    result = permutation_importance(model, X, y, by="both", bands=bands, windows=[0, 180, 365])
    assert_type(ImportanceDisplay.from_importances(result).plot(cmap="magma"), ImportanceDisplay)
    assert_type(ImportanceDisplay.from_estimator(model, X, y, n_repeats=2), ImportanceDisplay)
    assert_type(AttentionDisplay.from_estimator(model, X[0], ax=ax), AttentionDisplay)
    assert_type(InterpolationDisplay.from_estimator(model, X[0]).plot(), InterpolationDisplay)
    display = ReliabilityDisplay.from_estimator(model, X, y, n_bins=5)
    assert_type(display, ReliabilityDisplay)
    display.ax_.set_title("reliability")
    ReliabilityDisplay.from_predictions(y, model.predict_proba(X), pos_label="crop")
    assert_type(SeriesDisplay.from_data(X, y, origin=np.datetime64("2024-01-01")), SeriesDisplay)
    traits = TraitSeriesDisplay.from_estimator(
        load_prosail_vae(time_scale=30.0), X[0], phenology=PhenologyVAERegressor(), index=X[0]
    )
    assert_type(traits, TraitSeriesDisplay)


def warned() -> None:
    warnings.simplefilter("error", DataQualityWarning)


def version() -> str:
    return sklearn_sits.__version__
