"""Figure of the calibration of a classifier of many classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from sklearn_sits._module_names import set_module
from sklearn_sits.displays.axes import open_axes, place_legend
from sklearn_sits.metrics.calibration import expected_calibration_error, reliability_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.base import BaseEstimator

__all__ = ["ReliabilityDisplay"]

# Height that a bar of all samples would have.
_BAR_HEIGHT = 0.3


@set_module("sklearn_sits.displays")
class ReliabilityDisplay:
    """Confidence of a classifier and its accuracy, with the share of samples of each confidence.

    A point below the diagonal is over-confident. The bars at the bottom are the share of the
    samples; a bar of height 0.3 would be all of them.

    Parameters
    ----------
    prob_true, prob_pred : ndarray of shape (n_bins,)
        Accuracy and mean confidence of each bin; see
        :func:`sklearn_sits.metrics.reliability_curve`.
    counts : ndarray of shape (n_bins,)
        Number of samples of each bin.
    error : float or None, default=None
        Expected calibration error.
    name : str or None, default=None
        Name of the classifier.
    pos_label : label or None, default=None
        Class whose probability is compared with its frequency.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the figure.
    figure_ : matplotlib Figure
        Figure.
    line_ : matplotlib Line2D
        Curve.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : The curve of two classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sits.displays import ReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.dirichlet([1, 1, 1], 500)
    >>> y = np.array([rng.choice(3, p=p) for p in proba])
    >>> display = ReliabilityDisplay.from_predictions(y, proba, name="perfect")
    >>> display.ax_.get_xlabel()
    'Confidence'
    """

    def __init__(
        self,
        prob_true: np.ndarray,
        prob_pred: np.ndarray,
        counts: np.ndarray,
        *,
        error: float | None = None,
        name: str | None = None,
        pos_label: Any = None,
    ) -> None:
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.counts = counts
        self.error = error
        self.name = name
        self.pos_label = pos_label

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        pos_label: Any = None,
        n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform",
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Predict probabilities and draw their reliability.

        Parameters
        ----------
        estimator : estimator instance
            Fitted classifier with `predict_proba`.
        X : array-like
            Data that the classifier was not fitted on.
        y : array-like of shape (n_samples,)
            True labels.
        pos_label : label or None, default=None
            Class whose probability to compare with its frequency. None compares the largest
            probability of each sample with the accuracy.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equal numbers of samples.
        name : str or None, default=None
            Name in the legend; None is that of the class of the estimator.
        ax : matplotlib Axes or None, default=None
            Axes to draw on, such as those of another display; None makes a new figure.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        TypeError
            If the estimator has no `predict_proba`.
        ValueError
            If an argument is wrong.
        """
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba, which {type(estimator).__name__} has not."
            )
        return cls.from_predictions(
            y,
            estimator.predict_proba(X),
            labels=estimator.classes_,
            pos_label=pos_label,
            n_bins=n_bins,
            strategy=strategy,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y: ArrayLike,
        proba: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        pos_label: Any = None,
        n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform",
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            True labels.
        proba : array-like of shape (n_samples, n_classes)
            Probabilities.
        labels : array-like of shape (n_classes,), default=None
            Classes of the columns. None: the sorted labels of `y`.
        pos_label, n_bins, strategy, name, ax : object
            See `from_estimator`.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        ValueError
            If an argument is wrong.
        """
        options = {"labels": labels, "n_bins": n_bins, "strategy": strategy}
        prob_true, prob_pred, counts = reliability_curve(y, proba, pos_label=pos_label, **options)
        error = None
        if pos_label is None:
            error = expected_calibration_error(y, proba, **options)
        return cls(prob_true, prob_pred, counts, error=error, name=name, pos_label=pos_label).plot(
            ax=ax
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on, such as those of another display; None makes a new figure.

        Returns
        -------
        display : ReliabilityDisplay
        """
        self.figure_, self.ax_ = open_axes(ax)
        if "calibrated" not in self.ax_.get_legend_handles_labels()[1]:
            self.ax_.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="calibrated")
        name = "classifier" if self.name is None else self.name
        if self.error is not None:
            name = f"{name}, error {self.error:.3f}"
        (self.line_,) = self.ax_.plot(self.prob_pred, self.prob_true, "o-", label=name)
        counts = np.asarray(self.counts, dtype=np.float64)
        self.ax_.vlines(
            self.prob_pred,
            0,
            _BAR_HEIGHT * counts / counts.sum(),
            color=self.line_.get_color(),
            linewidth=6,
            alpha=0.4,
        )
        labels = ["Confidence", "Accuracy"]
        if self.pos_label is not None:
            labels = [f"Probability of {self.pos_label}", f"Frequency of {self.pos_label}"]
        limits = {"xlim": (-0.02, 1.02), "ylim": (-0.02, 1.02)}
        self.ax_.set(xlabel=labels[0], ylabel=labels[1], **limits)
        place_legend(self.ax_, ncols=2)
        return self
