"""
Few labels and many pixels without a label
==========================================

Labels come from field work and are few; pixels are many. An encoder learns from pixels without
labels, and a classifier that starts from it needs fewer of them. This example compares it with a
random forest on interpolated series, for 5, 10 and 20 labels per class.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANEncoder, MTANSVGPClassifier
from sklearn_sits.datasets import load_romania

# %%
# A forest in three classes
# -------------------------
# The data are one year of Sentinel-2 over a forest in Romania: 2500 pixels with four bands, of
# which clouds hide almost half of the dates. The classes are open, closed and dense forest, by
# their tree cover. The last two channels are the position of the pixel, and stay out: they would
# tell a classifier where it is, which is of no use in a place that it has not seen.
romania = load_romania(years=2018)
X = romania.data[..., :-2]
y = np.digitize(romania.target, [60, 80])

# %%
# Blocks that are held out
# ------------------------
# Neighbouring pixels are alike. If the pixels of the test were drawn at random, many of them would
# have a neighbour among the labels, and the accuracy would be too good. Whole squares of 200 m are
# held out instead: the encoder does not see them either.
row, column = np.divmod(np.arange(len(X)), romania.shape[1])
blocks = row // 10 * 5 + column // 10
folds = list(GroupKFold(3, shuffle=True, random_state=0).split(X, y, blocks))

# %%
# Draws of labels
# ---------------
# With so few labels, luck in their draw matters more than the choice of the classifier. Each fold
# therefore has its own draw of labels, and both classifiers get the same ones. The larger draws
# contain the smaller ones. The encoder is fitted once per fold, on all pixels of the training
# blocks. Short trainings and a single member save time.
N_LABELS = [5, 10, 20]


def draw_labels(train, rng):
    """Return training pixels in random order, for each class."""
    return [rng.permutation(train[y[train] == label]) for label in np.unique(y)]


accuracy: dict[str, list] = {"random forest": [], "encoder and Gaussian processes": []}
for fold, (train, test) in enumerate(folds):
    encoder = MTANEncoder(max_iter=40, random_state=fold).fit(X[train])
    forest = make_pipeline(LinearInterpolator(), RandomForestClassifier(random_state=fold))
    classifier = MTANSVGPClassifier(
        encoder=FrozenEstimator(encoder), n_members=1, max_iter=30, random_state=fold
    )
    pixels = draw_labels(train, np.random.default_rng(fold))
    for name, model in zip(accuracy, [forest, classifier], strict=True):
        for n_labels in N_LABELS:
            labelled = np.concatenate([of_class[:n_labels] for of_class in pixels])
            model.fit(X[labelled], y[labelled])
            accuracy[name].append(100 * model.score(X[test], y[test]))

# %%
# Accuracy against labels
# -----------------------
# Thick lines are means over the draws, thin lines the draws. With the encoder, about half of the
# labels give the accuracy of the forest. But the draws of one classifier differ more than the two
# classifiers do in the mean: after a single draw one might prefer the forest. The encoder knows the
# place and the year of its pixels. In another place it may not help at all, until unlabelled pixels
# from there have joined its training.
figure, axis = plt.subplots(layout="constrained")
for (name, scores), marker in zip(accuracy.items(), "so", strict=True):
    scores = np.reshape(scores, (len(folds), len(N_LABELS)))
    (line,) = axis.plot(N_LABELS, scores.mean(axis=0), marker=marker, label=name)
    for draw in scores:
        axis.plot(N_LABELS, draw, color=line.get_color(), linewidth=0.8, alpha=0.4)
axis.set(
    xlabel="Labels per class",
    ylabel="Accuracy on held-out blocks (%)",
    xscale="log",
    xticks=N_LABELS,
    xticklabels=N_LABELS,
)
axis.minorticks_off()
axis.legend()
plt.show()
