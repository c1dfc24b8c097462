"""What the regressors that are variational auto-encoders share."""
