import numpy as np
import pytest
import torch

from sklearn_sits.nn.stacking import draw_folds, find_share


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("counts", [[5, 5, 5], [7, 1, 23]])
def test_folds_are_balanced(counts):
    labels = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=generator())]
    fold = draw_folds(labels, generator(1))
    assert fold.unique().tolist() == [0, 1, 2, 3, 4]
    for c, n in enumerate(counts):
        sizes = torch.bincount(fold[labels == c], minlength=5)
        assert sizes.sum() == n
        assert sizes.max() - sizes.min() <= 1
    assert not torch.equal(fold, draw_folds(labels, generator(2)))


def test_share_without_evidence_is_one_half():
    same = torch.log(torch.tensor([0.2, 0.9, 0.5]))
    assert find_share(same, same, torch.ones(3)) == pytest.approx(0.5)


def test_share_follows_the_evidence():
    good, bad = torch.full((100,), 0.9).log(), torch.full((100,), 0.3).log()
    weight = torch.ones(100)
    assert find_share(good, bad, weight) < 0.05
    assert find_share(bad, good, weight) > 0.95
    few = find_share(bad[:5], good[:5], weight[:5])
    likelihood = np.polynomial.Polynomial([0.3, 0.6]) ** 5
    mean = (np.polynomial.Polynomial([0, 1]) * likelihood).integ()(1) / likelihood.integ()(1)
    assert few == pytest.approx(mean, abs=1e-2)
    assert find_share(bad, good, 0.05 * weight) == pytest.approx(few)


def test_share_of_two_that_complement_each_other():
    """Each is right where the other is wrong."""
    first = torch.tensor([0.9, 0.1]).repeat(200).log()
    assert find_share(first, first.flip(0), torch.ones(400)) == pytest.approx(0.5, abs=1e-3)


def test_one_row_does_not_decide():
    first, second = torch.full((50,), 0.6).log(), torch.full((50,), 0.8).log()
    second[0] = -1e4
    assert 0.5 < find_share(first, second, torch.ones(50)) < 1
