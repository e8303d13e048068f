"""What training on a CPU computes by itself, against PyTorch in float64."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rsb_pose_ros.model import ModelConfig, softargmax
from rsb_pose_ros.training.benchmark import noise
from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan
from rsb_pose_ros.training.losses import volume_cross_entropy
from rsb_pose_ros.training.on_cpu.depthwise import DepthwiseConvolution, is_slow, replace_slow_gradients
from rsb_pose_ros.training.on_cpu.volume import read_volume, separable_sum

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config/models/rsb_pose_edge.yaml"
BFLOAT16_STEP = 2.0**-8
DISPARITIES = range(-2, 3)


def gradients_of_convolution(x: Tensor, weight: Tensor, bias: Tensor, of_output: Tensor, stride: int) -> list[Tensor]:
    exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
    y = nn.functional.conv2d(*exact, stride, weight.shape[2] // 2, groups=weight.shape[0])
    return list(torch.autograd.grad(y, exact, of_output.double()))


@pytest.mark.parametrize(("kernel", "stride", "side"), [(5, 1, 9), (5, 2, 12), (5, 2, 11), (3, 2, 12), (3, 2, 7)])
@pytest.mark.parametrize("channels_last", [True, False])
def test_depthwise_gradients_equal_those_of_float64(kernel: int, stride: int, side: int, channels_last: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 20, side, side).bfloat16()
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(20, 1, kernel, kernel).bfloat16(), torch.randn(20).bfloat16()
    inputs = [part.requires_grad_() for part in (x, weight, bias)]
    y = DepthwiseConvolution.apply(*inputs, stride)
    of_output = torch.randn_like(y)
    found = torch.autograd.grad(y, inputs, of_output)
    for ours, exact in zip(found, gradients_of_convolution(x, weight, bias, of_output, stride), strict=True):
        assert ours.shape == exact.shape
        torch.testing.assert_close(ours.double(), exact, rtol=0, atol=BFLOAT16_STEP * float(exact.abs().max()))


def test_only_convolutions_without_a_fast_gradient_are_replaced_and_only_under_autocast() -> None:
    slow = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    network = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), slow, nn.Conv2d(8, 8, 3, padding=1, groups=8))
    assert [is_slow(part) for part in network] == [False, True, False]
    x = torch.randn(1, 3, 8, 8)
    before = network(x)
    assert replace_slow_gradients(network) == 1
    torch.testing.assert_close(network(x), before, rtol=0, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(x).sum().backward()
    assert slow.weight.grad is not None and slow.weight.grad.isfinite().all() and slow.weight.grad.abs().sum() > 0


def logits(scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.randn(2, 17, 5, 6, 7, generator=generator) * scale).requires_grad_()


@pytest.mark.parametrize("scale", [1e-3, 3.0, 60.0])
def test_a_volume_is_read_as_by_softmax_in_float64_with_the_same_gradients(scale: float) -> None:
    x = logits(scale)
    fast = read_volume(x)
    exact_x = x.detach().double().requires_grad_()
    probability = exact_x.flatten(2).softmax(-1)
    volume = probability.unflatten(2, x.shape[2:])
    exact = [
        volume.sum((2, 3)),
        volume.sum((2, 4)),
        volume.sum((3, 4)),
        probability.amax(-1),
        exact_x.flatten(2).logsumexp(-1),
    ]
    found = [fast.along_u, fast.along_v, fast.along_d, fast.peak, fast.log_sum]
    pull = [torch.randn(part.shape, generator=torch.Generator().manual_seed(4)) for part in exact]
    for ours, reference in zip(found, exact, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours.double(), reference, rtol=2e-6, atol=2e-6)
    sum((p * part).sum() for p, part in zip(pull, found, strict=True)).backward()
    sum((p.double() * part).sum() for p, part in zip(pull, exact, strict=True)).backward()
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-4, atol=1e-5)


def test_the_networks_own_reading_agrees() -> None:
    x = logits(4.0)
    ours, fast = (softargmax.soft_argmax(read(x), DISPARITIES) for read in (softargmax.read_volume, read_volume))
    for name in ("uvd", "variance", "peak"):
        torch.testing.assert_close(getattr(ours, name), getattr(fast, name), rtol=1e-4, atol=1e-4)


def test_cross_entropy_is_the_same_by_either_way() -> None:
    uvd = torch.rand(2, 17, 3, generator=torch.Generator().manual_seed(5)) * torch.tensor([24.0, 20.0, 8.0])
    plain, fast = logits(5.0), logits(5.0)
    slowly = volume_cross_entropy(plain, uvd, DISPARITIES)
    quickly = volume_cross_entropy(fast, uvd, DISPARITIES, log_sum=read_volume(fast).log_sum)
    torch.testing.assert_close(quickly, slowly, rtol=1e-4, atol=1e-4)
    slowly.square().sum().backward()
    quickly.square().sum().backward()
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-3, atol=1e-4)


def test_a_separable_sum_is_an_einsum() -> None:
    weights = [torch.rand(2, 17, n) for n in (7, 6, 5)]
    found = separable_sum(logits(2.0), *weights)
    expected = torch.einsum("bjdvu,bju,bjv,bjd->bj", logits(2.0).double(), *(w.double() for w in weights))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_diverged_volume_gives_no_finite_loss() -> None:
    """The trainer leaves such a batch out; compiled loops must not make a number of it."""
    x = torch.zeros(1, 17, 5, 6, 7)
    x[0, 3, 1, 2, 3] = math.nan
    uvd = torch.full((1, 17, 3), 8.0)
    loss = volume_cross_entropy(x, uvd, DISPARITIES, log_sum=read_volume(x).log_sum)
    assert not loss[0, 3].isfinite() and loss[0, 4].isfinite()


def test_an_exponential_is_one_to_seven_digits() -> None:
    """Read off a volume of two cells: its peak is 1 / (1 + e^x)."""
    x = torch.linspace(-20, 0, 400)
    cells = torch.stack([torch.zeros_like(x), x], -1).view(1, -1, 1, 1, 2)
    exact = 1 / (1 + x.double().exp())
    torch.testing.assert_close(read_volume(cells).peak[0].double(), exact, rtol=3e-7, atol=0)


def test_freed_memory_is_kept() -> None:
    """In a process of its own, as the setting cannot be taken back: large tensors soon cost no page faults any more."""
    script = (
        "import resource, torch\n"
        "from rsb_pose_ros.training.on_cpu.memory import keep_freed_memory\n"
        "if not keep_freed_memory(): raise SystemExit(77)\n"
        "x = torch.ones(16, 17, 50176)\n"
        "faults = []\n"
        "for _ in range(8):\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    y = x + 1; z = y * 2; del y; w = z + x; del z, w\n"
        "    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
        "print(min(faults))\n"  # where a block finds no room it is new once more
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("a C library without mallopt")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 10_000, "three tensors are 40 000 pages"


def test_the_fast_way_trains_as_the_plain_one(tmp_path: Path) -> None:
    """Same weights, same batch: losses agree within bfloat16's rounding, and all that learns plainly learns here."""
    config = replace(ModelConfig.from_yaml(CONFIG), image_size=64)
    plan = Plan(steps=10, batch=2, size=64, rate=1e-4, backbone_rate=1e-5)
    torch.manual_seed(0)
    batch = noise(2, 64)
    plain = CoKeypointTrainer(config, plan, tmp_path, plain=True)
    fast = CoKeypointTrainer(config, plan, tmp_path)
    fast.model.load_state_dict(plain.model.state_dict())
    before = {name: value.clone() for name, value in plain.model.state_dict().items()}
    slowly, quickly = plain.train_step(batch), fast.train_step(batch)
    for name in ("volume", "heatmap", "pixel", "second", "metric", "confidence"):
        assert quickly[name] == pytest.approx(slowly[name], rel=0.03), name
    changed = [
        {name for name, value in one.model.state_dict().items() if not torch.equal(value, before[name])}
        for one in (plain, fast)
    ]
    assert changed[0] == changed[1]


def test_benchmark_measures_each_kind(tmp_path: Path) -> None:
    small = tmp_path / "small.yaml"
    small.write_text(CONFIG.read_text().replace("image_size: 224", "image_size: 64"))
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "training", "--config", str(small), "--batch", "1"]
    done = subprocess.run(
        [*command, "--steps", "1", "--rounds", "1", "--json", str(figures)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert len(found["ms_per_pair"]) == 3 and all(value > 0 for value in found["ms_per_pair"].values())
    assert "times as fast" in done.stdout
