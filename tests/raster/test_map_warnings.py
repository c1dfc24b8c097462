import pickle

import pytest

from sklearn_sits._warnings import CollectedWarning
from sklearn_sits.exceptions import DataQualityWarning
from sklearn_sits.raster import map_warnings
from sklearn_sits.raster.map_warnings import (
    MapWarnings,
    WarningRecords,
    gather_warnings,
    take_warnings,
)


@pytest.fixture(autouse=True)
def no_maps(monkeypatch):
    monkeypatch.setattr(map_warnings, "_maps", type(map_warnings._maps)())


def bad(n):
    text = "{values} values in {series} of {total} series are bad."
    return CollectedWarning(text, DataQualityWarning, {"values": 3 * n, "series": n})


def median(value):
    text = f"channel 3 has the median {value:g}, in training 0.1 to 0.5."
    return CollectedWarning(text, DataQualityWarning, {})


def records(*batches, n_pixels=10):
    found = WarningRecords()
    for batch in batches:
        found.add_batch(batch)
        found.n_pixels += n_pixels
    return found


def messages(found):
    assert {category for _, category in found.messages()} == {DataQualityWarning}
    return [message for message, _ in found.messages()]


def test_counts_are_added_up():
    found = records([bad(2)], [bad(1)], [])
    found.merge(records([bad(4)]))
    assert messages(found) == ["21 values in 7 of 40 pixels are bad."]


def test_members_of_an_ensemble_count_once():
    assert messages(records([bad(2), bad(2), bad(2)])) == ["6 values in 2 of 10 pixels are bad."]


def test_messages_that_differ_in_numbers_are_one():
    found = records([median(0.9)], [median(1e4)], [median(-2.5e-3)])
    assert messages(found) == [
        "channel 3 has the median 0.9, in training 0.1 to 0.5. (The first of 3 such warnings in "
        "this map.)"
    ]
    assert messages(records([median(0.9)])) == [median(0.9).text]


def test_first_block_warns_and_others_do_not():
    one = MapWarnings("model")
    with pytest.warns(DataQualityWarning, match="^6 values in 2 of 10 pixels .* Other blocks"):
        one.add(records([bad(2)]))
    # In another process, or after a map was sent to it and back.
    pickle.loads(pickle.dumps(one)).add(records([bad(5)]))
    with pytest.warns(DataQualityWarning, match="median"):
        one.add(records([bad(1), median(2)]))
    with pytest.warns(DataQualityWarning, match="^6 values"):
        MapWarnings("model").add(records([bad(2)]))


def test_gather_warnings():
    one, other = MapWarnings("model"), MapWarnings("other model")
    with pytest.warns(DataQualityWarning):
        one.add(records([bad(100)]))

    def work():
        with gather_warnings("model") as gathered:
            # What was computed before does not count.
            one.add(records([bad(2)]))
            gathered.merge(take_warnings("model"))
            one.add(records([bad(1)]))
            other.add(records([bad(7)]))
            # From another process.
            gathered.merge(pickle.loads(pickle.dumps(records([bad(3)], n_pixels=80))))

    with pytest.warns(DataQualityWarning) as caught:
        work()
    assert [str(one.message) for one in caught] == ["18 values in 6 of 100 pixels are bad."]
    assert caught[0].filename == __file__
    assert messages(take_warnings(None)) == ["21 values in 7 of 10 pixels are bad."]
    assert take_warnings(None).messages() == []


def test_error_while_gathering():
    one = MapWarnings("model")

    def fail():
        with gather_warnings("model"):
            one.add(records([bad(2)]))
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    with pytest.warns(DataQualityWarning, match="^3 values in 1 of 10 pixels"):
        one.add(records([bad(1)]))


def test_number_of_maps_is_limited(monkeypatch):
    monkeypatch.setattr(map_warnings, "_MAX_MAPS", 3)
    for _ in range(5):
        MapWarnings("model").add(records([]))
    assert len(map_warnings._maps) == 3
