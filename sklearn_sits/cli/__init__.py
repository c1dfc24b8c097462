"""The commands of ``python -m sklearn_sits``."""
