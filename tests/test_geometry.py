import numpy as np
import pytest

from spotscan.geometry import (
    UNIT_CORNERS,
    draw_homographies,
    jacobian,
    matrix,
    parameter_jacobian,
    project,
    square_to_quads,
    tilt_deg,
)

H = np.array([(31.0, -4.0, 300.0), (6.0, 27.0, 211.0), (0.01, -0.02, 1.0)])
POINTS = np.array([(0.0, 0.0), (1.0, -2.0), (-3.0, 0.5)])
PHOTO = (3000, 4000)


def plane(tilt: float, focal: float, about: float = 30.0) -> np.ndarray:
    """A plane (mm -> px) seen straight in the middle of the photo, turned away by `tilt` degrees."""
    t, a = np.radians([tilt, about])
    axis = np.array([(np.cos(a), -np.sin(a), 0), (np.sin(a), np.cos(a), 0), (0, 0, 1)])
    lean = np.array([(1, 0, 0), (0, np.cos(t), -np.sin(t)), (0, np.sin(t), np.cos(t))])
    turn = axis @ lean @ axis.T
    camera = np.array([(focal, 0, (PHOTO[1] - 1) / 2), (0, focal, (PHOTO[0] - 1) / 2), (0, 0, 1)])
    homography = camera @ np.column_stack([turn[:, 0], turn[:, 1], (0, 0, 200.0)])
    return homography / homography[2, 2]


def test_project_maps_stacks_as_it_maps_one():
    shifted = H + np.array([(0, 0, 5.0), (0, 0, -2.0), (0, 0, 0)])
    both = project(np.stack([H, shifted]), POINTS)
    assert both.shape == (2, 3, 2)
    np.testing.assert_allclose(both[1], project(shifted, POINTS))
    assert project(H, POINTS[:1])[0] == pytest.approx((300, 211))


def test_there_and_back():
    np.testing.assert_allclose(project(np.linalg.inv(H), project(H, POINTS)), POINTS, atol=1e-12)


def test_jacobians_are_the_difference_quotients():
    step = 1e-6
    for axis in range(2):
        moved = POINTS + step * np.eye(2)[axis]
        np.testing.assert_allclose(
            jacobian(H, POINTS)[..., axis], (project(H, moved) - project(H, POINTS)) / step, rtol=1e-4
        )
    h = H.ravel()[:8]
    for number in range(8):
        change = step * np.eye(8)[number]
        quotient = (project(matrix(h + change), POINTS) - project(H, POINTS)) / step
        np.testing.assert_allclose(parameter_jacobian(h, POINTS)[..., number], quotient, rtol=1e-3, atol=1e-3)


def test_square_to_quads_hits_the_corners():
    quads = np.array([[(10, 20), (90, 25), (80, 70), (5, 60)], [(0, 0), (4, 0), (4, 3), (0, 3)]], float)
    for homography, quad in zip(square_to_quads(quads), quads, strict=True):
        np.testing.assert_allclose(project(homography, UNIT_CORNERS), quad, atol=1e-10)


def test_draws_have_the_moments_they_are_given():
    h = H.ravel()[:8]
    root = np.diag([0.3, 0.2, 0.5, 0.1, 0.4, 0.6, 1e-4, 2e-4]) @ np.tri(8)
    draws = draw_homographies(h, root @ root.T)
    numbers = draws.reshape(32, 9)
    np.testing.assert_allclose(numbers[:, :8].mean(0), h, rtol=1e-9)
    np.testing.assert_allclose(np.cov(numbers[:, :8].T), root @ root.T, rtol=1e-6, atol=1e-15)
    np.testing.assert_array_equal(draws, draw_homographies(h, root @ root.T))


@pytest.mark.parametrize("true", [0.0, 3.0, 10.0, 25.0, 60.0])
def test_tilt_of_a_camera_of_the_assumed_focal_length(true):
    homography = plane(true, focal=0.62 * 5000)
    draws = draw_homographies(homography.ravel()[:8], np.diag(np.full(8, 1e-12)))
    assert tilt_deg(homography, draws, PHOTO) == pytest.approx(true, abs=0.1)


@pytest.mark.parametrize("at", [(0, 0), (-60, 40), (80, 10)])
@pytest.mark.parametrize("true", [0.0, 12.0])
def test_tilt_is_that_of_the_camera_wherever_the_reference_lies(true, at):
    moved = plane(true, focal=0.62 * 5000) @ np.array([(1, 0, at[0]), (0, 1, at[1]), (0, 0, 1.0)])
    moved /= moved[2, 2]
    draws = draw_homographies(moved.ravel()[:8], np.diag(np.full(8, 1e-12)))
    assert tilt_deg(moved, draws, PHOTO) == pytest.approx(true, abs=0.2)


@pytest.mark.parametrize("focal", [0.45, 0.9])
def test_tilt_hardly_needs_the_focal_length_where_it_is_large(focal):
    homography = plane(40.0, focal=focal * 5000)
    draws = draw_homographies(homography.ravel()[:8], np.diag([1e-6] * 6 + [1e-14] * 2))
    assert tilt_deg(homography, draws, PHOTO) == pytest.approx(40, abs=1)
