"""Dates of the season from vegetation index series, with a double logistic as decoder."""
