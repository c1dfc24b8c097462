"""Random wrong inputs to every estimator: each ends in a clear error or in a finite answer.

A case is its seed: ``run(Case(seed))`` repeats it, and ``str(Case(seed))`` says what it does.
"""

import copy
import datetime
import functools
import inspect
import re
import traceback
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from small_estimators import DATA, ESTIMATORS, fit, make

N_CASES = 2000
CASES_PER_TEST = 50
NAN = np.nan

METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "predict_latent",
    "predict_interval",
    "sample",
    "transform",
    "reconstruct",
    "calibrate",
)
# What scikit-learn says of its arguments without their names; some of it is required by its checks.
COMMON_MESSAGES = (
    "Unknown label type",
    "Complex data not supported",
    "Reshape your data",
    "inconsistent numbers of samples",
    "[Ss]parse data was passed",
    "Sample weights must",
    "Expected 2D array",
    "feature names",
    "Found array with",
    "could not convert string to float",
    "argument must be a string or a real number",
    "cannot be used to seed",
    "Seed must be between",
    "Expected sequence or array-like",
    "labels represented as bytes",
)


# --- what goes wrong with X -----------------------------------------------------------------------


def put(value):
    """Write a value into a few places, or into many."""

    def mutate(X, rng):
        X = X.copy()
        X[(rng.random(X.shape) < rng.choice([0.002, 0.05, 0.5])) & _places(X, rng)] = value
        return X

    return mutate


def put_in_channel(value):
    """Write a value into one channel of some rows, at all of their dates."""

    def mutate(X, rng):
        X = X.copy()
        places = _places(X, rng) & (np.arange(X.shape[-1]) == rng.integers(X.shape[-1]))
        places[rng.random(len(X)) > rng.choice([0.1, 0.5, 1.0])] = False
        X[places] = value
        return X

    return mutate


def _places(X, rng):
    """Return mostly the bands where observed, else all places: dates, positions and padding."""
    if rng.random() < 0.2:
        return np.ones(X.shape, dtype=bool)
    places = ~np.isnan(X)
    if X.ndim == 3:
        places[..., 0] = False
        places[..., -2:] &= X.shape[-1] < 4
    return places


def change(function):
    return lambda X, rng: function(X)


def change_first_channel(function):
    """Change the date, or the first feature of a table."""

    def mutate(X, rng):
        X = X.copy()
        X[..., 0] = function(X[..., 0])
        return X

    return mutate


def drop_rows(X, rng):
    return X[: rng.integers(0, 3)]


def drop_last_axis(X, rng):
    return X[..., : rng.integers(0, X.shape[-1])]


def shuffle_dates(X, rng):
    return rng.permuted(X, axis=1)


def empty_rows(X, rng):
    X = X.copy()
    X[rng.random(len(X)) < rng.choice([0.1, 1.0])] = NAN
    return X


def to_objects(X, rng):
    X = X.astype(object)
    things = [None, "a", b"b", {}, [1, 2], datetime.date(2020, 1, 1), pd.NA, pd.NaT, 1 + 2j]
    X.flat[rng.integers(X.size)] = things[rng.integers(len(things))]
    return X


def to_table(X, rng):
    return pd.DataFrame(X.reshape(len(X), -1)).convert_dtypes()


def to_masked(X, rng):
    return np.ma.masked_array(X, rng.random(X.shape) < 0.1)


MUTATIONS = {
    "NaN": put(NAN),
    "infinity": put(np.inf),
    "minus infinity": put(-np.inf),
    "1e30": put(1e30),
    "-1e200": put(-1e200),
    "a channel of 1.6": put_in_channel(1.6),
    "a channel of -0.2": put_in_channel(-0.2),
    "a channel of 1e5": put_in_channel(1e5),
    "a channel of NaN": put_in_channel(NAN),
    "a channel of infinity": put_in_channel(np.inf),
    "a channel of 0": put_in_channel(0.0),
    "integers": change(lambda X: np.nan_to_num(X * 1e4).astype(np.int64)),
    "bytes": change(lambda X: np.nan_to_num(X).astype(np.uint8)),
    "booleans": change(lambda X: X > 0.2),
    "half precision": change(lambda X: np.nan_to_num(X).astype(np.float16)),
    "big-endian": change(lambda X: X.astype(">f8")),
    "long double": change(lambda X: X.astype(np.longdouble)),
    "complex": change(lambda X: X + 1j),
    "strings": change(lambda X: X.astype(str)),
    "dates": change(lambda X: np.nan_to_num(X).astype("datetime64[D]")),
    "durations": change(lambda X: np.nan_to_num(X).astype("timedelta64[D]")),
    "objects": to_objects,
    "masked": to_masked,
    "sparse": change(lambda X: scipy.sparse.csr_matrix(np.nan_to_num(X).reshape(len(X), -1))),
    "table": to_table,
    "records": change(lambda X: np.zeros(len(X), dtype=[("a", float), ("b", float)])),
    "list": change(lambda X: X.tolist()),
    "ragged": change(lambda X: [row[: i % 3 + 1].tolist() for i, row in enumerate(X)]),
    "None": change(lambda X: None),
    "a number": change(lambda X: 3.0),
    "text": change(lambda X: "X"),
    "empty list": change(lambda X: []),
    "a generator": change(iter),
    "a dict": change(lambda X: {"X": X}),
    "few rows": drop_rows,
    "fewer channels": drop_last_axis,
    "no dates": change(lambda X: X[:, :0]),
    "transposed": change(lambda X: X.T),
    "axes moved": change(lambda X: np.moveaxis(X, 0, 1)),
    "one axis more": change(lambda X: X[None]),
    "one axis less": change(lambda X: X[0]),
    "channels twice": change(lambda X: np.concatenate([X, X], axis=-1)),
    "channels reversed": change(lambda X: X[..., ::-1]),
    "dates shuffled": shuffle_dates,
    "empty rows": empty_rows,
    "nothing observed": change(lambda X: np.full_like(X, NAN)),
    "constant": change(np.ones_like),
    "zero": change(np.zeros_like),
    "negative": change(np.negative),
    "times 1e4": change(lambda X: X * 1e4),
    "times 1e-30": change(lambda X: X * 1e-30),
    "a year later": change_first_channel(lambda date: date + 365),
    "dates in milliseconds": change_first_channel(lambda date: date * 86_400_000.0),
    "dates in seconds": change_first_channel(lambda date: date * 86_400.0),
    "dates reversed": change_first_channel(lambda date: -date),
    "one date": change_first_channel(lambda date: np.where(np.isnan(date), date, 7.0)),
    "dates without zero": change_first_channel(lambda date: np.full_like(date, NAN)),
}


# --- what goes wrong with y, weights and parameters -----------------------------------------------

BAD_Y = {
    "None": lambda y: None,
    "NaN": lambda y: np.where(np.arange(len(y)) == 1, NAN, y.astype(float)),
    "infinite": lambda y: np.where(np.arange(len(y)) == 1, np.inf, y.astype(float)),
    "None in it": lambda y: np.array([None, "a"] * len(y), dtype=object)[: len(y)],
    "one class": np.zeros_like,
    "classes of one": lambda y: np.arange(len(y)),
    "continuous": lambda y: np.linspace(0, 1, len(y)),
    "strings": lambda y: np.array(["b", "a", "é"])[y],
    "bytes": lambda y: np.array([b"b", b"a", b"c"])[y],
    "booleans": lambda y: y > 0,
    "dates": lambda y: y.astype("datetime64[D]"),
    "complex": lambda y: y + 1j,
    "objects": lambda y: np.array([1, "a", 2.5] * len(y), dtype=object)[: len(y)],
    "short": lambda y: y[:-1],
    "empty": lambda y: y[:0],
    "column": lambda y: y[:, None],
    "2-D": lambda y: np.stack([y, y], axis=1),
    "3-D": lambda y: y[:, None, None],
    "a number": lambda y: 3,
    "text": lambda y: "y",
    "huge": lambda y: y * 10**12,
    "1e300": lambda y: y * 1e300,
    "negative": lambda y: -y,
    "unsigned": lambda y: y.astype(np.uint8),
    "masked": lambda y: np.ma.masked_array(y, y == 0),
    "series": lambda y: pd.Series(y, index=np.arange(len(y)) + 7),
    "categories": lambda y: pd.Series(pd.Categorical(np.array(["b", "a", "c"])[y])),
    "nullable": lambda y: pd.Series(y, dtype="Int64").mask(y == 0),
    "list": lambda y: y.tolist(),
    "sparse": lambda y: scipy.sparse.csr_matrix(y),
    "generator": iter,
}
BAD_WEIGHTS = {
    "negative": lambda n: -np.ones(n),
    "NaN": lambda n: np.full(n, NAN),
    "infinite": lambda n: np.where(np.arange(n) == 0, np.inf, 1.0),
    "zero": np.zeros,
    "1e300": lambda n: np.full(n, 1e300),
    "1e-300": lambda n: np.full(n, 1e-300),
    "short": lambda n: np.ones(n - 1),
    "2-D": lambda n: np.ones((n, 2)),
    "strings": lambda n: np.full(n, "a"),
    "objects": lambda n: np.full(n, None),
    "complex": lambda n: np.full(n, 1j),
    "booleans": lambda n: np.arange(n) % 2 == 0,
    "dates": lambda n: np.full(n, np.datetime64("2020-01-01")),
    "a number": lambda n: 2.0,
    "text": lambda n: "balanced",
    "one series": lambda n: (np.arange(n) == 0).astype(float),
    "list": lambda n: [1] * n,
}
WRONG_FOR_ALL = ["nonsense", b"bytes", None, -1, NAN, np.inf, 1j, [], {}, (1, 2), object(), pd.NA]
BAD_PARAMETERS = {
    bool: [0, 1, np.True_, "True"],
    int: [True, False, 0, -3, 2.0, np.float64(2), np.int64(2), np.uint8(3), "2", np.array(2)],
    float: [np.float32(0.5), np.float64(0.5), np.int64(1), 0, 1, 1e30, 1e-30, True, "0.5"],
    str: [np.str_("auto"), "AUTO", "linear", "self-supervised", ["auto"], 0, True],
    type(None): [np.int64(2), True, 0, 1.5, "auto", ["a"], np.arange(3), lambda X, y: 7],
    tuple: [(0,), (9,), (1.5,), (True,), "ab", (1, 1), ((1,),), np.array([-1]), [np.int64(1)], 3],
}
BAD_VALUES_BY_NAME = {
    "random_state": [np.random.RandomState(0), np.random.default_rng(0), np.int64(3), 2**40, "a"],
    "device": ["abacus", "mps", "cuda:99", "cpu:0", "meta", "CPU", 3, None],
    "class_weight": ["balanced", {0: 1.0}, {0: NAN}, {0: -1.0}, {7: 1.0}, {0: "a"}, {0: 0, 1: 0}],
    "validation_split": [lambda X, y: None, lambda X, y: ([0], [1]), lambda X, y: ([], [0])],
    "targets": [[], ["LAI"], "maturity", ["LAI", "LAI"], ["maturity", 3], np.array(["LAI"]), "lai"],
    "priors": [{}, {"LAI": 3}, {"minimum": (1, 0)}, {"minimum": (NAN, 1)}, {"x": (0, 1)}, [1]],
    "sensor": ["Sentinel-2B", "Sentinel-9", None, np.str_("Sentinel-2A"), 3],
    "bands": [["B2"], ["B2", "B99"], [], ["B2"] * 10, "B2", [3], None],
    "excluded_bands": [["B2"], ["B99"], [], "B2", [3], None],
    "dates": [[0, 1], [1, 0], [], [NAN], [[0, 1]], ["a"], ["2020-01-01"], 7, [1e30, 2e30], None],
    "time_scale": ["auto", 5, 5.0, np.float32(3), 0.0, 1e30, 1e-30],
    "season_start": [0, 17_500, 1e30, -1e30, np.float32(17_500), "2018-01-01"],
    "channel": [0, 1, -1, 9, np.int64(1), True, 1.0],
}
# Any integer is a level of output, and a truth value one of them.
TAKE_BOOLEANS = {"verbose"}
METHOD_ARGUMENTS = {
    "return_std": [True, 1, "yes", None],
    "coverage": [0.0, 1.0, 0.5, np.float32(0.5), NAN, -1, "a", None, 0.9999999, 1e-9, True, [0.5]],
    "n_draws": [0, -1, 1, 2, np.int64(2), True, 1.5, "a", None, NAN],
    "n_samples": [0, -1, 1, 2, np.int64(2), True, 1.5, "a", None, NAN],
    "random_state": [None, 0, np.int64(1), -1, "a", 1.5, np.random.RandomState(0)],
}


def choose(rng, options):
    return options[rng.integers(len(options))]


def bad_parameter(rng, estimator):
    """Draw a parameter of an estimator, and a value that may not be one."""
    defaults = estimator.get_params()
    name = choose(rng, sorted(defaults))
    options = BAD_VALUES_BY_NAME.get(name, BAD_PARAMETERS[type(defaults[name])])
    return name, choose(rng, options if rng.random() < 0.75 else WRONG_FOR_ALL)


# --- cases ----------------------------------------------------------------------------------------


class Case:
    """An estimator, a method, and what is wrong with the arguments, drawn with a seed."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.name = sorted(ESTIMATORS)[seed % len(ESTIMATORS)]
        cls = ESTIMATORS[self.name]
        names = [method for method in METHODS if hasattr(cls, method)]
        self.method = "fit" if rng.random() < 0.45 else choose(rng, names)
        self.parameters, self.arguments, self.said = {}, {}, []
        self.X, self.y = good_data(self.name, rng)
        self.kind = self.X.dtype, self.X.ndim
        wrong = ["X", *self._other_arguments(cls)]
        n_wrong = 2 if rng.random() < 0.2 else 1
        for argument in rng.permutation(wrong)[:n_wrong]:
            getattr(self, f"_spoil_{argument}")(rng)

    def _other_arguments(self, cls):
        names = list(inspect.signature(getattr(cls, self.method)).parameters)
        for name in names[2:]:
            if name in ("y", "sample_weight"):
                yield name
            elif name in METHOD_ARGUMENTS:
                yield "arguments"
        if self.method == "fit":
            yield from ["parameters"] * 3

    def _spoil_X(self, rng):
        key = choose(rng, sorted(MUTATIONS))
        try:
            with warnings.catch_warnings(action="ignore"):
                self.X = MUTATIONS[key](self.X, rng)
        except (IndexError, TypeError, ValueError, AttributeError):
            return  # A table has no dates to change, for instance.
        self.said.append(f"X: {key}")

    def _spoil_y(self, rng):
        key = choose(rng, sorted(BAD_Y))
        y = self.y if self.y.dtype.kind == "i" or rng.random() < 0.1 else self.y.astype(int).ravel()
        try:
            self.y = BAD_Y[key](y)
        except (IndexError, TypeError, ValueError):
            return  # There are too many traits, or numbers, for names.
        self.said.append(f"y: {key}")

    def _spoil_sample_weight(self, rng):
        key = choose(rng, sorted(BAD_WEIGHTS))
        self.arguments["sample_weight"] = BAD_WEIGHTS[key](24)
        self.said.append(f"sample_weight: {key}")

    def _spoil_parameters(self, rng):
        name, value = bad_parameter(rng, make(self.name))
        self.parameters[name] = value
        self.said.append(f"{name}={value!r}")

    def _spoil_arguments(self, rng):
        signature = inspect.signature(getattr(ESTIMATORS[self.name], self.method))
        name = choose(rng, [name for name in METHOD_ARGUMENTS if name in signature.parameters])
        self.arguments[name] = value = choose(rng, METHOD_ARGUMENTS[name])
        self.said.append(f"{name}={value!r}")

    def __str__(self):
        return f"{self.seed}: {self.name}.{self.method}, {'; '.join(self.said) or 'all is well'}"


def good_data(name, rng):
    """Draw data that an estimator takes: single or double precision, spectra or series of them."""
    X, y = DATA[name]
    if name == "ProsailVAERegressor" and rng.random() < 0.5:
        days = np.broadcast_to(np.arange(4.0)[:, None], (6, 4, 1))
        X = np.concatenate([days, X.reshape(6, 4, -1)], axis=2)
        y = y.reshape(6, 4)
    return X.astype(rng.choice([np.float32, np.float64])), y


@functools.cache
def fitted(name, dtype, n_dims):
    # The dates of a series share what is known of them.
    in_time = name == "ProsailVAERegressor" and n_dims == 3
    return fit(name, dtype, **({"time_scale": 5.0} if in_time else {}))


# --- verdicts -------------------------------------------------------------------------------------


def run(case):
    """Return what is wrong with the outcome of a case, or None."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator, answer = outcome(case)
        except (ValueError, TypeError, FloatingPointError) as error:
            return judge_error(case, error)
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__} is no error of an argument: {error}"
    noise = {str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)}
    if noise:
        return f"warnings of numpy or torch: {sorted(noise)}"
    if takes_a_truth_value(case):
        return "a truth value is taken as an integer"
    return judge_answer(case, estimator, answer)


def outcome(case):
    if case.method != "fit":
        estimator = fitted(case.name, *case.kind)
        arguments = dict(case.arguments)
        parameters = inspect.signature(getattr(estimator, case.method)).parameters
        if "y" in parameters and case.method != "transform":
            arguments["y"] = case.y
        if case.method == "calibrate":
            # It changes the estimator.
            estimator = copy.deepcopy(estimator)
        return estimator, getattr(estimator, case.method)(case.X, **arguments)
    estimator = make(case.name, **case.parameters).fit(case.X, case.y, **case.arguments)
    method = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return estimator, method(case.X)


def judge_error(case, error):
    message = str(error)
    frames = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    deep = [name for name in frames if re.search("/(torch|gpytorch|linear_operator)/", name)]
    if deep:
        return f"{type(error).__name__} from torch: {message}"
    estimator = make(case.name)
    names = {"X", "y", "sample_weight", case.name, *estimator.get_params()}
    names |= set(inspect.signature(getattr(estimator, case.method)).parameters)
    if re.search("|".join(rf"\b{name}\b" for name in sorted(names)), message):
        return None
    if re.search("|".join(COMMON_MESSAGES), message):
        return None
    return f"{type(error).__name__} names no argument: {message}"


def takes_a_truth_value(case):
    defaults = make(case.name).get_params() | {"n_draws": 1, "n_samples": 1}
    return any(
        isinstance(value, bool | np.bool_)
        and type(defaults.get(name)) is int
        and name not in TAKE_BOOLEANS
        for name, value in [*case.parameters.items(), *case.arguments.items()]
    )


def judge_answer(case, estimator, answer):
    if case.method == "calibrate":
        answer = estimator.predict(DATA[case.name][0])
    for part in answer if isinstance(answer, tuple) else (answer,):
        part = np.asarray(part)
        if part.dtype.kind in "OSU":
            continue  # Labels.
        bad = ~np.isfinite(part)
        if bad.any() and not may_lack_an_answer(case, estimator, part):
            return f"{bad.sum()} of {bad.size} values are not finite: {part[bad][:3]}"
    return None


def may_lack_an_answer(case, estimator, part):
    """Return whether NaN stands only where nothing was observed, as documented."""
    if not np.isnan(part[~np.isfinite(part)]).all():
        return False
    X = np.asarray(case.X, dtype=np.float64)
    observed = OBSERVED.get(case.name, lambda X, estimator: np.ones(len(X), bool))(X, estimator)
    if case.method == "sample":
        part = part[0]
    return not np.isnan(part[observed]).any()


def observed_spectra(X, estimator):
    sun, view, azimuth = np.moveaxis(X[..., -3:], -1, 0)
    reflectances = X[..., 1:-3] if X.ndim == 3 else X[..., :-3]
    observed = ((reflectances >= -0.05) & (reflectances <= 1.5)).all(axis=-1)
    observed &= (sun >= 0) & (sun <= 85) & (view >= 0) & (view <= 85) & (np.abs(azimuth) <= 360)
    return observed & np.isfinite(X[..., 0])


def observed_seasons(X, estimator):
    index = X if X.ndim == 2 else X[..., estimator.channel]
    day = np.linspace(0, 365, X.shape[1]) if X.ndim == 2 else X[..., 0]
    day = day - estimator.season_start_
    return ((np.abs(index) <= 10) & (day >= -45) & (day <= 410)).any(axis=1)


# Series or spectra that need an answer; of the other estimators, all.
OBSERVED = {
    "PhenologyVAERegressor": observed_seasons,
    "ProsailVAERegressor": observed_spectra,
}


@pytest.mark.parametrize("first", range(0, N_CASES, CASES_PER_TEST))
def test_wrong_input(first):
    cases = [Case(seed) for seed in range(first, first + CASES_PER_TEST)]
    failures = [f"{case}\n    {found}" for case in cases if (found := run(case))]
    assert not failures, "\n".join(failures)
