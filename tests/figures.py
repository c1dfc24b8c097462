"""Checks of figures: where their texts are, as they are drawn."""

import itertools

import numpy as np


def find_texts(figure):
    """Return the texts that a figure shows, with their boxes in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    texts = list(figure.texts)
    for ax in figure.axes:
        texts += [ax.title, *ax.texts]
        for axis in (ax.xaxis, ax.yaxis):
            texts += [axis.label, axis.get_offset_text()]
            texts += [tick.label1 for tick in axis._update_ticks() if tick.label1.get_visible()]
            texts += [tick.label2 for tick in axis._update_ticks() if tick.label2.get_visible()]
        if ax.get_legend() is not None:
            texts += ax.get_legend().get_texts()
    texts = [text for text in texts if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


def assert_readable(figure):
    """Assert that all texts lie within the figure, and none on another one."""
    found = find_texts(figure)
    assert found
    width, height = figure.canvas.get_width_height()
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (text, box), (other, other_box) in itertools.combinations(found, 2):
        assert not _overlap(box, other_box), (text, other)


def _overlap(box, other):
    """Tell whether boxes share more than the pixel of their edges."""
    return (
        min(box.x1, other.x1) - max(box.x0, other.x0) > 1
        and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
    )


def render(figure):
    """Return the pixels of a figure, (height, width, 3), from 0 to 255."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def count_color(figure, color, tolerance=3):
    """Count the pixels of a colour."""
    from matplotlib.colors import to_rgb

    difference = np.abs(render(figure) - 255 * np.array(to_rgb(color))).max(axis=2)
    return int((difference <= tolerance).sum())
