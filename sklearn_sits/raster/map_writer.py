"""Write a lazy map chunk by chunk, and continue after an interruption."""

from __future__ import annotations

import json
import numbers
import os
import shutil
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sklearn_sits._extras import import_extra
from sklearn_sits._module_names import set_module
from sklearn_sits._warnings import warn_user
from sklearn_sits.raster.fingerprint import fingerprint
from sklearn_sits.raster.map_legend import read_legend
from sklearn_sits.raster.map_warnings import gather_warnings, take_warnings

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_map", "write_map"]

_STORE, _RECORD = "store", "finished_chunks"


@set_module("sklearn_sits.raster")
def write_map(
    raster: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    colors: Mapping[Any, str] | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: bool = True,
) -> xr.DataArray:
    """Write a lazy map into a Zarr store, chunk by chunk.

    Parameters
    ----------
    raster : xarray.DataArray
        Map of numbers, as returned by :func:`~sklearn_sits.raster.predict_raster`. The store has
        the same chunks.
    path : str or path-like
        Store to create, on a local disk, or on a shared disk if workers run on other machines.
        Until the map is complete, it is in the folder `path` + ".partial".
    colors : mapping of label to str, default=None
        Colours of the classes, such as ``{"wheat": "#e6c229"}``, for the attribute flag_colors,
        which :func:`~sklearn_sits.raster.export_geotiff` reads. The other classes get its default
        colours.
    overwrite : bool, default=False
        Replace an existing map when the new map is complete, and delete an unfinished map with
        other settings.
    resume : bool, default=True
        Continue an unfinished map with the same model and grid; return a finished one unchanged.
        False: both are errors, unless `overwrite` is True, which starts again.
    progress : bool, default=True
        Show a progress bar.

    Returns
    -------
    raster : xarray.DataArray
        The map, opened from the store by :func:`open_map`.

    Raises
    ------
    ImportError
        If xarray, dask or zarr is not installed.
    TypeError
        If `raster` is not a DataArray of numbers, or `colors` is not a mapping.
    ValueError
        If `colors` names a class that the map does not have, the chunks of `raster` have
        different sizes, or the map at `path` or the unfinished one differs in model, shape, chunks,
        coordinates or attributes.
    FileExistsError
        If `path` exists and is not a map, or is a map and `resume` is False.
    FileNotFoundError, PermissionError
        If the folder of `path` does not exist or cannot be written.

    Warns
    -----
    DataQualityWarning
        If values of the cube count as not observed; see
        :func:`~sklearn_sits.raster.predict_raster`.
    UserWarning
        If attributes of the map cannot be stored.

    Notes
    -----
    The current scheduler of dask computes the chunks, with threads, processes or a distributed
    client; one chunk per worker is in memory. A chunk counts as finished once it is written and
    recorded. Finished chunks are never computed again.

    Model and settings are compared by the attribute `fingerprint`, which `predict_raster` sets.
    The values of the cube and of the mask are not compared. Record them in an attribute, such as
    ``raster.attrs["mask"] = "SCL 4, 5"``, to have them compared.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> from sklearn_sits import LinearInterpolator
    >>> from sklearn_sits.raster import pack_cube, predict_raster, write_map
    >>> cube = xr.DataArray(
    ...     np.random.default_rng(0).uniform(size=(1, 3, 4, 6)),
    ...     dims=("band", "time", "y", "x"),
    ...     coords={"time": pd.date_range("2024-01-01", periods=3, freq="10D")},
    ... )
    >>> monthly = LinearInterpolator(step=10).fit(pack_cube(cube))
    >>> raster = predict_raster(monthly, cube.chunk(x=3), method="transform")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_map(raster, os.path.join(folder, "map.zarr"), progress=False)
    ...     shape = written.compute().shape
    >>> shape
    (3, 4, 6)
    """
    xr, _ = import_extra("xarray"), import_extra("zarr")
    if not isinstance(raster, xr.DataArray):
        raise TypeError(f"raster must be an xarray DataArray, got {type(raster).__name__}.")
    if raster.dtype.kind not in "fiu":
        raise TypeError(f"raster must hold numbers, got dtype {raster.dtype}.")
    path = _check_path(path)
    if colors is not None:
        legend = read_legend(raster, colors)
        raster = raster.assign_attrs(flag_colors=" ".join(entry.color for entry in legend))
    import_extra("dask.array")
    raster = _drop_unstorable(raster if raster.chunks is not None else raster.chunk())
    dataset = _to_dataset(raster)
    identity = _identify(raster, dataset)
    partial = path.with_name(path.name + ".partial")
    if path.exists():
        _check_replaceable(path)
        if not overwrite:
            if not resume:
                raise FileExistsError(f"{path} exists. overwrite=True replaces it.")
            _check_identity(path, identity)
            shutil.rmtree(partial, ignore_errors=True)
            return open_map(path)
    store, record = partial / _STORE, partial / _RECORD
    # The record is created last: without it, nothing has been computed.
    if record.exists() and not _may_resume(store, identity, overwrite, resume):
        shutil.rmtree(partial)
    if not record.exists():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        encoding = {raster.name or "map": {"chunks": tuple(sizes[0] for sizes in raster.chunks)}}
        dataset.attrs["identity"] = identity
        # All readers of Zarr read format 2, including its strings.
        dataset.to_zarr(store, encoding=encoding, compute=False, consolidated=True, zarr_format=2)
        record.touch()
    for leftover in store.rglob("*.partial"):
        leftover.unlink()
    with gather_warnings(raster.attrs.get("fingerprint")) as records:
        _compute(raster, store, record, progress, records)
    if path.exists():
        shutil.rmtree(path)
    os.rename(store, path)
    shutil.rmtree(partial)
    return open_map(path)


@set_module("sklearn_sits.raster")
def open_map(path: str | os.PathLike[str]) -> xr.DataArray:
    """Open a finished map of :func:`write_map`.

    Parameters
    ----------
    path : str or path-like
        Zarr store.

    Returns
    -------
    raster : xarray.DataArray
        The map, backed by dask. Integers stay integers, with `_FillValue` in the attributes.

    Raises
    ------
    ImportError
        If xarray, dask or zarr is not installed.
    FileNotFoundError
        If there is no store, or the map is not finished.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, xarray as xr
    >>> from sklearn_sits.raster import open_map, write_map
    >>> raster = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("y", "x"), name="lai")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "map.zarr")
    ...     _ = write_map(raster, path, progress=False)
    ...     total = float(open_map(path).sum())
    >>> total
    15.0
    """
    xr, _ = import_extra("xarray"), import_extra("zarr")
    path = Path(path)
    if not path.exists():
        unfinished = path.with_name(path.name + ".partial").exists()
        raise FileNotFoundError(
            f"{path} does not exist" + (": the map is not finished." if unfinished else ".")
        )
    dataset = xr.open_zarr(path, mask_and_scale=False, consolidated=True, chunks={})
    (name,) = dataset.data_vars
    return dataset[name]


def _check_path(path):
    if "://" in str(path):
        raise ValueError(f"path must be on a local or shared disk, got {str(path)!r}.")
    path = Path(path).absolute()
    if path.suffix.lower() in (".tif", ".tiff"):
        raise ValueError(
            f"path={path.name!r}: maps are written as Zarr, into path.zarr; export_geotiff turns "
            "a finished one into a GeoTIFF."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"The folder {path.parent} cannot be written.")
    return path


def _check_replaceable(path):
    """Check that a path is a map, so that no other folder is ever replaced."""
    if not path.is_dir() or not (path / ".zgroup").exists():
        raise FileExistsError(f"{path} exists and is not a map that write_map made.")


def _drop_unstorable(raster):
    """Leave out attributes that a store cannot hold, which libraries add."""
    attrs = {name: one for name, one in raster.attrs.items() if _is_storable(one)}
    left_out = [name for name in raster.attrs if name not in attrs]
    if not left_out:
        return raster
    warn_user(
        f"The attributes {left_out} of raster are left out of the store: expected text, numbers, "
        "lists or dicts of them.",
        UserWarning,
    )
    raster = raster.copy(deep=False)
    raster.attrs = attrs
    return raster


def _is_storable(value):
    types = str | numbers.Number | list | tuple | dict | np.ndarray | np.generic | None
    try:
        return isinstance(value, types) and bool(_to_json(value))
    except TypeError:
        return False


def _to_json(value):
    return json.dumps(np.asarray(value).tolist())


def _to_dataset(raster):
    name = raster.name or "map"
    for dim, sizes in zip(raster.dims, raster.chunks, strict=True):
        if len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]:
            raise ValueError(
                f"raster has chunks of different sizes along {dim}: {sizes}. Give the cube even "
                f"ones, cube.chunk({dim}={max(sizes)})."
            )
    # The encoding of the cube does not apply to the map.
    dataset = raster.drop_encoding().to_dataset(name=name)
    return dataset.assign_coords(raster.drop_encoding().coords.to_dataset().compute().coords)


def _identify(raster, dataset):
    """Return the settings in which two maps must agree, in types of JSON."""
    attrs = {key: _to_json(value) for key, value in raster.attrs.items()}
    model = str(raster.attrs.get("fingerprint", ""))
    attrs.pop("fingerprint", None)
    coords = {name: (one.dims, one.values) for name, one in dataset.coords.items()}
    return {
        "model": model,
        "name": str(raster.name or "map"),
        "dimensions": [str(dim) for dim in raster.dims],
        "shape": list(raster.shape),
        "chunks": [sizes[0] for sizes in raster.chunks],
        "dtype": str(raster.dtype),
        "coordinates": fingerprint(coords),
        "attributes": attrs,
    }


def _check_identity(store, identity):
    found = import_extra("zarr").open_group(str(store), mode="r").attrs.get("identity", {})
    changed = [name for name, value in identity.items() if found.get(name) != value]
    if changed:
        if changed[-1] == "attributes" and isinstance(found.get("attributes"), dict):
            changed[-1] += _say_changes(found["attributes"], identity["attributes"])
        raise ValueError(
            f"{store} was made with other {', '.join(changed)} than raster. Choose another path, "
            "or overwrite=True to replace it."
        )


def _say_changes(stored, wanted):
    """Return in words which attributes differ."""
    names = [name for name in {**stored, **wanted} if stored.get(name) != wanted.get(name)]
    parts = [
        f"{name} is {stored.get(name, 'missing')[:60]} instead of "
        f"{wanted.get(name, 'missing')[:60]}"
        for name in names
    ]
    return f" ({'; '.join(parts)})"


def _may_resume(store, identity, overwrite, resume):
    """Return whether to continue an unfinished map, False to drop it."""
    if not resume:
        if not overwrite:
            raise FileExistsError(
                f"{store.parent} holds an unfinished map. resume=True continues it, "
                "overwrite=True drops it."
            )
        return False
    try:
        _check_identity(store, identity)
    except ValueError:
        if not overwrite:
            raise
        return False
    return True


def _compute(raster, store, record, progress, records):
    """Compute and write the chunks that are not recorded, and collect their warnings."""
    name, mark = raster.name or "map", raster.attrs.get("fingerprint")
    data = raster.data
    # An incomplete line does not count.
    lines = record.read_text().splitlines(keepends=True)
    finished = {int(line) for line in lines if line.endswith("\n")}
    # Dask joins functions of blocks: the process that predicts a chunk also writes it, and returns
    # the warnings. Of two tasks, another process could do the second.
    blocks = data.map_blocks(
        _write_chunk,
        str(store),
        name,
        _find_chunk_edges(data.chunks),
        mark,
        dtype=object,
        meta=np.empty((0,) * data.ndim, dtype=object),
        name=f"write-{name}-{uuid.uuid4().hex}",
    ).to_delayed()
    tasks = {block.key: block for i, block in enumerate(blocks.ravel()) if i not in finished}
    if not tasks:
        return
    with (
        open(record, "a", encoding="ascii") as file,
        tqdm(total=blocks.size, initial=len(finished), unit="chunk", disable=not progress) as bar,
    ):
        if lines and not lines[-1].endswith("\n"):
            file.write("\n")

        def note(key, warned):
            records.merge(warned)
            file.write(f"{np.ravel_multi_index(key[1:], blocks.shape)}\n")
            file.flush()
            os.fsync(file.fileno())
            bar.update()

        _run(tasks, note)


def _run(tasks, note):
    """Compute tasks by key, and call `note` with the key and the result of each."""
    dask = import_extra("dask")
    owner = getattr(dask.base.get_scheduler(), "__self__", None)
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(owner, distributed.Client):
        futures = owner.compute(list(tasks.values()))
        try:
            for future in distributed.as_completed(futures):
                note(future.key, future.result())
        finally:
            owner.cancel(futures)
        return

    def after(key, result, dsk, state, worker):
        if key in tasks:
            note(key, result)

    with dask.callbacks.Callback(posttask=after):
        dask.compute(*tasks.values())


def _find_chunk_edges(chunks):
    """Return the first position of every chunk and the end, by axis."""
    return [np.cumsum((0, *sizes)).tolist() for sizes in chunks]


def _write_chunk(values, store, name, edges, mark, block_id=None):
    """Write a chunk, and return the warnings of blocks that this process has computed."""
    import zarr

    region = tuple(slice(*edge[i : i + 2]) for edge, i in zip(edges, block_id, strict=True))
    zarr.open_array(store, path=name, mode="r+", zarr_format=2)[region] = values
    return take_warnings(mark)
