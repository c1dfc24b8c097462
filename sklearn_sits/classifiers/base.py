"""Base class of the classifiers that are trained with PyTorch."""

from abc import ABCMeta, abstractmethod
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import check_random_state, column_or_1d, compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
)

from sklearn_sits._typing import fit_context
from sklearn_sits.classifiers.training import ClassifierModule, train
from sklearn_sits.nn.heads import Head
from sklearn_sits.nn.layers import set_generator
from sklearn_sits.nn.probabilities import sum_to_one
from sklearn_sits.runtime.batches import predict_in_batches
from sklearn_sits.runtime.parameters import NumberInterval, read_parameters
from sklearn_sits.runtime.state import TorchStateMixin, check_device

__all__ = ["TorchClassifier"]

# Series on which standardisation, embedding and inducing points are initialised.
_MAX_SAMPLE = 4096
# Sums of weights that single precision can hold.
_MIN_WEIGHT, _MAX_WEIGHT = 1e-6, 1e12
# The automatic batch size aims at this number of steps per epoch, within these bounds.
_STEPS_PER_EPOCH = 30
_MIN_BATCH, _MAX_BATCH = 32, 2048


class TorchClassifier(TorchStateMixin, ClassifierMixin, BaseEstimator, metaclass=ABCMeta):
    """Classifier with a PyTorch module, trained on minibatches (abstract).

    A subclass checks its input, turns rows into batches and makes a representation and a head;
    this class validates labels and weights, trains and predicts in the precision of X, and keeps
    the state in numpy arrays, from which the module is rebuilt on any machine.
    """

    # Learning rate of the head, as a multiple of that of the representation.
    _head_rate = 1.0
    # Epochs and steps at least, with `max_iter="auto"`. Fewer steps leave a small sample untrained;
    # with more, few labels are learned by heart.
    _min_epochs, _min_steps = 15, 200

    _parameter_constraints: dict = {
        "max_iter": [NumberInterval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [NumberInterval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [NumberInterval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [NumberInterval(Real, 0, 1, closed="neither")],
        "validation_split": [callable, None],
        "n_iter_no_change": [NumberInterval(Integral, 1, None, closed="left")],
        "tol": [NumberInterval(Real, 0, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _check_X(self, X, reset, strict=None):
        """Return X validated, of float32 or float64; strictly for a fit, also for a warm one."""

    def _note_coverage(self, X, rows, warm):
        """Record the coverage of the training data, in a warm start also of those before."""

    @abstractmethod
    def _to_batch(self, rows, device):
        """Turn rows of X into the arguments of the representation, tensors on a device."""

    @abstractmethod
    def _make_representation(self, params):
        """Make the representation; parameters have the right shape and any value.

        Parameters are read from `params`, because `set_params` may have changed the estimator
        since the fit.
        """

    @abstractmethod
    def _make_head(self, params: SimpleNamespace, n_features: int, n_classes: int) -> Head:
        """Make the head, a :class:`sklearn_sits.nn.heads.Head`, likewise."""

    @abstractmethod
    def _reset_representation(self, representation, batch, weight, generator):
        """Initialise the representation on a sample of the training data."""

    def _reset_head(self, head, z, labels, weight, random_state, generator):
        """Initialise the head on the representation of the sample."""
        head.reset(z, labels, weight, generator)

    def _reset_heads(self, head, z, *args):
        """Initialise the head, or the heads that it consists of."""
        self._reset_head(head, z, *args)

    def _prepare(self, X, rows, weight, random_state):
        """Fit what the representation starts from, on rows of X of these weights."""

    def _note_sample(self, n):
        """Note the number of different rows in the sample."""

    def _representation_rate(self, learning_rate):
        """Return the learning rate of the representation."""
        return learning_rate

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
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
        params = read_parameters(self)
        previous = getattr(self, "_module_params", {})
        self._module_params = {
            name: value
            for name, value in vars(params).items()
            if name not in TorchClassifier._parameter_constraints
        }
        X = self._check_X(X, reset=not warm, strict=True)
        check_consistent_length(X, y)
        y, classes, labels = _check_labels(self, y)
        if warm and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start=True needs the classes of the previous fit "
                f"{self.classes_.tolist()}, y has {classes.tolist()}."
            )
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        kept = np.flatnonzero(weight)
        if len(kept) == 0:
            raise ValueError("sample_weight is zero for every series.")
        if not _MIN_WEIGHT <= weight.sum() <= _MAX_WEIGHT:
            raise ValueError(
                f"sample_weight must sum to between {_MIN_WEIGHT:g} and {_MAX_WEIGHT:g}, because a "
                f"weight of one stands for one series, got {weight.sum():g}."
            )
        weight = weight * self._class_weight(classes, labels, weight)[labels]
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        training, validation = self._split(X, y, labels, kept, random_state)

        dtype = _torch_dtype(X)
        self._note_coverage(X, training, warm)
        if warm:
            module = self._make_module(len(classes))
            _check_same_shapes(module, self.state_, previous, self._module_params)
            # First the precision: single precision would round the state.
            module.to(dtype).load_state_dict(self._state_tensors())
        else:
            self._prepare(X, training, weight[training], random_state)
            module = self._initialise(
                X, labels, weight, training, len(classes), dtype, random_state, generator
            )
        module.to(device)
        noise_generator = torch.Generator(device).manual_seed(random_state.randint(2**31 - 1))
        set_generator(module, noise_generator)
        batch_size = params.batch_size
        if batch_size == "auto":
            batch_size = int(np.clip(len(training) // _STEPS_PER_EPOCH, _MIN_BATCH, _MAX_BATCH))
        max_iter = params.max_iter
        if max_iter == "auto":
            n_batches = -(-len(training) // batch_size)
            max_iter = max(self._min_epochs, -(-self._min_steps // n_batches))
        if validation is not None:
            validation = (validation, labels[validation], weight[validation])
        history = train(
            module,
            lambda rows: self._to_batch(X[rows], device),
            training,
            labels[training],
            weight[training],
            validation=validation,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate=self._representation_rate(params.learning_rate),
            head_rate=self._head_rate,
            n_iter_no_change=params.n_iter_no_change,
            tol=params.tol,
            verbose=params.verbose,
            generator=generator,
            device=device,
            # A posterior that was fitted before is not to be forgotten.
            annealing=not warm,
        )
        set_generator(module, None)
        self.classes_ = classes
        self.history_ = (self.history_ if warm else []) + history
        self.n_iter_ = len(self.history_)
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        return self

    def _initialise(self, X, labels, weight, rows, n_classes, dtype, random_state, generator):
        if len(rows) > _MAX_SAMPLE:
            rows = random_state.choice(rows, _MAX_SAMPLE, replace=False)
        sample, labels = np.ascontiguousarray(X[rows]), labels[rows]
        first, weight = _merge_repetitions(sample, labels, weight[rows])
        sample, labels = sample[first], torch.from_numpy(labels[first])
        weight = torch.from_numpy(weight).to(dtype)
        self._note_sample(len(sample))
        module = self._make_module(n_classes).to(dtype)
        batch = self._to_batch(sample, torch.device("cpu"))
        self._reset_representation(module.representation, batch, weight, generator)
        with torch.no_grad():
            z = module.eval()(**batch)
        self._reset_heads(module.head, z, labels, weight, random_state, generator)
        return module

    def _make_module(self, n_classes):
        params = SimpleNamespace(**self._module_params)
        representation = self._make_representation(params)
        return ClassifierModule(representation, self._make_heads(params, representation, n_classes))

    def _make_heads(self, params, representation, n_classes):
        """Make the head of a representation, or the heads of its members."""
        return self._make_head(params, representation.n_features, n_classes)

    def _class_weight(self, classes, labels, weight):
        if isinstance(self.class_weight, dict):
            known = classes.tolist()
            unknown = np.array([key for key in self.class_weight if key not in known]).tolist()
            if unknown:
                raise ValueError(f"class_weight names {unknown}, which are not classes: {known}.")
        if self.class_weight != "balanced":
            return compute_class_weight(self.class_weight, classes=classes, y=classes)
        # A class of weight zero has no series left to weigh.
        kept = weight > 0
        present = np.unique(labels[kept])
        class_weight = np.zeros(len(classes))
        class_weight[present] = compute_class_weight(
            "balanced", classes=present, y=labels[kept], sample_weight=weight[kept]
        )
        return class_weight

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
        return self._make_module(len(self.classes_))

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
            lambda rows: self._to_batch(X[rows], device),
            len(X),
            device,
        )

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like
            Data in the format of the training data.

        Returns
        -------
        probabilities : ndarray of shape (n_series, n_classes)
            In the precision of X. Columns are in the order of `classes_`. Rows sum to one, in
            float64 too: those of float32 are rounded so that their sum differs from one by at
            most 1.5e-8.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        X = self._check_X(X, reset=False)
        return self._apply(X, lambda head, z: sum_to_one(head.predict_proba(z)))

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict the logarithms of the class probabilities.

        They are computed without the probabilities and stay finite where these are too small
        for their precision.

        Parameters
        ----------
        X : array-like
            Data in the format of the training data.

        Returns
        -------
        log_probabilities : ndarray of shape (n_series, n_classes)
            Natural logarithms in the precision of X. Columns are in the order of `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        X = self._check_X(X, reset=False)
        return self._apply(X, lambda head, z: head.predict_log_proba(z))

    def predict(self, X: ArrayLike) -> np.ndarray:
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


def _merge_repetitions(sample, labels, weight):
    """Return the first of equal series of a class, and the sum of their weights.

    Their order does not depend on that of the rows: a weight of two starts the training from the
    same point as a repetition.
    """
    rows = sample.reshape(len(sample), -1)
    rows = np.hstack([rows, labels[:, None].astype(rows.dtype)])
    keys = rows.view(np.dtype((np.void, rows[0].nbytes))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first, np.bincount(group.ravel(), weight)


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
            f"y has {len(classes)} class ({classes.tolist()[0]!r}) in {len(y)} sample(s), expected "
            "at least 2 classes."
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
