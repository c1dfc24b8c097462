import numpy as np
import torch

from sklearn_sits.phenology.training import cross_patterns


def test_cross_patterns():
    rng = np.random.default_rng(0)
    seen = torch.from_numpy(rng.random((6, 40)) < 0.4)
    days = torch.from_numpy(np.sort(rng.uniform(0, 365, (6, 40)), axis=1)).float()
    generator = torch.Generator().manual_seed(0)
    found, mask = cross_patterns(days, seen, 500, generator)
    assert found.shape[0] == 500
    assert mask.any(1).all()
    own = [set(day[s].tolist()) for day, s in zip(days, seen, strict=True)]
    for i, (day, s) in enumerate(zip(found, mask, strict=True)):
        used = sorted(day[s].tolist())
        if i < 6:
            assert set(used) == own[i]
        assert any(
            set(used[:cut]) <= one and set(used[cut:]) <= other
            for cut in range(len(used) + 1)
            for one in own
            for other in own
        )
    assert len({tuple(day[s].tolist()) for day, s in zip(found, mask, strict=True)}) > 100
    assert cross_patterns(days, seen, 6, generator) == (days, seen)
