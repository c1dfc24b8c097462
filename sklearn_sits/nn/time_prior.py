"""Auto-regressive prior in time of estimates that are made date by date."""

import torch

__all__ = ["smooth"]

# Variance before the first date: nothing is known, yet differences keep their precision.
_DIFFUSE = 1e6


def smooth(dates, mean, std, *, rate, error_correlation):
    """Combine normal estimates of single dates under a random walk.

    The walk is the auto-regressive prior of coefficient one: a change between two dates has mean
    zero and a variance that grows with their distance. The errors of the dates have a part in
    common: who mistakes the leaf angles of a canopy does so at every date. A date alone keeps its
    estimate; dates without one get those around them, the less certain the farther.

    Parameters
    ----------
    dates : float64 tensor of shape (n, t)
        Days, in any order.
    mean, std : float64 tensor of shape (n, t, k)
        Estimates of single dates; an infinite standard deviation where nothing was seen.
    rate : float64 tensor of shape (k,)
        Variance of the change in a day.
    error_correlation : float64 tensor of shape (k,)
        Share of the variance of the errors that the dates have in common, in [0, 1).

    Returns
    -------
    mean, std : float64 tensor of shape (n, t, k)
    log_evidence : float64 tensor of shape (n, k)
        How likely the dates of a series are together, up to a constant: comparable between values
        of `rate`.
    """
    order = dates.argsort(dim=1)
    mean, std = (values.gather(1, order.unsqueeze(-1).expand_as(mean)) for values in (mean, std))
    steps = dates.gather(1, order).diff(dim=1).unsqueeze(-1) * rate

    seen = ~std.isinf()
    weight = 1 / ((1 - error_correlation) * std.square())
    # Both pass through one filter: the estimates of the dates, and the part of the common error.
    common = torch.where(seen, std * error_correlation.sqrt(), 0.0)
    values = torch.stack([torch.where(seen, mean, 0.0), common])

    means, variances, predicted = _filter(values, weight, steps)
    innovation = values - torch.stack([before for before, _ in predicted], 2)
    variance = torch.stack([before for _, before in predicted], 1)
    gain = weight / (1 + variance * weight)
    (quadratic, cross), (_, information) = torch.einsum(
        "intk,jntk,ntk->ijnk", innovation, innovation, gain
    )
    known = 1 + information
    log_evidence = -0.5 * (
        quadratic - cross.square() / known + torch.log1p(variance * weight).sum(1) + known.log()
    )

    for t in range(steps.shape[1] - 1, -1, -1):
        before, variance = predicted[t + 1]
        back = variances[t] / variance
        means[t] = means[t] + back * (means[t + 1] - before)
        variances[t] = variances[t] + back.square() * (variances[t + 1] - variance)
    of_seen, of_common = torch.stack(means, 2)
    mean = of_seen - of_common * (cross / known).unsqueeze(1)
    std = (torch.stack(variances, 1) + of_common.square() / known.unsqueeze(1)).sqrt()

    undo = order.argsort(dim=1).unsqueeze(-1).expand_as(mean)
    return mean.gather(1, undo), std.gather(1, undo), log_evidence


def _filter(values, weight, steps):
    """Run a Kalman filter; return filtered means and variances and the predictions before them."""
    mean = torch.zeros_like(values[:, :, 0])
    variance = torch.full_like(weight[:, 0], _DIFFUSE)
    means, variances, predicted = [], [], []
    for t in range(weight.shape[1]):
        if t:
            variance = variance + steps[:, t - 1]
        predicted.append((mean, variance))
        gain = variance * weight[:, t]
        gain = gain / (1 + gain)
        mean = mean + gain * (values[:, :, t] - mean)
        variance = variance * (1 - gain)
        means.append(mean)
        variances.append(variance)
    return means, variances, predicted
