"""What real cameras add, differently in both views: blur, exposure, white balance, noise, tone, sharpening, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np

from rsb_pose_ros.data.synthetic.config import SyntheticConfig

TONES = 1024
"""Entries of a tone curve."""
BRIGHTEST = 4.0
"""Light at the curve's end; 1 is what an ordinary exposure calls white."""
METERED_EVERY, METERED_PERCENT, DARKEST = 4, 60, 30.0
"""Exposure goes by every so many-th pixel's brightness at a percentile, but takes none for darker than DARKEST."""
SHARPENED_OVER = 1.2
"""Deviation in pixels of the blur that sharpening subtracts."""


@dataclass(frozen=True)
class Exposure:
    """What chance decides of how a pair of cameras takes a pair of pictures, before anything of them is known.

    gain: over what metering gives; curve: (TONES,); noise: deviation, grey levels; vignette: loss of light in the corners;
    motion: kernel (K, K) of shaken cameras or None; sharpened: strength; sigmas: (2,) of the lenses' blur, pixels; gains,
    tints: (2,), (2, 3) of each view; grain: (2,) noise at the raw picture's resolution (R, C, 3); grain_starts: (2,) where
    each begins in GRAIN, −1 if it is not from there; qualities: (2,) of JPEG, 0 for none.
    """

    gain: float
    curve: np.ndarray
    noise: float
    vignette: float
    motion: np.ndarray | None
    sharpened: float
    grey: bool
    sigmas: np.ndarray
    gains: np.ndarray
    tints: np.ndarray
    grain: tuple[np.ndarray, np.ndarray]
    grain_starts: tuple[int, int]
    qualities: tuple[int, int]


def sample_exposure(
    generator: np.random.Generator, size: tuple[int, int], sharpness: float, config: SyntheticConfig
) -> Exposure:
    """size: (height, width); sharpness: crop pixels per raw pixel; above 1 the crop was enlarged and is blurred
    accordingly; config: how much of what."""
    gain = np.exp(generator.normal(0.05, config.exposure_std))
    curve = tone_curve(np.exp(generator.normal(0, 0.15)))
    tint = 1 + generator.normal(0, config.white_balance_std, 3)
    grey = generator.random() < config.grey_share
    noise = abs(generator.normal(0, config.noise[0] if generator.random() < 0.8 else config.noise[1]))
    defocus = generator.uniform(*config.blur_px)
    blur = defocus + (generator.exponential(0.8) if generator.random() < config.defocus_share else 0)
    motion = _motion_kernel(generator) if generator.random() < config.motion_blur_share else None
    sharpened = generator.uniform(0.2, 1.2) if generator.random() < config.sharpened_share else 0.0
    vignette = generator.uniform(0, 0.35) if generator.random() < config.vignette_share else 0.0
    quality = int(generator.uniform(*config.jpeg_quality))
    sigmas, gains, tints, grain, starts, qualities = [], [], [], [], [], []
    for _ in range(2):
        sigmas.append(max(blur * np.exp(generator.normal(0, 0.1)), 0.45 * sharpness))
        gains.append(np.exp(generator.normal(0, config.view_exposure_std)))
        tints.append(tint + generator.normal(0, config.view_white_balance_std, 3))
        noise_of_view, start = _grain(generator, size, sharpness)
        grain.append(noise_of_view)
        starts.append(start)
        qualities.append(quality if generator.random() < config.jpeg_share else 0)
    return Exposure(
        gain, curve, noise, vignette, motion, sharpened, grey, np.array(sigmas), np.array(gains), np.array(tints),
        (grain[0], grain[1]), (starts[0], starts[1]), (qualities[0], qualities[1]),
    )  # fmt: skip


def expose(images: np.ndarray, exposure: Exposure, edges: np.ndarray | None = None) -> np.ndarray:
    """Float BGR views (2, H, W, 3) in 0…255 → uint8 as a pair of similar but not equal cameras gives them.

    edges: x0, y0, x1, y1 of the left raw picture, by which it is exposed.
    """
    height, width = images.shape[1:3]
    gain = exposure.gain / 2 / (metered(images[0], edges) / 128) ** 0.85
    out = np.empty(images.shape, np.uint8)
    for view in range(2):
        picture = cv2.GaussianBlur(images[view], (0, 0), exposure.sigmas[view])
        if exposure.motion is not None:
            picture = cv2.filter2D(picture, -1, exposure.motion)
        factors = gain * exposure.gains[view] * exposure.tints[view]
        grain = exposure.grain[view]
        if grain.shape[:2] != (height, width):
            grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
        view_8bit = _develop(
            picture, factors.astype(np.float32), exposure.curve, grain, exposure.noise, exposure.vignette
        )
        if exposure.sharpened:
            soft = cv2.GaussianBlur(view_8bit, (0, 0), SHARPENED_OVER)
            view_8bit = cv2.addWeighted(view_8bit, 1 + exposure.sharpened, soft, -exposure.sharpened, 0)
        if exposure.grey:
            view_8bit = np.repeat(cv2.cvtColor(view_8bit, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
        if exposure.qualities[view]:
            encoded = cv2.imencode(".jpg", view_8bit, [cv2.IMWRITE_JPEG_QUALITY, exposure.qualities[view]])[1]
            view_8bit = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        out[view] = view_8bit
    return out


def metered(image: np.ndarray, edges: np.ndarray | None) -> float:
    """Brightness of a picture (H, W, 3) by which it is exposed: the 60th percentile within edges x0, y0, x1, y1."""
    height, width = image.shape[:2]
    size = np.array([width, height, width, height])
    x0, y0, x1, y1 = [0, 0, width, height] if edges is None else np.clip(edges, 0, size).astype(int)
    part = image[y0:y1:METERED_EVERY, x0:x1:METERED_EVERY]
    return max(float(np.percentile(part, METERED_PERCENT)) if part.size else 128.0, DARKEST)


def tone_curve(gamma: float) -> np.ndarray:
    """(TONES,) float32 0…255 for light 0…BRIGHTEST: linear in the dark, bending over before it saturates."""
    light = np.linspace(0, BRIGHTEST, TONES)
    return (255 * (light / np.sqrt(np.sqrt(1 + light**4))) ** gamma).astype(np.float32)


@numba.njit(cache=True, fastmath=True, nogil=True)
def _develop(picture, factors, curve, noise, strength, vignette):  # type: ignore[no-untyped-def]
    """uint8 (S, S, 3) of light (S, S, 3) in 0…255: gain per channel, darker corners, tone curve, sensor noise.

    noise: (S, S, 3) of deviation 1; strength: its deviation in grey levels, more in bright parts as photons' is.
    """
    height, width = picture.shape[0], picture.shape[1]
    out = np.empty(picture.shape, np.uint8)
    scale = np.float32((len(curve) - 1) / 4.0)
    for y in range(height):
        for x in range(width):
            dx, dy = np.float32(2 * x) / width - 1, np.float32(2 * y) / height - 1
            corner = 1 - np.float32(vignette) * (dx * dx + dy * dy) * np.float32(0.5)
            for c in range(3):
                place = min(
                    max(picture[y, x, c] * np.float32(1 / 127.5) * factors[c] * corner, np.float32(0)) * scale,
                    np.float32(len(curve) - 1.001),
                )
                k = int(place)
                f = place - k
                tone = curve[k] * (1 - f) + curve[k + 1] * f
                tone += noise[y, x, c] * strength * (np.float32(0.7) + tone * np.float32(0.3 / 128))
                out[y, x, c] = np.uint8(min(max(tone, np.float32(0)), np.float32(255)))
    return out


GRAIN = np.random.default_rng(0).standard_normal((1 << 20) + 7, np.float32)
"""Of deviation 1. Drawing as many normal numbers for each picture would take longer than the picture."""


def _grain(generator: np.random.Generator, size: tuple[int, int], sharpness: float) -> tuple[np.ndarray, int]:
    """(sensor noise (R, C, 3) at the raw image's resolution, coarser than an enlarged crop of (height, width), where it
    begins in GRAIN or −1)."""
    rows, columns = (max(16, int(side / max(sharpness, 1))) for side in size)
    count = rows * columns * 3
    if count < len(GRAIN):
        first = int(generator.integers(len(GRAIN) - count))
        return GRAIN[first : first + count].reshape(rows, columns, 3), first
    return generator.standard_normal((rows, columns, 3), np.float32), -1


def _motion_kernel(generator: np.random.Generator) -> np.ndarray:
    length = int(generator.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = generator.uniform(0, np.pi)
    steps = np.linspace(-0.5, 0.5, 4 * length) * (length - 1)
    centre = (length - 1) / 2
    for step in steps:
        kernel[round(centre + step * np.sin(angle)), round(centre + step * np.cos(angle))] = 1
    return kernel / kernel.sum()
