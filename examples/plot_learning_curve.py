"""
Are more labels worth the work? A learning curve
================================================

A learning curve shows the score of a classifier against the number of its training series. If it
still rises at the end, more labels will help; if it is flat, they will not. All estimators take the
same packed array, so scikit-learn draws the curves of two classifiers in one figure.
"""

import matplotlib.pyplot as plt
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupShuffleSplit, LearningCurveDisplay
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator, MTANSVGPClassifier
from sklearn_sits.datasets import make_sits

# %%
# Series with their blocks
# ------------------------
# The series are simulated: one year of Sentinel-2 with four bands over a scene of 100 km by 100 km,
# with clouds on half of the dates. Series of the same field are alike, and those of the same region
# have the same weather. Squares of 20 km are therefore the groups of the cross-validation. The
# positions are in the last two channels; the classifiers do not receive them.
X, y = make_sits(600, 40, 4, 5, random_state=0)
easting, northing = X[:, 0, -2:].T // 20_000
blocks = 5 * easting + northing
X = X[..., :-2]

# %%
# Two classifiers
# ---------------
# The random forest needs series without gaps on common dates. ``LinearInterpolator`` gives it one
# value every ten days. It is part of the pipeline, so each fit sees training series only. The other
# classifier learns to interpolate from the labels; one member and 15 epochs save time.
classifiers = {
    "random forest": make_pipeline(
        LinearInterpolator(step=10), RandomForestClassifier(random_state=0)
    ),
    "attention and Gaussian processes": MTANSVGPClassifier(
        n_members=1, max_iter=15, random_state=0
    ),
}

# %%
# The curves
# ----------
# ``shuffle=True`` draws the smaller training sets at random. Without it, they would be the first
# series of the array, which come from few places. The band is one standard deviation over the
# splits: where bands overlap, the order of the curves may be luck. Both curves still rise at the
# end, so more labels would help. The forest needs several times the labels for the same accuracy.
figure, axis = plt.subplots(layout="constrained")
for classifier, marker in zip(classifiers.values(), "so", strict=True):
    LearningCurveDisplay.from_estimator(
        classifier,
        X,
        y,
        groups=blocks,
        cv=GroupShuffleSplit(3, test_size=0.3, random_state=0),
        train_sizes=[0.1, 0.3, 1.0],
        shuffle=True,
        random_state=0,
        score_type="test",
        score_name="Accuracy on held-out blocks",
        line_kw={"marker": marker},
        ax=axis,
    )
lines = axis.get_lines()
axis.legend(lines, classifiers, loc="lower right")
axis.set(xlabel="Training series")
plt.show()
