"""The table of what each estimator can do, from its tags, parameters and methods.

`python docs/capabilities.py` prints it for choosing.md.
"""

import inspect

from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sklearn_sits._discovery import all_estimators

COLUMNS = {
    "irregular dates, unequal lengths": lambda one: get_tags(one).input_tags.three_d_array,
    "gaps per band": lambda one: get_tags(one).input_tags.allow_nan,
    "no labels needed": lambda one: not get_tags(one).target_tags.required,
    "uncertainty": lambda one: _has(one, "predict_proba") or _has(one, "predict_interval"),
    "representation": lambda one: _has(one, "transform"),
    "`sample_weight`": lambda one: has_fit_parameter(one, "sample_weight"),
    "warm start": lambda one: "warm_start" in one.get_params(),
    "GPU": lambda one: "device" in one.get_params(),
}


def _has(estimator, name):
    return inspect.isfunction(getattr(type(estimator), name, None))


def make_table():
    """Make the table.

    Returns
    -------
    table : str
        In Markdown.
    """
    rows = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, cls in all_estimators():
        cells = ["yes" if can(cls()) else "" for can in COLUMNS.values()]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(make_table())
