import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sits._discovery import all_estimators

# Chosen for speed, as scikit-learn does for its own estimators. Weights equal repetitions only
# where all series fit in one batch and nothing is dropped.
TRAINED = {"batch_size": 256, "device": "cpu"}
ATTENTION = {"n_reference_dates": 5, "dropout": 0, "date_dropout": 0, **TRAINED}
SMALL = {
    "LinearInterpolator": {},
    "MTANEncoder": {"max_iter": 20, "n_hidden": 16, "embedding_dim": 8, **ATTENTION},
    "MTANMLPClassifier": {"max_iter": 20, "n_members": 1, **ATTENTION},
    "MTANSVGPClassifier": {"max_iter": 20, "n_members": 2, "n_inducing": 8, **ATTENTION},
    "PhenologyVAERegressor": {
        "targets": "maturity",
        "n_hidden": 8,
        "n_blocks": 1,
        "pretrain_iter": 10,
        "batch_size": 16,
        "device": "cpu",
    },
    # Any number of columns is a band.
    "ProsailVAERegressor": {
        "sensor": None,
        "n_blocks": 1,
        "pretrain_iter": 10,
        "max_iter": 3,
        "n_simulations": 500,
        "batch_size": 64,
        "n_mc_samples": 4,
        "device": "cpu",
    },
    "SVGPClassifier": {"max_iter": 20, "n_inducing": 8, **TRAINED},
}
# Trained without y.
UNSUPERVISED = {"PhenologyVAERegressor", "ProsailVAERegressor"}
# Not run by check_estimator, but by scikit-learn on its own estimators.
EXTRA_CHECKS = ["check_dataframe_column_names_consistency", "check_param_validation"]
EXTRA_TRANSFORMER_CHECKS = [
    "check_inplace_ensure_writeable",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
]


def make_small(cls, seed):
    """Make a fast instance; an estimator without settings here is tested as it is."""
    estimator = cls(**SMALL.get(cls.__name__, {}))
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=seed)
    # Several members are checked once.
    if seed and "n_members" in estimator.get_params():
        estimator.set_params(n_members=1)
    return estimator


def instances(seed):
    found = [make_small(cls, seed) for _, cls in all_estimators()]
    return [one for one in found if not seed or "random_state" in one.get_params()]


# The data of the checks are no reflectances.
no_spectra = pytest.mark.filterwarnings(r"ignore:Training \d of at most 3 collapsed:UserWarning")


@no_spectra
@parametrize_with_checks(instances(0))
def test_common(estimator, check):
    check(estimator)


@no_spectra
@pytest.mark.slow
@parametrize_with_checks([*instances(1), *instances(2)])
def test_common_other_seeds(estimator, check):
    check(estimator)


def extra_cases():
    for estimator in instances(0):
        checks = EXTRA_CHECKS + EXTRA_TRANSFORMER_CHECKS * hasattr(estimator, "transform")
        for check in checks:
            yield pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check}")


@no_spectra
# Some of these checks fit on a table and transform an array on purpose.
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), list(extra_cases()))
def test_extra(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize(("name", "cls"), all_estimators())
def test_no_check_is_avoided_by_a_tag(name, cls):
    tags = make_small(cls, 0).__sklearn_tags__()
    assert tags.input_tags.two_d_array
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert not tags._skip_test
    assert tags.classifier_tags is None or not tags.classifier_tags.poor_score
    poor = tags.regressor_tags is not None and tags.regressor_tags.poor_score
    assert poor == (name in UNSUPERVISED)
