"""
A parameter search on a cluster
===============================

Searches of scikit-learn run their fits with joblib, and joblib can send them to a cluster of dask.
The code of the search stays as it is. This example searches the learning rate of a classifier on a
cluster that consists of this machine only.
"""

import joblib
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from sklearn_sits import MTANSVGPClassifier
from sklearn_sits.datasets import make_sits

# %%
# A search
# --------
# The fits of a search do not depend on each other: four values in three folds are twelve fits that
# can run at the same time. Blocks of 20 km are the groups, because neighbours are alike. The
# classifiers are small here, and ``refit=False`` saves the last fit.
X, y = make_sits(240, 30, 4, 4, random_state=0)
easting, northing = X[:, 0, -2:].T // 20_000
blocks = 5 * easting + northing
X = X[..., :-2]
search = GridSearchCV(
    MTANSVGPClassifier(n_members=1, max_iter=10, random_state=0),
    {"learning_rate": [3e-4, 1e-3, 3e-3, 1e-2]},
    scoring="neg_log_loss",
    cv=StratifiedGroupKFold(3, shuffle=True, random_state=0),
    refit=False,
)

# %%
# On the cluster
# --------------
# ``with`` closes the client and the cluster, also after an error. ``scatter`` sends the series to
# each worker once instead of with every fit.
#
# The workers of this example are threads of one process, which start quickly and need no copy of
# the data. Processes (``processes=True``, the default) share the work better. In a script they need
# the line ``if __name__ == "__main__":`` before the cluster is made, because each worker imports
# the script. On a real cluster only the address changes: ``Client("tcp://scheduler:8786")``.
with (
    LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster,
    Client(cluster),
    joblib.parallel_config(backend="dask", scatter=[X]),
):
    search.fit(X, y, groups=blocks)

# %%
# Scores
# ------
# The scores equal those of a search without a cluster, because each fit has its own random numbers
# from ``random_state``. Log loss also punishes probabilities that are too confident. The folds
# differ more than the learning rates do, so compare values within a fold, and do not trust one
# fold. If the best value is at the edge of the grid, widen the grid. And the best of many scores is
# too optimistic for new places: measure it again on blocks that the search has not seen.
rates = np.array(search.param_grid["learning_rate"])
loss = -np.array([search.cv_results_[f"split{fold}_test_score"] for fold in range(3)])
figure, axis = plt.subplots(layout="constrained")
for fold in loss:
    axis.plot(rates, fold, ".-", color="0.7", linewidth=0.8, label="one fold")
axis.plot(rates, loss.mean(axis=0), "o-", label="mean of the folds")
best = np.argmin(loss.mean(axis=0))
axis.plot(rates[best], loss.mean(axis=0)[best], "*", color="C1", markersize=18, label="best")
axis.set(xlabel="Learning rate", ylabel="Log loss on held-out blocks", xscale="log")
handles, labels = axis.get_legend_handles_labels()
axis.legend(handles[2:], labels[2:])
plt.show()
