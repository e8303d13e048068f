"""What real cameras add, differently in both views: blur, exposure, white balance, noise, tone, sharpening, JPEG."""

from __future__ import annotations

import cv2
import numba
import numpy as np

from rsb_pose_ros.data.synthetic.config import SyntheticConfig

TONES = 1024
"""Entries of a tone curve."""
BRIGHTEST = 4.0
"""Light at the curve's end; 1 is what an ordinary exposure calls white."""


def expose(
    generator: np.random.Generator,
    images: np.ndarray,
    sharpness: float,
    config: SyntheticConfig,
    edges: np.ndarray | None = None,
) -> np.ndarray:
    """Float BGR views (2, S, S, 3) in 0…255 → uint8 as a pair of similar but not equal cameras gives them.

    sharpness: crop pixels per raw pixel; above 1 the crop was enlarged and is blurred accordingly; config: how much
    of what; edges: x0, y0, x1, y1 of the left raw picture, by which it is exposed.
    """
    size = images.shape[1]
    x0, y0, x1, y1 = (0, 0, size, size) if edges is None else np.clip(edges, 0, size).astype(int)
    metered = images[0, y0:y1:4, x0:x1:4]
    bright = max(float(np.percentile(metered, 60)) if metered.size else 128.0, 30.0)
    gain = np.exp(generator.normal(0.05, config.exposure_std)) / 2 / (bright / 128) ** 0.85
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
    out = np.empty(images.shape, np.uint8)
    for view in range(2):
        sigma = max(blur * np.exp(generator.normal(0, 0.1)), 0.45 * sharpness)
        picture = cv2.GaussianBlur(images[view], (0, 0), sigma)
        if motion is not None:
            picture = cv2.filter2D(picture, -1, motion)
        factors = gain * np.exp(generator.normal(0, config.view_exposure_std))
        factors = factors * (tint + generator.normal(0, config.view_white_balance_std, 3))
        view_8bit = _develop(
            picture, factors.astype(np.float32), curve, _noise(generator, picture.shape, sharpness), noise, vignette
        )
        if sharpened:
            soft = cv2.GaussianBlur(view_8bit, (0, 0), 1.2)
            view_8bit = cv2.addWeighted(view_8bit, 1 + sharpened, soft, -sharpened, 0)
        if grey:
            view_8bit = np.repeat(cv2.cvtColor(view_8bit, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
        if generator.random() < config.jpeg_share:
            encoded = cv2.imencode(".jpg", view_8bit, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            view_8bit = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        out[view] = view_8bit
    return out


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


_NOISE = np.random.default_rng(0).standard_normal((1 << 20) + 7, np.float32)


def _noise(generator: np.random.Generator, shape: tuple[int, ...], sharpness: float) -> np.ndarray:
    """Sensor noise (S, S, 3) at the raw image's resolution, coarser than the crop where the crop was enlarged."""
    size = max(16, int(shape[0] / max(sharpness, 1)))
    # A stretch of a stored sequence: drawing as many normal numbers would take longer than the picture.
    count = size * size * 3
    if count < len(_NOISE):
        first = int(generator.integers(len(_NOISE) - count))
        noise = _NOISE[first : first + count].reshape(size, size, 3)
    else:
        noise = generator.standard_normal((size, size, 3), np.float32)
    if size != shape[0]:
        noise = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return noise


def _motion_kernel(generator: np.random.Generator) -> np.ndarray:
    length = int(generator.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = generator.uniform(0, np.pi)
    steps = np.linspace(-0.5, 0.5, 4 * length) * (length - 1)
    centre = (length - 1) / 2
    for step in steps:
        kernel[round(centre + step * np.sin(angle)), round(centre + step * np.cos(angle))] = 1
    return kernel / kernel.sum()
