"""The cube that the options of a command describe."""

from pathlib import Path
from typing import NamedTuple

from sklearn_sits._extras import import_extra

__all__ = ["Cube", "open_cube"]


class Cube(NamedTuple):
    """A cube on disk, of which nothing has been read.

    Parameters
    ----------
    bands : xarray.DataArray or xarray.Dataset
        Reflectances.
    valid : xarray.DataArray or None
        Mask.
    layers : xarray.Dataset
        All variables, decoded.
    """

    bands: object
    valid: object
    layers: object

    def list_bands(self):
        """List the names of the bands.

        Returns
        -------
        names : list of str or None
            None if the cube has no names.
        """
        if hasattr(self.bands, "data_vars"):
            return list(self.bands.data_vars)
        return self.bands["band"].values.tolist() if "band" in self.bands.coords else None

    def find_static(self, names):
        """Return static layers by name; the name itself of a coordinate.

        Parameters
        ----------
        names : list of str or None
            Variables and coordinates.

        Returns
        -------
        static : list or None

        Raises
        ------
        ValueError
            If there is no such variable.
        """
        _check_names(self.layers, names or [])
        found = [self.layers[n] if n in self.layers.data_vars else n for n in names or []]
        return found or None


def open_cube(path, args, static=None, bands=None):
    """Open a cube.

    Parameters
    ----------
    path : str
        Zarr store or NetCDF file.
    args : argparse.Namespace
        Options `variable`, `mask`, `clear`, `decode` and `chunk`.
    static : list of str or None, default=None
        Static layers, which are no bands.
    bands : list of str or None, default=None
        Bands, None for all variables.

    Returns
    -------
    cube : Cube

    Raises
    ------
    ValueError
        If a variable is missing, or it is not clear which ones are the bands or the mask.
    """
    path = Path(path)
    layers = _open_dataset(path, args.chunk, mask_and_scale=True)
    layers.attrs["name"] = path.name
    _check_names(layers, [args.variable, args.mask, *(static or [])])
    others = [name for name in [args.mask, *(static or [])] if name in layers.data_vars]
    found = _open_dataset(path, args.chunk, mask_and_scale=False) if args.decode else layers
    found = found.drop_vars(others)
    with_bands = [name for name, one in found.data_vars.items() if "band" in one.dims]
    variable = args.variable
    if variable is None and with_bands:
        if len(with_bands) > 1:
            raise ValueError(f"{path.name} has the variables {with_bands}, choose one: --variable.")
        variable = with_bands[0]
    if variable is None and bands is None:
        _check_kinds(found)
    found = found if variable is None else found[variable]
    return Cube(found, _find_mask(args, layers), layers)


def _check_names(layers, names):
    for name in names:
        if name is not None and name not in layers.variables:
            raise ValueError(
                f"{layers.attrs['name']} has no variable {name!r}, only {list(layers.variables)}."
            )


def _check_kinds(bands):
    """Check that the variables that are taken as bands do not include a mask."""
    kinds = {name: one.dtype.kind for name, one in bands.data_vars.items()}
    integers = [name for name, kind in kinds.items() if kind != "f"]
    unscaled = [name for name in integers if "scale_factor" not in bands[name].attrs]
    if unscaled and len(unscaled) < len(kinds):
        raise ValueError(
            f"The variable {unscaled[0]!r} holds {bands[unscaled[0]].dtype}, unlike the bands: "
            f"name --bands, or is {unscaled[0]} a --mask?"
        )


def _open_dataset(path, chunk, mask_and_scale):
    xr = import_extra("xarray")
    engine = "zarr" if path.is_dir() else None
    options = {"engine": engine, "mask_and_scale": mask_and_scale, "decode_coords": "all"}
    dataset = xr.open_dataset(path, **options)
    # Nothing is read yet: each block reads its own part.
    return dataset.chunk({dim: chunk for dim in dataset.dims if dim not in ("time", "band")})


def _find_mask(args, layers):
    if args.mask is None:
        if args.clear is not None:
            raise ValueError("--clear needs --mask.")
        return None
    mask = layers[args.mask]
    if args.clear is not None:
        return mask.isin(args.clear)
    if mask.dtype != bool:
        raise ValueError(
            f"--mask {args.mask} has the dtype {mask.dtype}: give the values that are observed, "
            "for example --clear 4 5 6."
        )
    return mask
