"""Representations of packed series, learned without labels."""
