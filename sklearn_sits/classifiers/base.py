"""Base class of the classifiers that are trained with PyTorch."""

from abc import ABCMeta, abstractmethod
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import check_random_state, column_or_1d, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
)

from sklearn_sits.classifiers.training import train
from sklearn_sits.nn.layers import set_generator
from sklearn_sits.runtime.batches import predict_in_batches
from sklearn_sits.runtime.state import TorchStateMixin, check_device

__all__ = ["TorchClassifier"]

# Series on which standardisation, embedding and inducing points are initialised.
_MAX_SAMPLE = 4096
# The automatic batch size aims at this number of steps per epoch, within these bounds.
_STEPS_PER_EPOCH = 30
_MIN_BATCH, _MAX_BATCH = 32, 2048


class TorchClassifier(TorchStateMixin, ClassifierMixin, BaseEstimator, metaclass=ABCMeta):
    """Classifier with a PyTorch module, trained on minibatches (abstract).

    A subclass checks its input, loads batches and builds its module; this class validates
    labels and weights, trains and predicts in the precision of X, and keeps the state in numpy
    arrays, from which the module is rebuilt on any machine.
    """

    # Parameters that `_make_module` reads, from the copy that fit makes in `_module_params`: a
    # fitted module stays what it is when `set_params` changes one.
    _module_param_names = ()

    _parameter_constraints = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "validation_split": [callable, None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _check_X(self, X, reset, strict=None):
        """Return X validated, of float32 or float64; strictly for a fit, also for a warm one."""

    def _note_coverage(self, X, warm):
        """Note what the training data cover, of a warm start in addition to those before."""

    @abstractmethod
    def _load(self, X, rows, device):
        """Return the batch of some rows (an array or a slice): a dict of tensors on a device."""

    @abstractmethod
    def _make_module(self, n_classes, n_inducing):
        """Return the module with parameters of the right shape and any value."""

    @abstractmethod
    def _reset(self, module, batch, labels, weight, random_state, generator):
        """Initialise a module on a sample of the training series."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the classifier.

        Parameters
        ----------
        X : array-like
            Training data, in the format that the class documents.
        y : array-like of shape (n_series,)
            Class labels, at least two different ones.
        sample_weight : array-like of shape (n_series,), default=None
            Weights, not negative. A weight of two stands for two equal series; series of
            weight zero are left out.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If X, y, sample_weight or a parameter is not as documented.
        FloatingPointError
            If the training diverges.
        """
        with self._all_or_nothing():
            return self._fit(X, y, sample_weight)

    def _fit(self, X, y, sample_weight):
        warm = self.warm_start and self.__sklearn_is_fitted__()
        device = check_device(self.device)
        previous = getattr(self, "_module_params", {})
        self._module_params = {name: getattr(self, name) for name in self._module_param_names}
        X = self._check_X(X, reset=not warm, strict=True)
        y, classes, labels = _check_labels(self, y)
        check_consistent_length(X, labels)
        if warm and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True needs the classes of the previous fit {self.classes_}, "
                f"y has {classes}."
            )
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        kept = np.flatnonzero(weight)
        if len(kept) == 0:
            raise ValueError("sample_weight is zero for every series.")
        weight = weight * self._class_weight(classes, labels, weight)[labels]
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        training, validation = self._split(X, y, labels, kept, random_state)

        dtype = _torch_dtype(X)
        if warm:
            module = self._make_module(len(classes), self.n_inducing_)
            _check_same_shapes(module, self.state_, previous, self._module_params)
            module.load_state_dict(self._state_tensors())
            module.to(dtype)
        else:
            module = self._initialise(
                X, labels, weight, training, classes, dtype, random_state, generator
            )
        module.to(device)
        noise = torch.Generator(device).manual_seed(random_state.randint(2**31 - 1))
        set_generator(module, noise)
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = int(np.clip(len(training) // _STEPS_PER_EPOCH, _MIN_BATCH, _MAX_BATCH))
        if validation is not None:
            validation = (validation, labels[validation], weight[validation])
        history = train(
            module,
            lambda rows: self._load(X, rows, device),
            training,
            labels[training],
            weight[training],
            validation=validation,
            max_iter=self.max_iter,
            batch_size=batch_size,
            learning_rate=self.learning_rate,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            verbose=self.verbose,
            generator=generator,
            device=device,
        )
        set_generator(module, None)
        self._note_coverage(X, warm)
        self.classes_ = classes
        self.history_ = (self.history_ if warm else []) + history
        self.n_iter_ = len(self.history_)
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        return self

    def _initialise(self, X, labels, weight, rows, classes, dtype, random_state, generator):
        if len(rows) > _MAX_SAMPLE:
            rows = random_state.choice(rows, _MAX_SAMPLE, replace=False)
        # Equal series count once, in an order that does not depend on that of the rows: a
        # weight of two then starts from the same point as a repetition.
        sample = np.ascontiguousarray(X[rows]).reshape(len(rows), -1)
        sample = np.hstack([sample, labels[rows, None].astype(sample.dtype)])
        keys = sample.view(np.dtype((np.void, sample[0].nbytes))).ravel()
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        sample_weight = torch.from_numpy(np.bincount(group.ravel(), weight[rows]))
        rows = rows[first]
        batch = self._load(X, rows, torch.device("cpu"))
        self.n_inducing_ = min(getattr(self, "n_inducing", 0), len(rows))
        module = self._make_module(len(classes), self.n_inducing_).to(dtype)
        self._reset(
            module,
            batch,
            torch.from_numpy(labels[rows]),
            sample_weight.to(dtype),
            random_state,
            generator,
        )
        return module

    def _class_weight(self, classes, labels, weight):
        known = list(classes)
        if isinstance(self.class_weight, dict):
            unknown = [label for label in self.class_weight if label not in known]
            if unknown:
                raise ValueError(f"class_weight names {unknown}, which are not classes: {known}.")
        if self.class_weight != "balanced":
            return compute_class_weight(self.class_weight, classes=classes, y=classes)
        mass = np.bincount(labels, weight, minlength=len(classes))
        # A class of weight zero has no series left to weigh.
        return np.where(mass > 0, mass.sum() / (len(classes) * np.where(mass > 0, mass, 1)), 0)

    def _split(self, X, y, labels, rows, random_state):
        """Split rows into training and validation, the latter None without early stopping."""
        if not self.early_stopping:
            return rows, None
        if self.validation_split is not None:
            training, validation = _check_split(self.validation_split(X, y), len(labels))
            return np.intersect1d(training, rows), np.intersect1d(validation, rows)
        splitter = StratifiedShuffleSplit(
            1, test_size=self.validation_fraction, random_state=random_state
        )
        training, validation = next(splitter.split(rows, labels[rows]))
        return rows[training], rows[validation]

    def _build_module(self):
        return self._make_module(len(self.classes_), self.n_inducing_)

    def _make_copy(self):
        module = super()._make_copy()
        module.head.freeze()
        return module

    def _apply(self, X, function):
        """Apply a function of the head and the representation to checked X, in its precision."""
        device, dtype = check_device(self.device), _torch_dtype(X)
        module = self._copy_for(device, dtype)
        return predict_in_batches(
            lambda batch: function(module.head, module(**batch)),
            lambda rows: self._load(X, rows, device),
            len(X),
            device,
        )

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like
            Data in the format of the training data.

        Returns
        -------
        probabilities : ndarray of shape (n_series, n_classes)
            In the precision of X. Rows sum to one, columns are in the order of `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        X = self._check_X(X, reset=False)
        return self._apply(X, lambda head, z: head.predict_proba(z))

    def predict(self, X):
        """Predict the most probable class.

        Parameters
        ----------
        X : array-like
            Data in the format of the training data.

        Returns
        -------
        labels : ndarray of shape (n_series,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _torch_dtype(X):
    return torch.float64 if X.dtype == np.float64 else torch.float32


def _check_labels(estimator, y):
    """Return y, its classes and the position of each label among them."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None"
        )
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    elif y.dtype == object and any(label is None or label != label for label in y):
        raise ValueError("Input y contains NaN or None. Leave unlabelled series out of X and y.")
    check_classification_targets(y)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has {len(classes)} class ({classes[0]!r}) in {len(y)} sample(s), expected at "
            "least 2 classes."
        )
    return y, classes, labels


def _check_split(parts, n):
    """Return training and validation rows, checked to be distinct rows of X."""
    try:
        training, validation = (np.asarray(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "validation_split must return two arrays, the rows of X for training and for "
            f"validation, got {type(parts).__name__}."
        ) from error
    for rows in (training, validation):
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not rows.size:
            raise ValueError(
                "validation_split must return two non-empty one-dimensional arrays of int, got "
                f"shape {rows.shape} and dtype {rows.dtype}."
            )
        if rows.min() < 0 or rows.max() >= n:
            raise ValueError(
                f"validation_split returned rows from {rows.min()} to {rows.max()}, X has {n}."
            )
    if np.intersect1d(training, validation).size:
        raise ValueError("validation_split returned rows that are in both parts.")
    return training, validation


def _check_same_shapes(module, state, previous, params):
    """Check that a new module can continue from the state of the previous fit."""
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if shapes != {name: value.shape for name, value in state.items()}:
        changed = [
            f"{name}={value!r} (was {previous[name]!r})"
            for name, value in params.items()
            if not np.array_equal(value, previous[name])
        ]
        raise ValueError(
            "warm_start=True continues the model of the previous fit, whose shape would change "
            f"with {', '.join(changed)}."
        )
