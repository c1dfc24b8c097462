"""State of PyTorch modules in numpy arrays, and prediction in batches."""
