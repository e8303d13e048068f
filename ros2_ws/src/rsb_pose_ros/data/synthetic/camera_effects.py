"""What real cameras add, differently in both views: exposure, white balance, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np


def expose(generator: np.random.Generator, images: np.ndarray, sharpness: float) -> np.ndarray:
    """Float BGR views (2, S, S, 3) in 0…255 → uint8 as a pair of similar but not equal cameras gives them.

    sharpness: crop pixels per raw pixel; above 1 the crop was enlarged and is blurred accordingly.
    """
    gain = np.exp(generator.normal(0, 0.3)) * 128 / max(float(np.percentile(images, 60)), 30) ** 0.7 / 128**0.3
    gamma = np.exp(generator.normal(0, 0.15))
    tint = 1 + generator.normal(0, 0.06, 3)
    grey = generator.random() < 0.2
    noise = abs(generator.normal(0, 4)) if generator.random() < 0.8 else abs(generator.normal(0, 12))
    blur = generator.uniform(0.3, 0.9) + (generator.exponential(0.8) if generator.random() < 0.2 else 0)
    quality = int(generator.uniform(35, 98))
    motion = _motion_kernel(generator) if generator.random() < 0.1 else None
    out = np.empty(images.shape, np.uint8)
    for view in range(2):
        picture = images[view] * (gain * np.exp(generator.normal(0, 0.05))) * (tint + generator.normal(0, 0.02, 3))
        picture = (255 * _shoulder(np.maximum(picture, 0) / 255) ** gamma).astype(np.float32)
        sigma = blur * np.exp(generator.normal(0, 0.1))
        picture = cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.45 * sharpness))
        if motion is not None:
            picture = cv2.filter2D(picture, -1, motion)
        picture = _noisy(generator, picture, noise, sharpness)
        if grey:
            picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
        view_8bit = np.clip(picture, 0, 255).astype(np.uint8)
        if generator.random() < 0.7:
            encoded = cv2.imencode(".jpg", view_8bit, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            view_8bit = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        out[view] = view_8bit
    return out


def _shoulder(light: np.ndarray) -> np.ndarray:
    """Tone curve 0…1 of a camera: linear in the dark, bending over before it saturates."""
    square = light * light
    return light / np.sqrt(np.sqrt(1 + square * square))


def _noisy(generator: np.random.Generator, picture: np.ndarray, strength: float, sharpness: float) -> np.ndarray:
    """Adds sensor noise at the raw image's resolution, coarser than the crop where the crop was enlarged."""
    size = max(16, int(picture.shape[0] / max(sharpness, 1)))
    noise = generator.standard_normal((size, size, 3), np.float32) * strength
    if size != picture.shape[0]:
        noise = cv2.resize(noise, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return picture + noise


def _motion_kernel(generator: np.random.Generator) -> np.ndarray:
    length = int(generator.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = generator.uniform(0, np.pi)
    steps = np.linspace(-0.5, 0.5, 4 * length) * (length - 1)
    centre = (length - 1) / 2
    for step in steps:
        kernel[round(centre + step * np.sin(angle)), round(centre + step * np.cos(angle))] = 1
    return kernel / kernel.sum()
