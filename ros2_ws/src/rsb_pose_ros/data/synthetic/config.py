"""Ranges from which samples are drawn; read from config/synthetic.yaml, an unknown key is an error."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

LIMITS = {
    "size": (32, 2048),
    "baseline": (0.001, 10.0),
    "baseline_wide": (0.001, 10.0),
    "field_of_view": (10.0, 150.0),
    "distance": (0.1, 50.0),
    "distance_wide": (0.1, 50.0),
    "pitch": (-80.0, 80.0),
    "widths": (64, 8192),
    "aspects": (0.1, 10.0),
    "lights": (0, 16),
    "jpeg_quality": (1.0, 100.0),
    "crop_scale": (0.1, 10.0),
    "depth_error": (0.0, 0.9),
    "room": (0.1, 50.0),
    "shadow_softness": (0.1, 50.0),
    "whole_view": (0.5, 2.0),
}
"""What a key may hold where it is not as its name says: a share 0 to 1, anything else at least 0."""
CHOICES = ("widths", "aspects")
"""Lists of any length; every other list is a range,"""
TWO = ("place_std",)
"""or two numbers of their own."""


EXCLUSIVE = (
    ("empty_share", "coarse_share"),
    ("built_room_share", "projected_photo_share"),
    ("unshadowed_share", "two_shadows_share"),
)
"""Shares of which a pair can only have one."""


@dataclass(frozen=True)
class SyntheticConfig:
    """Metres, degrees, pixels; pairs are (lowest, highest) of a uniform distribution, …_share the share of pairs, …_std a
    standard deviation (relative: of the logarithm). noise: deviation of the usual and of the strong kind, grey levels;
    view_…: between the two views; built_room_share: rooms of walls and furniture, the others show a photograph, thrown by
    a projector in projected_photo_share of all pairs and on the walls in the rest; skirt_share: dresses included; place_std:
    of the pelvis in the left picture, across and down, in pictures; whole_view: side of windows of the whole view, in widths
    of it; room: how far walls are beyond cameras and person."""

    size: int = 256
    size_std: float = 0.04
    coarse_share: float = 0.17
    empty_share: float = 0.08
    baseline: tuple[float, float] = (0.06, 0.25)
    baseline_wide: tuple[float, float] = (0.05, 0.35)
    wide_share: float = 0.2
    field_of_view: tuple[float, float] = (50.0, 100.0)
    widths: tuple[int, ...] = (640, 848, 1280)
    aspects: tuple[float, ...] = (0.75, 0.5625)
    distance: tuple[float, float] = (1.2, 4.5)
    distance_wide: tuple[float, float] = (0.8, 6.0)
    wide_distance_share: float = 0.25
    place_std: tuple[float, float] = (0.2, 0.13)
    seat_share: float = 0.8
    pitch: tuple[float, float] = (-20.0, 25.0)
    roll_std: float = 2.5
    camera_height: tuple[float, float] = (0.1, 3.2)
    principal_point_std_px: float = 8.0
    whole_view: tuple[float, float] = (0.95, 1.15)
    occluder_share: float = 0.3
    second_person_share: float = 0.1
    tile_share: float = 0.4
    plant_share: float = 0.18
    built_room_share: float = 0.5
    projected_photo_share: float = 0.38
    room: tuple[float, float] = (0.7, 5.0)
    lights: tuple[int, int] = (1, 4)
    unshadowed_share: float = 0.15
    two_shadows_share: float = 0.4
    shadow_softness: tuple[float, float] = (0.6, 4.0)
    plant_before_share: float = 0.25
    skirt_share: float = 0.19
    jacket_share: float = 0.32
    hat_share: float = 0.2
    bag_share: float = 0.3
    grey_share: float = 0.2
    exposure_std: float = 0.3
    view_exposure_std: float = 0.05
    white_balance_std: float = 0.06
    view_white_balance_std: float = 0.02
    noise: tuple[float, float] = (4.0, 12.0)
    blur_px: tuple[float, float] = (0.3, 0.9)
    defocus_share: float = 0.2
    motion_blur_share: float = 0.1
    sharpened_share: float = 0.3
    vignette_share: float = 0.3
    jpeg_share: float = 0.7
    jpeg_quality: tuple[float, float] = (35.0, 98.0)
    crop_scale: tuple[float, float] = (0.85, 1.35)
    crop_shift: float = 0.1
    lost_share: float = 0.2
    follow_error_m: float = 0.02
    depth_error: float = 0.12
    vertical_error_px: float = 0.3
    rotation_error_deg: float = 0.06

    def __post_init__(self) -> None:
        for field in fields(self):
            wrong = _wrong(field.name, getattr(self, field.name), field.default)
            if wrong:
                raise ValueError(f"{field.name}: {getattr(self, field.name)!r}; expected {wrong}")
        for names in EXCLUSIVE:
            shares = [getattr(self, name) for name in names]
            if sum(shares) > 1:
                found = " + ".join(f"{share:g}" for share in shares)
                raise ValueError(f"{' and '.join(names)}: {found}; expected shares that are 1 together at most")

    @classmethod
    def from_yaml(cls, path: str | Path, size: int | None = None) -> SyntheticConfig:
        """Read the file; size: side of the crops in pixels instead of the file's, for a network that takes others.

        Raises ValueError naming the file and the key, FileNotFoundError when it is missing.
        """
        ranges = cls.from_mapping(read_yaml(path), str(path))
        return ranges if size is None else replace(ranges, size=size)

    @classmethod
    def from_mapping(cls, content: dict[str, Any], source: str) -> SyntheticConfig:
        """From keys and values as YAML gives them. Raises ValueError naming `source` and the key."""
        if not isinstance(content, dict):
            raise ValueError(f"{source}: holds a {type(content).__name__}; expected keys and values")
        known = {f.name for f in fields(cls)}
        unknown = sorted(str(key) for key in set(content) - known)
        if unknown:
            raise ValueError(f"{source}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None


def read_yaml(path: str | Path) -> Any:
    """The file's content, {} where it is empty. Raises ValueError naming the file where it is no YAML, OSError."""
    import yaml

    try:
        return yaml.safe_load(Path(path).read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None


def _wrong(name: str, value: object, default: object) -> str:
    """What was expected instead of this value, as words; empty where it fits."""
    low, high = LIMITS.get(name, (0.0, 1.0) if name.endswith("_share") else (0.0, math.inf))
    whole = isinstance(default[0] if isinstance(default, tuple) else default, int)
    words = (
        "whole number" if whole else "number",
        f"from {low:g} to {high:g}" if high < math.inf else f"from {low:g} on",
    )

    def fits(number: object) -> bool:
        kind = int if whole else (int, float)
        return isinstance(number, kind) and not isinstance(number, bool) and low <= number <= high  # type: ignore[operator]

    if not isinstance(default, tuple):
        return "" if fits(value) else f"a {words[0]} {words[1]}"
    if name in CHOICES:
        return (
            "" if isinstance(value, tuple) and value and all(map(fits, value)) else f"a list of {words[0]}s {words[1]}"
        )
    pair = value if isinstance(value, tuple) and len(value) == 2 and all(map(fits, value)) else None
    if name in TWO:
        return "" if pair else f"two {words[0]}s {words[1]}"
    return "" if pair and pair[0] <= pair[1] else f"two {words[0]}s {words[1]}, the lower first"
