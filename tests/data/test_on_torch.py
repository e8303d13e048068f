"""Pairs drawn with PyTorch are those that the CPU's code draws; each part of a camera is what OpenCV makes of it."""

from __future__ import annotations

import subprocess
import sys
from copy import copy
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from rsb_pose_ros.data.synthetic import kernels, textures  # noqa: E402
from rsb_pose_ros.data.synthetic.dataset import DrawnOnDevice  # noqa: E402
from rsb_pose_ros.data.synthetic.on_torch.cameras import _softened, blurred  # noqa: E402
from rsb_pose_ros.data.synthetic.on_torch.fragments import expand, first_of_nearest, nearest  # noqa: E402
from rsb_pose_ros.data.synthetic.on_torch.jpeg import through_jpeg  # noqa: E402
from rsb_pose_ros.data.synthetic.on_torch.packing import pack  # noqa: E402
from rsb_pose_ros.data.synthetic.on_torch.pairs import sample  # noqa: E402
from rsb_pose_ros.data.synthetic.on_torch.surfaces import pyramid, sample_folds, sample_photo, sample_tile  # noqa: E402
from tests.data.conftest import BODIES, CONFIG, ROOT  # noqa: E402
from tests.data.pretend_gpu import GPU, PretendGpu, is_on_gpu  # noqa: E402

SEEDS = range(100, 112)


def channels_first(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


def channels_last(pictures: torch.Tensor) -> np.ndarray:
    return pictures[0].permute(1, 2, 0).numpy()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth, with grain, all grey levels in it."""
    generator = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(generator.uniform(0, 255, (height, width, 3)).astype(np.float32), (0, 0), 3)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return np.clip(smooth + generator.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def both(pairs):
    """(samples of the CPU, batch of PyTorch) of the same seeds."""
    return [pairs.sample(seed) for seed in SEEDS], sample(pairs, SEEDS, "cpu")


def test_the_same_seed_gives_the_same_picture(both):
    """Within one grey level for 99.9 % of the pixels."""
    expected = np.stack([s.crops for s in both[0]]).astype(int)
    off = np.abs(both[1]["crops"].numpy() - expected).max(-1)
    assert (off <= 1).mean() >= 0.999
    assert (off.reshape(len(expected), -1) <= 1).mean(1).min() > 0.99


def test_a_gpu_would_draw_them_too(pairs, both):
    """No operation mixes tensors of two devices, none rounds to TensorFloat-32, and everything is there in the end."""
    with PretendGpu():
        drawn = sample(pairs, SEEDS, GPU)
        assert all(is_on_gpu(values) for values in drawn.values())
        drawn = {name: values.cpu() for name, values in drawn.items()}
    for name, values in both[1].items():
        assert torch.equal(drawn[name].nan_to_num(-1.0), values.nan_to_num(-1.0)), name


def test_the_gpu_that_is_not_there_refuses_what_a_real_one_refuses():
    with PretendGpu():
        there, here = torch.zeros(2, 3, device=GPU), torch.ones(2, 3)
        for mixed in (lambda: there + here, lambda: torch.where(there > 0, here, here), lambda: there[:, 0].numpy()):
            with pytest.raises(RuntimeError):
                mixed()
        with pytest.raises(RuntimeError, match="TensorFloat"):
            torch.nn.functional.conv2d(there[None, None], torch.zeros(1, 1, 1, 1, device=GPU))
        assert is_on_gpu(there + here.to(GPU))
        assert is_on_gpu(there[torch.tensor([0])] * 2 + torch.tensor(1.0))
        assert not is_on_gpu(there.cpu() + here)


def test_the_same_seed_gives_the_same_labels(both):
    samples, batch = both
    for name in ("projections", "joints", "keypoints", "present", "search", "visibility"):
        np.testing.assert_array_equal(batch[name].numpy(), np.stack([getattr(s, name) for s in samples]), name)
    np.testing.assert_allclose(batch["boxes"].numpy(), np.stack([s.boxes for s in samples]), atol=0.01)
    masks = np.stack([s.masks for s in samples])
    assert masks.any() and (batch["masks"].numpy() != masks).mean() < 1e-4


def test_hidden_people_are_drawn_again_as_on_the_cpu(pairs):
    """Where the first attempt shows nobody to learn from, both go on to the same second one."""
    crowded = copy(pairs)
    crowded.config = replace(pairs.config, size=64, occluder_share=1.0, second_person_share=1.0, empty_share=0.0)
    tries = dict.fromkeys(range(12), 0)
    plan = crowded.plan

    def counted(generator):
        tries[current] += 1
        return plan(generator)

    crowded.plan = counted
    expected = []
    for current in tries:
        expected.append(crowded.sample(current))
    crowded.plan = plan
    assert max(tries.values()) > 1
    batch = sample(crowded, list(tries), "cpu")
    np.testing.assert_array_equal(batch["joints"].numpy(), np.stack([s.joints for s in expected]))


def test_rooms_without_anything_in_them(pairs):
    empty = copy(pairs)
    empty.config = replace(
        pairs.config, size=64, empty_share=1.0, coarse_share=0.0, plant_share=0.0, second_person_share=0.0
    )
    batch = sample(empty, range(3), "cpu")
    expected = np.stack([empty.sample(seed).crops for seed in range(3)]).astype(int)
    assert (np.abs(batch["crops"].numpy() - expected) <= 1).mean() > 0.999
    assert not batch["present"].any() and not batch["masks"].any() and batch["boxes"].isnan().all()


def test_crops_whose_noise_is_not_stored_are_refused(pairs):
    large = copy(pairs)
    large.config = replace(pairs.config, size=640)
    with pytest.raises(ValueError, match=r"crops of 640 pixels.*at most 590"):
        pack([large.plan(np.random.default_rng(s)) for s in range(8)], 640)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_the_stream_are_those_of_the_seeds(pairs, shared, workers):
    stream = iter(DrawnOnDevice(CONFIG, shared, BODIES, None, 2, "cpu", seed=50, workers=workers, split="val"))
    for first in (50, 52):
        batch = next(stream)
        expected = sample(pairs, range(first, first + 2), "cpu")
        for name, values in expected.items():
            np.testing.assert_array_equal(batch[name].numpy(), values.numpy(), name)


@pytest.mark.parametrize("quality", [35, 50, 75, 91, 98])
def test_jpeg_is_that_of_opencv(quality):
    for shape in ((64, 96), (50, 37)):
        original = picture(*shape)
        expected = cv2.imdecode(
            cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
        )
        found = channels_last(through_jpeg(channels_first(original), torch.tensor([quality])))
        assert np.abs(found - expected).max() <= 1
        assert (found == expected).mean() > 0.99


@given(sigma=st.floats(0.3, 4.0))
@settings(max_examples=10, deadline=None)
def test_blur_is_that_of_opencv(sigma):
    original = picture(48, 56).astype(np.float32)
    found = channels_last(blurred(channels_first(original), torch.tensor([sigma])))
    np.testing.assert_allclose(found, cv2.GaussianBlur(original, (0, 0), sigma), atol=1e-3)


def test_the_blur_of_sharpening_is_that_of_opencv():
    original = picture(48, 56)
    np.testing.assert_array_equal(
        channels_last(_softened(channels_first(original))), cv2.GaussianBlur(original, (0, 0), 1.2)
    )


def test_mip_levels_are_those_of_opencv():
    tiles = [picture(128, 128, seed) for seed in range(2)]
    expected = textures.pyramid(tiles)
    found = pyramid(torch.from_numpy(np.stack(tiles))).numpy()
    for level in range(textures.LEVELS):
        side = 128 >> level
        np.testing.assert_array_equal(found[:, level, :side, :side], expected[:, level, :side, :side])


def test_textures_are_sampled_as_on_the_cpu():
    levels = textures.pyramid([picture(128, 128, seed) for seed in range(3)])
    photos = np.stack([picture(30, 40, seed) for seed in range(2)])
    generator = np.random.default_rng(0)
    k, u, v = generator.integers(0, 2, 200), *generator.uniform(-3, 3, (2, 200)).astype(np.float32)
    footprint = generator.uniform(0.1, 12, 200).astype(np.float32)
    on_torch = [torch.from_numpy(a) for a in (k, u, v, footprint)]
    tile = sample_tile(torch.from_numpy(levels), *on_torch).numpy()
    photo = sample_photo(torch.from_numpy(photos), *on_torch[:3]).numpy()
    folds = sample_folds(*on_torch[1:3]).numpy()
    for i in range(200):
        np.testing.assert_allclose(tile[i], kernels.sample_tile(levels, k[i], u[i], v[i], footprint[i]), atol=0.02)
        np.testing.assert_allclose(photo[i], kernels.sample_photo(photos, k[i], u[i], v[i]), atol=0.02)
        np.testing.assert_allclose(folds[i], kernels.sample_folds(textures.FOLDS, u[i], v[i]), atol=0.002)


rectangles = st.lists(st.tuples(*[st.integers(-2, 6)] * 4), max_size=6)


@given(rectangles)
def test_rectangles_expand_to_their_pixels(rects):
    tensor = torch.tensor(rects, dtype=torch.long).reshape(-1, 4)
    expected = [
        (i, x, y) for i, (x0, x1, y0, y1) in enumerate(rects) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)
    ]
    found = torch.stack(expand(tensor), 1) if rects else torch.empty(0, 3)
    assert [tuple(row) for row in found.tolist()] == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 50)), max_size=20))
def test_the_nearest_candidate_wins_and_the_first_of_equals(candidates):
    where, depth, index = (torch.tensor([c[i] for c in candidates], dtype=torch.long) for i in range(3))
    found, z = nearest(4, where, depth.float(), index)
    among = first_of_nearest(4, where, depth.float(), index, within=1.5)
    for pixel in range(4):
        mine = sorted((d, i) for w, d, i in candidates if w == pixel)
        assert int(found[pixel]) == (mine[0][1] if mine else -1)
        assert not mine or float(z[pixel]) == pytest.approx(mine[0][0], abs=1e-5)
        assert int(among[pixel]) == (min(i for d, i in mine if d <= mine[0][0] + 1.5) if mine else -1)


@pytest.mark.parametrize("device", ["cuda", "nonsense"])
def test_the_benchmark_names_a_device_that_is_not_there(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "data", "--device", device]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and f"--device {device}: " in done.stderr and "Traceback" not in done.stderr
