"""Scale from one marker, judged by distances to the other markers in the photo (`eval/scale`).

Every marker of a photo is the reference in turn. Judged are the sides of the other markers and, where the
board's layout is known, the distances from the reference's centre to theirs; `near` are those within two
sides of the reference, which is where SpotScan's card lies from the marks. `joint` is what `aruco:SIDE_MM`
does: all markers as squares of that side, places unknown; only centre distances judge it, since the sides
were told to it. The peer is plain OpenCV: `ArucoDetector` with `cornerSubPix` and the homography of one
marker's four corners.
"""

from __future__ import annotations

import json
from collections import defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.data import folder
from spotscan.geometry import matrix, project
from spotscan.references import find_scale
from spotscan.references.detect import find_markers
from spotscan.references.edges import measure_square
from spotscan.references.plane import fit_plane
from spotscan.types import FloatArray, Photo

Corners = dict[int, NDArray[np.float64]]


def _photo(name: str) -> Photo:
    return Photo(cv2.cvtColor(cv2.imread(str(folder("eval", "scale") / name)), cv2.COLOR_BGR2RGB), "", name)


def _layout(name: str, truth: dict) -> Corners:
    """Centres of the markers, mm (of nominal sides), by id; empty where the layout is not known."""
    if name.startswith("aruco_board"):
        return {i: truth["pitch_mm"] * np.array([i % 4, i // 4]) for i in range(20)}
    if name.startswith("charuco_cv"):
        dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_6X6_250)
        board = cv2.aruco.CharucoBoard((5, 7), 40.0, 20.0, dictionary)
        return {i: points[:, :2].mean(0) for i, points in enumerate(board.getObjPoints())}
    return {}


def _dictionary(name: str) -> int:
    if "apriltag" in name:
        return cv2.aruco.DICT_APRILTAG_36H11
    return cv2.aruco.DICT_5X5_1000 if "dots" in name else cv2.aruco.DICT_6X6_1000


def _peer(photo: Photo, name: str) -> Corners:
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    dictionary = cv2.aruco.getPredefinedDictionary(_dictionary(name))
    detector = cv2.aruco.ArucoDetector(dictionary, parameters)
    corners, ids, _ = detector.detectMarkers(cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY))
    if ids is None:
        return {}
    return {int(i): np.reshape(c, (4, 2)).astype(float) for i, c in zip(np.ravel(ids), corners, strict=True)}


def _judge(to_mm: NDArray, at: int, corners: Corners, side: float, layout: Corners) -> dict[str, list[float]]:
    """Relative errors of sides and centre distances seen through one homography."""
    errors: dict[str, list[float]] = defaultdict(list)
    mm = {i: project(to_mm, c) for i, c in corners.items()}
    middle = {i: _centre(to_mm, c) for i, c in corners.items()}
    for i, square in mm.items():
        if i == at:
            continue
        near = np.linalg.norm(middle[i] - middle[at]) < 2 * side
        sides = np.linalg.norm(square - np.roll(square, 1, axis=0), axis=1)
        found = [("side", abs(sides / side - 1))]
        if layout:
            known = np.linalg.norm(layout[i] - layout[at])
            found.append(("distance", np.array([abs(np.linalg.norm(middle[i] - middle[at]) / known - 1)])))
        for what, values in found:
            errors[what].extend(values)
            if near:
                errors[f"near_{what}"].extend(values)
    return errors


def _centre(to_mm: NDArray, corners: NDArray) -> NDArray:
    return project(to_mm, corners).mean(0)


def _tilt_to_axis(px_to_mm: FloatArray, lens: list[float]) -> float:
    """Tilt to the camera's axis where the lens is known; the labels of `gt.json` are tilts to the line of sight."""
    fx, fy, cx, cy = lens
    rays = np.linalg.inv([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) @ np.linalg.inv(px_to_mm)
    normal = np.cross(rays[:, 0], rays[:, 1])
    return float(np.degrees(np.arccos(abs(normal[2]) / np.linalg.norm(normal))))


def run() -> dict[str, float]:
    """Median and 95th percentile of the relative errors, in per cent, and how many AprilTags were read."""
    truths = json.loads((folder("eval", "scale") / "gt.json").read_text())
    errors: dict[str, list[float]] = defaultdict(list)
    read = {"ours": 0, "cv2": 0}
    tilt_errors, tilted = [], []  # tilted: whether AprilTags turned by up to 60 degrees were read
    for name, truth in truths.items():
        if not name.startswith(("aruco", "apriltag", "charuco")):
            continue
        photo, side = _photo(name), truth.get("marker_mm", 20.0)
        layout = _layout(name, truth)
        squares = {m.id: measure_square(photo.rgb, m) for m in find_markers(photo)}
        ours, peer = {i: s.corners_px for i, s in squares.items()}, _peer(photo, name)
        if name.startswith("apriltag"):
            read["ours"] += len(ours)
            read["cv2"] += len(peer)
            if abs(truth.get("tilt_deg", 90)) <= 60:
                tilted.append(bool(ours))
            if "tilt_deg" in truth and ours:
                scale = find_scale(photo, f"aruco:{side}")
                tilt_errors.append(abs(scale.tilt_deg - _tilt_to_axis(scale.px_to_mm, truth["K"])))
            continue
        h, w = side / 2, side / 2
        flat = np.array([(-w, -h), (w, -h), (w, h), (-w, h)], np.float32)
        joint = fit_plane(list(squares.values()), side_mm=side)
        for i, square in squares.items():
            plane = fit_plane([square], side_mm=side)
            single = plane.to_mm @ np.linalg.inv(matrix(plane.h))
            whole = joint.to_mm @ np.linalg.inv(matrix(joint.h))
            for method, to_mm in (("one", single), ("joint", whole)):
                for what, values in _judge(to_mm, i, ours, side, layout).items():
                    errors[f"{method}_{what}"].extend(values)
        for i, corners in peer.items():
            to_mm = cv2.getPerspectiveTransform(corners.astype(np.float32), flat)
            for what, values in _judge(to_mm, i, peer, side, layout).items():
                errors[f"cv2_{what}"].extend(values)
    result: dict[str, float] = {}
    for what in sorted(errors):
        result[f"{what}_median_%"] = round(100 * float(np.median(errors[what])), 3)
        result[f"{what}_p95_%"] = round(100 * float(np.percentile(errors[what], 95)), 3)
        result[f"{what}_n"] = len(errors[what])
    result |= {f"apriltags_read_{who}": count for who, count in read.items()}
    result["apriltags_to_60_deg_read_share"] = float(np.mean(tilted))
    result["tilt_error_median_deg"] = round(float(np.median(tilt_errors)), 2)
    return result


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
