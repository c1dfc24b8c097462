"""Representation of irregular series, learned without labels."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_sits._module_names import set_module
from sklearn_sits._typing import RandomState, fit_context
from sklearn_sits._warnings import warn_counted
from sklearn_sits.encoders.packed_series import PackedSeriesMixin
from sklearn_sits.encoders.training import ContrastSettings, train_by_contrast
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.nn.layers import set_generator
from sklearn_sits.runtime.batches import predict_in_batches
from sklearn_sits.runtime.parameters import NumberInterval, read_parameters
from sklearn_sits.runtime.state import TorchStateMixin, check_device
from sklearn_sits.series.checks import split_channels
from sklearn_sits.series.stored_array import row_blocks

__all__ = ["MTANEncoder"]

# Series on which standardisation and principal components are computed.
_MAX_SAMPLE = 4096
_BLOCK_VALUES = 2**19


@set_module("sklearn_sits")
class MTANEncoder(PackedSeriesMixin, TorchStateMixin, BaseEstimator):
    """Representation of irregular series by attention interpolation, learned without labels.

    The observed dates of each series are divided at random into two halves. The interpolator [1]_
    and the embedding learn to tell which halves come from the same series, by a contrast with
    the other series of the batch [2]_, [3]_. Series that look alike get neighbouring
    representations, whichever of their dates are cloudy.

    Put it before any classifier or clustering in a pipeline, or pass it to
    :class:`MTANSVGPClassifier` as `encoder`. It learns from every series of the area, labelled
    or not.

    X is a packed array of shape (n_series, n_dates, 1 + n_channels), see
    :func:`sklearn_sits.pack`: channel 0 is the date in days, NaN in a band means not observed,
    NaN in the date means padding. A 2-D array holds univariate series on a regular grid.

    Parameters
    ----------
    n_reference_dates : int, default=25
        Number of reference dates, evenly spaced between the first and the last date on which any
        training series was observed.
    n_heads : int, default=1
        Number of attention heads.
    time_embedding_dim : int, default=128
        Size of the time embedding, a multiple of `n_heads`.
    n_components : int, default=128
        Number of principal components, at most.
    n_hidden : int, default=256
        Units of the hidden layer.
    embedding_dim : int, default=64
        Size of the embedding.
    append_series : bool, default=True
        Append the interpolated series to the embedding in `transform`, standardised and scaled
        to have the same norm. Few labels are told apart better with both.
    dropout : float, default=0.1
        Probability to drop a hidden unit in training, in [0, 1).
    date_dropout : float, default=0.0
        In training, hide from each half a share of its dates that is drawn from
        U(0, date_dropout), in [0, 1).
    gain_noise : float, default=0.03
        Standard deviation of the relative error by which each band of each half is multiplied in
        training.
    band_dropout : float, default=0.0
        Probability to hide a band of a half in training, in [0, 1). Representations then rely
        less on any one band.
    date_shift : float, default=0.0
        Largest shift in time of all series of a half in training, in days. It makes the
        representation robust to seasons that start earlier or later.
    temperature : float, default=0.1
        Divisor of the similarities in the softmax. Lower values separate similar series more.
    position_channels : sequence of int, default=()
        Channels of X that hold the position of the series, such as easting and northing,
        constant in time: `(-2, -1)` for the last two. They are encoded by sines and cosines of
        wavelengths down to an eighth of the extent and added to every observation.
    max_iter : int, default=600
        Number of training steps.
    batch_size : int, default=512
        Series per training step, at least 2.
    learning_rate : float, default=3e-3
        Peak of the learning rate, which rises and falls once over the steps.
    early_stopping : bool, default=False
        Hold out a part of the series, stop when their contrast has not improved by `tol` for
        `n_iter_no_change` records, and keep the best state.
    validation_fraction : float, default=0.1
        Part held out by early stopping, at random.
    n_iter_no_change : int, default=10
        See `early_stopping`. There is a record every 25 steps.
    tol : float, default=1e-4
        See `early_stopping`.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. The same seed gives the same result on the same device; the
        global generators are not touched.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:N"; "auto" is CUDA where available, else the CPU.
    verbose : int, default=0
        If positive, show a progress bar.

    Attributes
    ----------
    n_features_in_ : int
        Number of channels of X, the date included (number of dates if X is 2-D).
    date_range_ : float64 ndarray of shape (2,)
        First and last date with an observation, in days as in X; NaN if there is none.
    value_range_ : ndarray of shape (n_channels, 2)
        Lowest and highest value of each channel after the date in training.
    reference_dates_ : ndarray of shape (n_reference_dates,)
        Reference dates, in days as in X.
    n_iter_ : int
        Number of training steps run.
    history_ : list of dict
        Per 25 steps: step, train_loss, seconds and, with early stopping, valid_loss.
    state_ : dict of str to ndarray
        Parameters of the module.

    See Also
    --------
    MTANSVGPClassifier : Classifier that can start from this representation.
    LinearInterpolator : Features that need no training.

    Notes
    -----
    Training and representations have the precision of X: float32 is twice as fast as float64.
    Representations depend on neither the other series, their order nor the size of batches, up
    to rounding. Memory does not grow with the number of series: X may be memory-mapped or a Zarr
    array, of which a random part of 64 MiB is held at a time.

    Series with fewer than two observed dates have no halves. They are left out of the training
    with a warning that counts them, and transformed like the others.

    The standardisation of the bands and the principal components are computed from the training
    series, or from 4096 of them drawn at random if there are more.

    References
    ----------
    .. [1] Shukla and Marlin, "Multi-Time Attention Networks for Irregularly Sampled Time
       Series", ICLR 2021.
    .. [2] Saget, Lafabregue, Cornuéjols and Gançarski, "Resampling Augmentation for Time Series
       Contrastive Learning: Application to Remote Sensing", TerraBytes workshop, ICML 2025.
    .. [3] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
       Visual Representations", ICML 2020, equation 1.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_sits import MTANEncoder
    >>> from sklearn_sits.datasets import make_sits
    >>> X, y = make_sits(600, 50, 4, 3, positions=False, random_state=0)
    >>> encoder = MTANEncoder(max_iter=100, random_state=0).fit(X[:400])  # no labels
    >>> clf = make_pipeline(FrozenEstimator(encoder), LogisticRegression()).fit(X[:30], y[:30])
    >>> bool(clf.score(X[400:], y[400:]) > 0.6)
    True
    """

    _parameter_constraints = {
        **PackedSeriesMixin._parameter_constraints,
        "embedding_dim": [NumberInterval(Integral, 2, None, closed="left")],
        "append_series": ["boolean"],
        "gain_noise": [NumberInterval(Real, 0, None, closed="left")],
        "band_dropout": [NumberInterval(Real, 0, 1, closed="left")],
        "date_shift": [NumberInterval(Real, 0, None, closed="left")],
        "temperature": [NumberInterval(Real, 0, None, closed="neither")],
        "max_iter": [NumberInterval(Integral, 1, None, closed="left")],
        "batch_size": [NumberInterval(Integral, 2, None, closed="left")],
        "learning_rate": [NumberInterval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [NumberInterval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [NumberInterval(Integral, 1, None, closed="left")],
        "tol": [NumberInterval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        n_reference_dates: int = 25,
        n_heads: int = 1,
        time_embedding_dim: int = 128,
        n_components: int = 128,
        n_hidden: int = 256,
        embedding_dim: int = 64,
        append_series: bool = True,
        dropout: float = 0.1,
        date_dropout: float = 0.0,
        gain_noise: float = 0.03,
        band_dropout: float = 0.0,
        date_shift: float = 0.0,
        temperature: float = 0.1,
        position_channels: Sequence[int] = (),
        max_iter: int = 600,
        batch_size: int = 512,
        learning_rate: float = 3e-3,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        random_state: RandomState = None,
        device: str | torch.device = "auto",
        verbose: int = 0,
    ) -> None:
        self.n_reference_dates = n_reference_dates
        self.n_heads = n_heads
        self.time_embedding_dim = time_embedding_dim
        self.n_components = n_components
        self.n_hidden = n_hidden
        self.embedding_dim = embedding_dim
        self.append_series = append_series
        self.dropout = dropout
        self.date_dropout = date_dropout
        self.gain_noise = gain_noise
        self.band_dropout = band_dropout
        self.date_shift = date_shift
        self.temperature = temperature
        self.position_channels = position_channels
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the representation.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels)
            Packed series, at least two with two observed dates.
        y : None
            Ignored.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is not as documented.
        FloatingPointError
            If the training diverges.

        Warns
        -----
        DataQualityWarning
            If series have fewer than two observed dates.
        """
        with self._all_or_nothing():
            self._note_parameters()
            X = self._check_X(X, reset=True, strict=True)
            return self._fit_rows(X, np.arange(len(X)))

    def _note_parameters(self):
        self._module_params = vars(read_parameters(self))

    def _fit_as_part(self, estimator, X, rows):
        """Learn from rows of the series that an estimator has checked."""
        self._note_parameters()
        self.n_features_in_, self._n_dims_in = estimator.n_features_in_, estimator._n_dims_in
        return self._fit_rows(X, rows)

    def _fit_rows(self, X, rows):
        device = check_device(self.device)
        params = SimpleNamespace(**self._module_params)
        rows = self._find_divisible_rows(X, rows)
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(random_state.randint(2**31 - 1))
        training, validation = self._split(rows, random_state)
        self._note_coverage(X, training, warm=False)
        sample = training
        if len(sample) > _MAX_SAMPLE:
            sample = np.sort(random_state.choice(sample, _MAX_SAMPLE, replace=False))
        batch = self._to_batch(np.ascontiguousarray(X[sample]), torch.device("cpu"))
        module = self._make_module(append_series=False).to(batch["values"].dtype)
        weight = torch.ones(len(sample), dtype=batch["values"].dtype)
        module.reset(batch, self.date_range_, weight, generator)
        module.to(device)
        noise = torch.Generator(device).manual_seed(random_state.randint(2**31 - 1))
        set_generator(module, noise)
        settings = {name: getattr(params, name) for name in ContrastSettings._fields}
        self.history_ = train_by_contrast(
            module,
            X,
            partial(self._to_batch, device=device),
            training,
            validation,
            ContrastSettings(**settings),
            generator,
            noise,
        )
        self.n_iter_ = self.history_[-1]["step"]
        set_generator(module, None)
        self.state_ = {k: v.cpu().numpy() for k, v in module.state_dict().items()}
        self._restore()
        return self

    def _find_divisible_rows(self, X, rows):
        """Return the rows with at least two observed dates."""
        if X.shape[1] < 2:
            # A column of a 2-D array is a date.
            found = "1 feature(s), that is one date," if self._n_dims_in == 2 else "one date"
            raise ValueError(
                f"X has {found} per series, expected at least two: the contrast compares halves "
                "of the dates of different series."
            )
        bands, _ = split_channels(X.shape[2], self._module_params["position_channels"])
        chosen = np.zeros(len(X), dtype=bool)
        chosen[rows] = True
        for part in row_blocks(X, _BLOCK_VALUES // (X.shape[1] * X.shape[2])):
            observed = ~np.isnan(X[part][..., bands]).all(axis=2)
            chosen[part] &= observed.sum(axis=1) >= 2
        kept = np.flatnonzero(chosen)
        if len(kept) < 2:
            raise ValueError(
                f"X has {len(kept)} sample(s) with at least two observed dates, expected at least "
                "2: the contrast compares halves of the dates of different series."
            )
        if len(kept) < len(rows):
            warn_counted(
                "{rows} of {total} series have fewer than two observed dates. The training leaves "
                "them out.",
                DataQualityWarning,
                rows=len(rows) - len(kept),
                total=len(rows),
            )
        return kept

    def _split(self, rows, random_state):
        if not self.early_stopping:
            return rows, None
        n_validation = max(2, round(self.validation_fraction * len(rows)))
        if len(rows) - n_validation < 2:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction} leaves "
                f"{len(rows) - n_validation} of {len(rows)} series for training, expected at least "
                "2."
            )
        order = random_state.permutation(rows)
        return np.sort(order[n_validation:]), np.sort(order[:n_validation])

    def _build_module(self):
        return self._make_module(self._module_params["append_series"])

    def _make_module(self, append_series):
        params = SimpleNamespace(**self._module_params)
        return self._make_series_representation(params, "deep", params.embedding_dim, append_series)

    def _list_representations(self, module):
        """List the representations of a module and their votes, which sum to one."""
        return [(module, 1.0)]

    @property
    def _representation(self):
        return self._module

    @property
    def _n_features_out(self):
        return self._module.n_features

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the representation.

        Parameters
        ----------
        X : array-like of shape (n_series, n_dates, 1 + n_channels)
            Packed series.

        Returns
        -------
        Z : ndarray of shape (n_series, n_features)
            In the precision of X. First the embedding, `embedding_dim` numbers of mean 0 and
            variance 1 for each series; then, with `append_series`, the interpolated series, of
            n_heads * n_reference_dates numbers per band.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as documented, or its channels differ from those of the training data.
        """
        check_is_fitted(self)
        X = self._check_X(X, reset=False)
        device = check_device(self.device)
        dtype = torch.float64 if X.dtype == np.float64 else torch.float32
        module = self._copy_for(device, dtype)
        return predict_in_batches(
            lambda batch: module(**batch),
            lambda rows: self._to_batch(X[rows], device),
            len(X),
            device,
        )
