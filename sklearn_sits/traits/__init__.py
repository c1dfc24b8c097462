"""Vegetation traits from reflectances, with PROSAIL as decoder."""
