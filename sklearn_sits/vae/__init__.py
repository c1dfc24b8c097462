"""The shared part of the regressors that are variational auto-encoders."""
