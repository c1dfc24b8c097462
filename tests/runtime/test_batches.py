import numpy as np
import pytest
import torch

from sklearn_sits.runtime.batches import predict_in_batches, to_tensor

CPU = torch.device("cpu")


def test_prediction_in_batches():
    x = torch.arange(150.0)
    seen = []

    def load(rows):
        seen.append(x[rows].tolist())
        return {"x": x[rows]}

    one, two = predict_in_batches(lambda batch: (batch["x"], -batch["x"]), load, 150, CPU, 128)
    # Whole blocks of rows, by repetition.
    last = x[128:].tolist()
    assert seen == [x[:128].tolist(), 2 * last + last[:20]]
    assert one.tolist() == x.tolist()
    assert two.tolist() == (-x).tolist()
    single = predict_in_batches(lambda batch: batch["x"], load, 150, CPU)
    assert single.tolist() == x.tolist()
    assert predict_in_batches(lambda batch: batch["x"], load, 1, CPU).tolist() == [0.0]


@pytest.mark.parametrize("change", ["none", "reversed", "columns", "read-only"])
def test_any_array_becomes_a_tensor(change):
    array = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    if change == "reversed":
        array = array[::-1]
    elif change == "columns":
        array = array[:, ::2]
    elif change == "read-only":
        array.setflags(write=False)
    tensor = to_tensor(array, CPU)
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == array.tolist()
