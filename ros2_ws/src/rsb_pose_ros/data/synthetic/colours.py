"""Colours of people as BGR factors of the light."""

from __future__ import annotations

import numpy as np


def cloth_colour(generator: np.random.Generator) -> np.ndarray:
    """A plain cloth's (3,): greys, darks and all hues."""
    value = generator.uniform(0.08, 1.0)
    hue = generator.uniform(0, 1, 3)
    return value * (1 + generator.uniform(0, 0.8) * (hue - hue.max()))


def skin_colour(generator: np.random.Generator) -> np.ndarray:
    """(3,) from very dark to very light skin."""
    t = generator.uniform(0, 1)
    dark, light = np.array([0.16, 0.22, 0.36]), np.array([0.70, 0.80, 0.98])
    return ((dark + t * (light - dark)) * (1 + generator.normal(0, 0.035, 3))).clip(0.05, 1.1)


def hair_colour(generator: np.random.Generator) -> np.ndarray:
    """(3,) black, brown, red, blond or grey; now and then a coloured cap."""
    if generator.random() < 0.15:
        return cloth_colour(generator)
    natural = [[0.05, 0.05, 0.06], [0.08, 0.13, 0.22], [0.1, 0.2, 0.42], [0.35, 0.55, 0.7], [0.6, 0.6, 0.62]]
    return np.array(natural[generator.integers(5)]) * generator.uniform(0.7, 1.3)


def wall_colour(generator: np.random.Generator) -> np.ndarray:
    """(3,) of paint: whites and greys mostly, else muted hues."""
    value = generator.uniform(0.55, 1.0)
    saturation = generator.choice([0.06, 0.15, 0.4], p=[0.6, 0.25, 0.15])
    return value * (1 - saturation * generator.uniform(0, 1, 3))


def trouser_colour(generator: np.random.Generator) -> np.ndarray:
    """(3,) of jeans, blacks, greys, khaki."""
    usual = [
        [0.45, 0.3, 0.2],
        [0.3, 0.18, 0.12],
        [0.06, 0.06, 0.06],
        [0.3, 0.3, 0.3],
        [0.35, 0.5, 0.58],
        [0.7, 0.55, 0.42],
    ]
    return (
        np.array(usual[generator.integers(len(usual))]) * generator.uniform(0.6, 1.3) * generator.uniform(0.9, 1.1, 3)
    )
