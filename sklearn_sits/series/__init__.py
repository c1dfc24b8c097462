"""Packed arrays of time series: packing, checks, arrays on disk and linear interpolation."""
