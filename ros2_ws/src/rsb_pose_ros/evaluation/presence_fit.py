"""Fitting what says that somebody is there: what a model's card keeps (inference/presence)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from rsb_pose_ros.evaluation.presence_answers import Answers
from rsb_pose_ros.inference.estimator import MIN_CONFIDENCE
from rsb_pose_ros.inference.presence import Presence

RIDGE = 0.01
"""Keeps weights finite where evidence separates the answers fully."""
LEAST_ANSWERS = 20
"""About people, and about nobody: with fewer of either, weights are noise."""
FOLDS = 8
MARGIN = 1e-3
"""Above the highest of all ghosts: a card's numbers are rounded."""


def fit_presence(answers: Answers, ghosts: int) -> Presence:
    """The regression, shifted so that from min_confidence's default on no more than `ghosts` of the empty pictures have
    somebody in them.

    Raises ValueError for too few answers, and where no more empty pictures than that have caught any glimpse.
    """
    fitted = regression(answers)
    nobody = answers.only(answers.empty)
    level = level_of(nobody.evidence @ fitted.weights, nobody.picture, ghosts)
    if not np.isfinite(level):
        raise ValueError(
            f"only {len(np.unique(nobody.picture))} empty rooms had anything to look at closely, and {ghosts} of them "
            "may have somebody in them; expected more: raise --empty or lower --ghosts"
        )
    return replace(fitted, bias=float(np.log(MIN_CONFIDENCE / (1 - MIN_CONFIDENCE)) - level))


def regression(answers: Answers) -> Presence:
    """Logistic regression in which people and nobody weigh alike. Raises ValueError for too few answers."""
    counts = answers.people.sum(), answers.empty.sum()
    for count, what, option in zip(counts, ("people", "empty rooms"), ("--pairs", "--empty"), strict=True):
        if count < LEAST_ANSWERS:
            raise ValueError(f"{count} answers about {what}; expected at least {LEAST_ANSWERS}: raise {option}")
    evidence = np.concatenate([answers.evidence[answers.people], answers.evidence[answers.empty]])
    sign, share = np.repeat([1.0, -1.0], counts), np.repeat(0.5 / np.array(counts), counts)
    mean, spread = evidence.mean(0), np.maximum(evidence.std(0), 1e-9)
    scaled = (evidence - mean) / spread

    def loss(theta: np.ndarray) -> float:
        wrong = np.logaddexp(0, -sign * (scaled @ theta[1:] + theta[0]))
        return float(share @ wrong + RIDGE * (theta[1:] ** 2).sum())

    theta = minimize(loss, np.zeros(evidence.shape[1] + 1)).x
    weights = theta[1:] / spread
    return Presence(float(theta[0] - mean @ weights), weights)


def level_of(values: np.ndarray, picture: np.ndarray, ghosts: int) -> float:
    """A level that only `ghosts` of the pictures have a higher value than: halfway between the last of these and the next,
    just above the highest where there shall be none. values, picture: (N,) of empty pictures."""
    best = sorted((float(values[picture == number].max()) for number in np.unique(picture)), reverse=True)
    if ghosts >= len(best):
        return -np.inf
    return (best[ghosts - 1] + best[ghosts]) / 2 if ghosts else best[0] + MARGIN


def comparison(answers: Answers, ghosts: Sequence[int]) -> list[dict[str, int]]:
    """Pictures in which a person is found while so many of the empty ones have somebody in them: by mean confidence, and by
    presences that were fitted to other pictures. {"ghosts", "confidence", "presence"}. Raises as regression."""
    presence = np.zeros(len(answers.score))
    for fold in range(FOLDS):
        held_out = answers.picture % FOLDS == fold
        presence[held_out] = regression(answers.only(~held_out)).probability(answers.evidence[held_out])
    rows = []
    for allowed in ghosts:
        row = {"ghosts": allowed}
        for name, values in (("confidence", answers.score), ("presence", presence)):
            level = level_of(values[answers.empty], answers.picture[answers.empty], allowed)
            row[name] = len(np.unique(answers.picture[answers.people & (values >= level)]))
        rows.append(row)
    return rows
