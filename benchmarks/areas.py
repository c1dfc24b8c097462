"""Coverage of the intervals of areas and accuracies, on simulated maps and samples.

Each repetition draws a map with its own areas and errors, and a probability sample of it.
"""

import argparse
import warnings

import numpy as np
from report import Report, add_results_option
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_sits.metrics import area_estimates

DESIGNS = {
    "strata are the map classes, equal": "equal",
    "strata are the map classes, by area": "proportional",
    "strata are regions": "regions",
    "random over the whole map": "random",
}
QUANTITIES = ["area", "users_accuracy", "producers_accuracy", "overall_accuracy"]
N_REGIONS = 4


def draw_map(n_classes, rng):
    """Return shares of the area (n_regions, n_classes, n_classes) by region, map and reference."""
    shares = rng.dirichlet(np.full(n_classes, 2.0), N_REGIONS) + 0.03
    errors = rng.uniform(0.05, 0.4, n_classes)
    reference = np.stack([rng.dirichlet(np.full(n_classes, 2.0)) for _ in range(n_classes)])
    reference = errors[:, None] * reference + np.diag(1 - errors)
    regions = rng.dirichlet(np.full(N_REGIONS, 5.0))
    joint = regions[:, None, None] * shares[:, :, None] * reference
    return joint / joint.sum()


def draw_sample(joint, design, n_samples, rng):
    """Return y_reference, y_map, areas of the strata, and the strata, None for the map classes."""
    if design == "random":
        cells = rng.choice(joint.size, n_samples, p=joint.ravel())
        _, y_map, y_reference = np.unravel_index(cells, joint.shape)
        return y_reference, y_map, dict(enumerate(joint.sum(axis=(0, 2)))), None
    by_region = design == "regions"
    strata = joint if by_region else joint.swapaxes(0, 1)
    areas = strata.sum(axis=(1, 2))
    shares = areas if design == "proportional" else np.full(len(areas), 1 / len(areas))
    n = np.maximum(50, np.round(n_samples * shares)).astype(int)
    drawn = [
        np.unravel_index(rng.choice(part.size, size, p=part.ravel() / part.sum()), part.shape)
        for part, size in zip(strata, n, strict=True)
    ]
    first, y_reference = np.concatenate(drawn, axis=1)
    stratum = np.repeat(np.arange(len(areas)), n)
    y_map = first if by_region else stratum
    return y_reference, y_map, dict(enumerate(areas)), stratum if by_region else None


def find_truth(joint):
    """Return the true values of the quantities."""
    matrix = joint.sum(axis=0)
    hits, mapped, true = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    values = [true, hits / mapped, hits / true, hits.sum()]
    return dict(zip(QUANTITIES, values, strict=True))


def count_covered(design, n_maps, n_classes, n_samples, seed):
    """Return the share of intervals that hold the truth, and the mean error of the areas.

    The errors are those of pixel counting and of the estimates, relative to the true area.
    """
    rng = np.random.default_rng(seed)
    covered = {name: [] for name in QUANTITIES}
    errors = []
    for _ in range(n_maps):
        joint = draw_map(n_classes, rng)
        truth = find_truth(joint)
        y_reference, y_map, areas, strata = draw_sample(joint, design, n_samples, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            estimates = area_estimates(y_reference, y_map, areas, strata=strata)
        for name in QUANTITIES:
            table = getattr(estimates, name)
            known = np.isfinite(table["estimate"])
            inside = (table["lower"] <= truth[name]) & (truth[name] <= table["upper"])
            covered[name].append(np.atleast_1d(inside)[np.atleast_1d(known)])
        mapped = joint.sum(axis=(0, 2))
        found = estimates.area["estimate"].reindex(range(n_classes), fill_value=0.0)
        errors.append(np.abs([mapped, found] / truth["area"] - 1))
    shares = [100 * np.mean(np.concatenate(covered[name])) for name in QUANTITIES]
    return shares, 100 * np.mean(errors, axis=(0, 2))


def main():
    """Print a table with a row per design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=2000, help="number of maps and samples")
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    add_results_option(parser)
    arguments = parser.parse_args()
    rows = []
    for title, design in DESIGNS.items():
        shares, errors = count_covered(
            design, arguments.maps, arguments.classes, arguments.samples, arguments.seed
        )
        rows.append([title, *(f"{value:.1f}" for value in [*shares, *errors])])
    header = ["sample", "area", "user's", "producer's", "overall", "pixel counting", "estimate"]
    title = (
        f"{arguments.maps} maps of {arguments.classes} classes: coverage of 95 % intervals in %, "
        "and mean absolute error of the areas in % of the true area"
    )
    Report(arguments).add("coverage", header, rows, title)


if __name__ == "__main__":
    main()
