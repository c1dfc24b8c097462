"""The file beside a GeoTIFF that names its classes, in the format of GDAL."""

from xml.etree import ElementTree

__all__ = ["write_raster_attributes"]

# Name, type (0 integer, 2 text) and usage of the columns of GDAL's raster attribute table.
_COLUMNS = [
    ("Value", 0, 5),
    ("Class", 2, 2),
    ("Red", 0, 6),
    ("Green", 0, 7),
    ("Blue", 0, 8),
    ("Alpha", 0, 9),
]
# The list of names has an entry per value, those of a colour table.
_MOST_CATEGORIES = 256


def write_raster_attributes(path, legend):
    """Write the names and colours of classes where GDAL and QGIS look for them.

    Parameters
    ----------
    path : path-like
        File to write, the name of the GeoTIFF with ".aux.xml" after it.
    legend : list of LegendEntry
        Classes.

    Notes
    -----
    GDAL keeps what a GeoTIFF cannot hold in this file: a list of names by value, and the raster
    attribute table with a row per class.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = {entry.value: entry.name for entry in legend}
    if min(names) >= 0 and max(names) < _MOST_CATEGORIES:
        categories = ElementTree.SubElement(band, "CategoryNames")
        for value in range(max(names) + 1):
            ElementTree.SubElement(categories, "Category").text = names.get(value, "")
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in {"Name": name, "Type": kind, "Usage": usage}.items():
            ElementTree.SubElement(field, tag).text = str(text)
    for index, entry in enumerate(legend):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        for cell in (entry.value, entry.name, *entry.rgb, 255):
            ElementTree.SubElement(row, "F").text = str(cell)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")
