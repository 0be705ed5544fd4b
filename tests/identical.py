"""What is the same as what, to the last bit and the order of names."""

from __future__ import annotations

import numpy as np
import xarray as xr


def assert_same(one: xr.Dataset | xr.DataTree, two: xr.Dataset | xr.DataTree) -> None:
    """Identical, and alike in what ``identical`` does not look at: order, dtypes, attributes."""
    assert type(one) is type(two)
    if isinstance(one, xr.DataTree):
        assert [n.path for n in one.subtree] == [n.path for n in two.subtree]
        assert one.name == two.name
        for nodes in zip(one.subtree, two.subtree, strict=True):
            # A node remembers dimensions in the order of a Dataset that is gone.
            a, b = (node.to_dataset(inherit=False) for node in nodes)
            assert_same(a[[*a.variables]], b[[*b.variables]])
        return
    xr.testing.assert_identical(one, two)
    assert list(one.variables) == list(two.variables)
    assert list(one.coords) == list(two.coords)
    assert list(one.sizes.items()) == list(two.sizes.items())
    assert set(one.xindexes) == set(two.xindexes)
    assert_same_attrs(one.attrs, two.attrs)
    for name in one.variables:
        assert one[name].dtype == two[name].dtype, name
        assert_same_attrs(one[name].attrs, two[name].attrs)
        assert type(one.xindexes.get(name)) is type(two.xindexes.get(name))
        a, b = one[name].values, two[name].values
        if a.dtype.kind == "f":  # -0.0, and each bit of a NaN
            assert a.tobytes() == b.tobytes(), name


def assert_same_attrs(one: dict, two: dict) -> None:
    assert list(one) == list(two)
    for key, value in one.items():
        assert type(value) is type(two[key]), key
        if isinstance(value, list):
            assert [type(v) for v in value] == [type(v) for v in two[key]]
        if isinstance(value, np.ndarray):
            assert value.dtype == two[key].dtype
        assert repr(value) == repr(two[key])
