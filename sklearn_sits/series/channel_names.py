"""Names of bands and angles, compared whatever the spelling."""

import re
from difflib import get_close_matches

__all__ = ["match_names", "suggest", "to_band_name"]

# Names of the angles of a canopy model, and what others call them.
_ANGLES = ("sun_zenith", "view_zenith", "relative_azimuth")
_OTHER_ANGLES = {
    "solar_zenith": "sun_zenith",
    "sza": "sun_zenith",
    "sensor_zenith": "view_zenith",
    "viewing_zenith": "view_zenith",
    "vza": "view_zenith",
    "raa": "relative_azimuth",
}
# Common names of bands in catalogues (STAC), by the start of the name of a sensor.
_COMMON = {
    "Sentinel-2": {
        "coastal": "b1",
        "blue": "b2",
        "green": "b3",
        "red": "b4",
        "rededge1": "b5",
        "rededge2": "b6",
        "rededge3": "b7",
        "nir": "b8",
        "nir08": "b8a",
        "nir09": "b9",
        "swir16": "b11",
        "swir22": "b12",
    },
    "Landsat": {
        "coastal": "b1",
        "blue": "b2",
        "green": "b3",
        "red": "b4",
        "nir": "b5",
        "nir08": "b5",
        "swir16": "b6",
        "swir22": "b7",
    },
    "MODIS": {
        "red": "b1",
        "nir": "b2",
        "nir08": "b2",
        "blue": "b3",
        "green": "b4",
        "swir16": "b6",
        "swir22": "b7",
    },
}
# Bands that only one family of sensors has.
_OWN = {"Sentinel-2": {"b8a", "rededge1", "rededge2", "rededge3"}}
# B2, b02, SR_B2 and sur_refl_b02 are one band.
_NUMBERED = re.compile(r"(?:sr_|sur_refl_)?b0*(\d+a?)")


def match_names(expected, found, *, what, sensor=None):
    """Find names among others, whatever their spelling and order.

    Parameters
    ----------
    expected : sequence of str
        Names of the bands or angles of a model.
    found : sequence of str
        Names in the data, all different.
    what : str
        The data in messages.
    sensor : str or None, default=None
        Name of the sensor of the model.

    Returns
    -------
    positions : list of int or None
        Of each expected name among those found; None if no name is known, and the order has to
        do.

    Raises
    ------
    ValueError
        If only some names are found, a name is found twice, or the bands are of another sensor.
    """
    keys = [_normalise(name, sensor) for name in found]
    known = [_normalise(name, sensor) for name in expected]
    if not set(keys) & set(known):
        return None
    listed = ", ".join(str(name) for name in found)
    missing = [name for name, key in zip(expected, known, strict=True) if key not in keys]
    foreign = [
        str(name)
        for family, own in _OWN.items()
        if sensor is not None and sensor.startswith(tuple(_COMMON)) and family not in sensor
        for name, key in zip(found, keys, strict=True)
        if key in own
    ]
    if missing or foreign:
        wrong = (
            f"lacks {', '.join(missing)} of the model"
            if missing
            else f"has {', '.join(foreign)}, which {sensor} has not"
        )
        remedy = ""
        if "relative_azimuth" in missing:
            remedy = " The relative azimuth is the azimuth of the sun minus that of the sensor."
        elif sensor is not None and not set(known) <= set(_ANGLES):
            remedy = (
                f" The model is for {sensor}. One for other bands or another sensor: "
                "ProsailVAERegressor(sensor=..., bands=..., objective='simulations').fit(X)."
            )
        raise ValueError(f"{what} {wrong}; it has {listed}.{remedy}")
    positions = []
    for name, key in zip(expected, known, strict=True):
        same = [i for i, other in enumerate(keys) if other == key]
        exact = [i for i in same if found[i] == name]
        if len(same) > 1 and len(exact) != 1:
            raise ValueError(f"{what} has {name} more than once: {[found[i] for i in same]}.")
        positions.append((exact or same)[0])
    return positions


def to_band_name(name):
    """Spell the name of a numbered band as the sensors of the package do.

    Parameters
    ----------
    name : str
        Name such as B02, b8a or SR_B4.

    Returns
    -------
    name : str
        B2, B8A or B4; other names as they are.
    """
    numbered = _NUMBERED.fullmatch(str(name).casefold())
    return f"B{numbered[1].upper()}" if numbered else name


def suggest(name, names):
    """Say which name was probably meant.

    Parameters
    ----------
    name : str
        Unknown name.
    names : sequence of str
        Known names.

    Returns
    -------
    sentence : str
        Starts with a space; empty if no name is similar.
    """
    by_key = {one.casefold(): one for one in names}
    close = get_close_matches(str(name).casefold(), list(by_key), n=1, cutoff=0.6)
    return f" Did you mean {by_key[close[0]]!r}?" if close else ""


def _normalise(name, sensor):
    key = re.sub(r"[\s-]+", "_", str(name).strip()).casefold()
    numbered = _NUMBERED.fullmatch(key)
    if numbered:
        return f"b{numbered[1]}"
    if key in _OTHER_ANGLES:
        return _OTHER_ANGLES[key]
    tables = [table for start, table in _COMMON.items() if (sensor or "").startswith(start)]
    return tables[0].get(key, key) if tables else key
