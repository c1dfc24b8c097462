"""The packed array: how series become one, checks of it, arrays on disk, linear interpolation."""
