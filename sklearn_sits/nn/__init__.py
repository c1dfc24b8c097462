"""Plain PyTorch modules: attention in time, embeddings, sparse variational Gaussian processes.

They know neither scikit-learn nor the packed array, and can be used in any PyTorch model.
"""
