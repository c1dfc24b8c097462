"""
Can the probabilities of a classifier be trusted?
=================================================

A map of probabilities is of use if a pixel of 80 % is right in 80 % of all cases. This example
compares the confidence of three classifiers with their accuracy on a part of a forest that none of
them has seen.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANSVGPClassifier
from sklearn_sits.datasets import load_romania
from sklearn_sits.displays import ReliabilityDisplay

torch.set_num_threads(1)

# %%
# Held-out squares
# ----------------
# Neighbouring pixels are alike. With random pixels for the test, every classifier would seem right
# more often than it is, and the comparison with its confidence would mean nothing.
romania = load_romania(years=2018)
X = romania.data[..., :-2]  # without the position
y = np.digitize(romania.target, [60, 80])  # open, closed and dense forest
row, column = np.divmod(np.arange(len(X)), romania.shape[1])
training = (row // 10 + column // 10) % 2 == 0
X_test, y_test = X[~training], y[~training]

# %%
# Three classifiers
# -----------------
# Naive Bayes takes the bands and dates for independent, and counts the same evidence many times.
classifiers = {
    "naive Bayes": make_pipeline(LinearInterpolator(), GaussianNB()),
    "random forest": make_pipeline(LinearInterpolator(), RandomForestClassifier(random_state=0)),
    "mTAN + SVGP": MTANSVGPClassifier(random_state=0),
}

# %%
# Confidence and accuracy
# -----------------------
# A curve below the diagonal is that of a classifier that is too sure of itself. The error in the
# legend is the mean distance from the diagonal, in which each bin counts as many times as it has
# pixels; the bars at the bottom are these numbers.
figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
print(f"{'':14}{'accuracy':>10}{'log-loss':>10}{'error':>8}")
for name, model in classifiers.items():
    model.fit(X[training], y[training])
    display = ReliabilityDisplay.from_estimator(model, X_test, y_test, name=name, ax=ax)
    loss = log_loss(y_test, model.predict_proba(X_test))
    print(f"{name:14}{model.score(X_test, y_test):>10.3f}{loss:>10.2f}{display.error:>8.3f}")
plt.show()
