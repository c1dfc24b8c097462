"""
Which bands and which months tell tree cover classes apart
==========================================================

A classifier of a whole year does not say which part of the year it uses. Exchange a band in two
months between the pixels, and see how much worse the predictions become. If the band of any other
pixel does just as well, the classifier does not need it then. The series are cloudy and irregular,
so a band moves with its own dates and gaps.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sits import LinearInterpolator
from sklearn_sits.datasets import load_romania
from sklearn_sits.displays import ImportanceDisplay
from sklearn_sits.inspection import permutation_importance

# %%
# A forest in Romania, with held-out squares
# ------------------------------------------
# Neighbouring pixels are alike, so the classifier is trained on squares of 200 m and inspected on
# the others, like a chess board. On its own training data, noise would look important too.
romania = load_romania(years=2018)
X = romania.data[..., :-2]  # without the position
y = np.digitize(romania.target, [60, 80])  # open, closed and dense forest
row, column = np.divmod(np.arange(len(X)), romania.shape[1])
training = (row // 10 + column // 10) % 2 == 0

forest = RandomForestClassifier(100, random_state=0)
model = make_pipeline(LinearInterpolator(), forest).fit(X[training], y[training])
print(f"accuracy on held-out squares: {model.score(X[~training], y[~training]):.3f}")

# %%
# Bands every two months
# ----------------------
# The score is the log-loss, which also sees changes that are too small to turn a decision. The
# exchange is repeated, and the result has a mean and a standard deviation for each group.
BANDS = romania.feature_names[:4]
MONTHS = np.arange("2018-01", "2019-01", 2, dtype="datetime64[M]")
MONTHS = np.append(MONTHS, np.datetime64("2019-01"))
result = permutation_importance(
    model,
    X[~training],
    y[~training],
    by="both",
    bands=BANDS,
    windows=MONTHS,
    scoring="neg_log_loss",
    n_repeats=5,
    random_state=0,
)
order = np.argsort(result.importances_mean, axis=None)[::-1]
print("\nThe log-loss rises most without")
for i in order[:4]:
    mean, std = result.importances_mean.flat[i], result.importances_std.flat[i]
    print(f"  {result.group_names.flat[i]:30} {mean:.3f} ± {std:.3f}")

# %%
# Whole bands
# -----------
# Neighbouring months carry the same information, and the classifier can replace one by the other.
# The importance of a whole band is therefore more than the sum of its months here.
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", width_ratios=[1, 1.7])
ImportanceDisplay.from_estimator(
    model,
    X[~training],
    y[~training],
    bands=BANDS,
    scoring="neg_log_loss",
    random_state=0,
    ax=axes[0],
)
ImportanceDisplay.from_importances(result, label="Increase of log loss", ax=axes[1])
plt.show()
