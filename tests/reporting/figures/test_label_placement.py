import itertools

import numpy as np

from cmon.reporting.figures.label_placement import place_labels


def test_labels_do_not_overlap_and_stay_inside():
    generator = np.random.default_rng(0)
    points = generator.uniform(0, 300, (60, 2))
    sizes = np.stack([generator.uniform(15, 45, 60), np.full(60, 8.0)], axis=1)
    corners = place_labels(points, sizes, np.empty((0, 2)), (300, 300), 4)
    placed = [
        (np.array(corner), size) for corner, size in zip(corners, sizes, strict=True) if corner is not None
    ]
    assert len(placed) > 45
    for corner, size in placed:
        assert (corner >= 0).all()
        assert (corner + size <= 300).all()
    for (corner, size), (other, other_size) in itertools.combinations(placed, 2):
        assert (corner + size <= other).any() or (other + other_size <= corner).any()


def test_in_a_crowd_a_label_is_nearest_to_its_own_point():
    generator = np.random.default_rng(1)
    points = generator.uniform(0, 300, (60, 2))
    sizes = np.stack([generator.uniform(15, 45, 60), np.full(60, 8.0)], axis=1)
    corners = place_labels(points, sizes, np.empty((0, 2)), (300, 300), 4, crowded=True)
    placed = [row for row, corner in enumerate(corners) if corner is not None]
    assert len(placed) > 20
    for row in placed:
        low, high = np.array(corners[row]), np.array(corners[row]) + sizes[row]
        outside = np.maximum(np.maximum(low - points, points - high), 0)
        assert np.hypot(*outside.T).argmin() == row


def test_labels_avoid_obstacles_and_give_up_without_room():
    sizes = np.array([[20.0, 8.0]])
    right = place_labels(np.array([[50.0, 50.0]]), sizes, np.empty((0, 2)), (100, 100), 4)[0]
    blocked = place_labels(np.array([[50.0, 50.0]]), sizes, np.array([[60.0, 50.0]]), (100, 100), 4)[0]
    assert right == (54, 46)
    assert blocked is not None
    assert blocked[0] < 50
    assert place_labels(np.array([[5.0, 5.0]]), sizes, np.empty((0, 2)), (10, 10), 4) == [None]
