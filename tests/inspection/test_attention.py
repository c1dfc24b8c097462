import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_sits import MTANEncoder, MTANMLPClassifier, MTANSVGPClassifier
from sklearn_sits.datasets import make_sits
from sklearn_sits.inspection import attention_weights


@pytest.fixture(scope="module")
def series():
    X, y = make_sits(60, 24, 3, 2, cloud_cover=0.3, random_state=0)
    X[::2, ::2, 2] = np.nan
    X[5, :, 1:4] = np.nan
    X[6, :, 2] = np.nan
    return X.astype(np.float64), y


@pytest.fixture(scope="module", params=["encoder", "one member", "members", "with encoder"])
def fitted(request, series):
    options = {"n_reference_dates": 9, "position_channels": (-2, -1), "random_state": 0}
    encoder = MTANEncoder(max_iter=5, n_heads=2, time_embedding_dim=16, **options)
    models = {
        "encoder": encoder,
        "one member": MTANMLPClassifier(max_iter=2, n_members=1, n_heads=2, **options),
        "members": MTANSVGPClassifier(max_iter=2, n_inducing=20, **options),
        "with encoder": MTANMLPClassifier(max_iter=2, encoder=encoder, **options),
    }
    return fit(models[request.param], series)


def fit(model, series):
    """Fit a model; one series has no observation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(*series)


@pytest.mark.filterwarnings("ignore:.*no valid observation")
def test_weights_interpolate_as_the_model_does(fitted, series):
    """Weighted means of the observations are the interpolated series of every member."""
    X = series[0]
    module = fitted._module
    representations = [part for part, _ in fitted._list_representations(module)]
    batch = fitted._to_batch(X, torch.device("cpu"))
    for channel in (1, 2, 3):
        result = attention_weights(fitted, X, channel=channel, average=False)
        values = np.nan_to_num(X[..., channel])
        for member, representation in enumerate(representations):
            times = (batch["dates"] - representation.start) / representation.span
            series, _ = representation.attention(
                times, batch["values"], batch["mask"], batch.get("index")
            )
            found = np.einsum("nhrt,nt->nhr", result.weights[:, member], values)
            expected = series[:, channel - 1].numpy()
            np.testing.assert_allclose(found.reshape(len(X), -1), expected, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*no valid observation")
def test_weights_of_observed_dates_sum_to_one(fitted, series):
    X = series[0]
    result = attention_weights(fitted, X)
    assert result.weights.shape == (60, 9, X.shape[1])
    total = result.weights.sum(axis=2)
    assert (total[5] == 0).all()
    np.testing.assert_allclose(np.delete(total, 5, axis=0), 1)
    hidden = np.isnan(X[..., 1:4]).all(axis=2)
    assert (result.weights.transpose(0, 2, 1)[hidden] == 0).all()
    np.testing.assert_array_equal(result.reference_dates, fitted.reference_dates_)
    second = attention_weights(fitted, X, channel=2).weights
    assert (second[6] == 0).all()
    assert (second.transpose(0, 2, 1)[np.isnan(X[..., 2])] == 0).all()


@pytest.mark.filterwarnings("ignore:.*no valid observation")
def test_average_counts_votes_and_heads(fitted, series):
    result = attention_weights(fitted, series[0])
    single = attention_weights(fitted, series[0], average=False)
    np.testing.assert_allclose(result.votes.sum(), 1)
    expected = np.einsum("m,nmhrt->nrt", single.votes, single.weights) / single.weights.shape[2]
    np.testing.assert_allclose(result.weights, expected)
    assert single.weights.shape[1] == len(single.votes)


def test_votes_are_those_of_the_prediction(series):
    clf = fit(MTANSVGPClassifier(max_iter=2, n_inducing=20, random_state=0), series)
    # Half of the votes belong to the Gaussian process on the interpolated series.
    votes = attention_weights(clf, series[0][:5]).votes
    np.testing.assert_allclose(votes, [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_wrong_arguments(series):
    X, y = series
    encoder = MTANEncoder(max_iter=2, position_channels=(-2, -1), random_state=0)
    with pytest.raises(ValueError, match="not fitted"):
        attention_weights(encoder, X)
    fit(encoder, series)
    with pytest.raises(
        ValueError, match=r"channel=-1 is no band of X, expected one of \[1, 2, 3\]"
    ):
        attention_weights(encoder, X[:3], channel=-1)
    with pytest.raises(ValueError, match="channel=0 is no band"):
        attention_weights(encoder, X[:3], channel=0)
    with pytest.raises(TypeError, match="channel must be an integer or None, got 'B4'"):
        attention_weights(encoder, X[:3], channel="B4")
    with pytest.raises(TypeError, match="got Pipeline. Of a pipeline or a search, pass the fitted"):
        attention_weights(make_pipeline(encoder, LogisticRegression()), X)
