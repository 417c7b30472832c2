"""Where the labels of points go, so that none covers another and each is seen to belong to its point."""

from __future__ import annotations

import numpy as np


def place_labels(
    points: np.ndarray,
    sizes: np.ndarray,
    obstacles: np.ndarray,
    area: tuple[float, float],
    clearance: float,
    crowded: bool = False,
) -> list[tuple[float, float] | None]:
    """Where each label goes so that none overlaps another, or None where there is no room near its point.

    points (A,2), the labels' sizes (A,2) as width and height, and obstacles (B,2), in one unit, inside
    (0,0)..area. The first labels are placed first. Each takes the free place nearest to its point, off all
    points and obstacles if it can. In a crowd it must be off them and nearer to its own point than to any other,
    elsewhere it would be read as another point's. Returns the labels' lower left corners.
    """
    spots = np.tile(np.concatenate([points, obstacles]), 2)
    angles = np.deg2rad([0, 180, 90, 270, 45, 135, 315, 225, 22, 158, 202, 338, 67, 113, 247, 293])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radii = (1.0, 1.4) if crowded else (1.0, 1.8, 3.0, 4.5, 6.5)
    boxes = np.empty((0, 4))
    found: list[tuple[float, float] | None] = []
    for point, size in zip(points, sizes, strict=True):
        # The label's near side touches a circle around the point; the circles grow.
        rings = [point + directions * (clearance * radius + size / 2) for radius in radii]
        corners = np.concatenate(rings) - size / 2
        inside = ((corners >= 0) & (corners + size <= area)).all(axis=1)
        free = inside & ~_overlaps(corners, size, boxes).any(axis=1)
        clear = free & ~_overlaps(corners, size, spots, clearance / 2).any(axis=1)
        if crowded:
            clear &= _nearest_to(point, corners, size, points)
        best = clear if clear.any() or crowded else free
        if not best.any():
            found.append(None)
            continue
        corner = corners[best.argmax()]
        boxes = np.concatenate([boxes, [[*corner, *(corner + size)]]])
        found.append((float(corner[0]), float(corner[1])))
    return found


def _overlaps(corners: np.ndarray, size: np.ndarray, boxes: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """(P,2) corners of candidates of one size against (B,4) boxes x0,y0,x1,y1: (P,B) bool."""
    low, high = corners[:, None], corners[:, None] + size
    return ((low < boxes[None, :, 2:] + margin) & (high > boxes[None, :, :2] - margin)).all(axis=2)


def _nearest_to(point: np.ndarray, corners: np.ndarray, size: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P,) bool: for which candidates' corners the label is nearer to its own point than to any other of (A,2)."""
    others = points[(points != point).any(axis=1)]
    both = np.concatenate([point[None], others])
    gaps = np.clip(both[None], corners[:, None], corners[:, None] + size) - both[None]
    distance = np.linalg.norm(gaps, axis=2)
    return (distance[:, :1] < 0.8 * distance[:, 1:]).all(axis=1)
