"""The three shipped configurations: budgets, gradients, and the ONNX file against PyTorch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rsb_pose_ros.inference.refiner import UNKNOWN_METRES
from rsb_pose_ros.model import ModelConfig, PoseTransformer, RSBPose
from rsb_pose_ros.model.config import ConfigError, TransformerConfig
from rsb_pose_ros.model.pose_transformer import StochasticDepth
from rsb_pose_ros.model.softargmax import views_of
from rsb_pose_ros.model.summary import summarise
from rsb_pose_ros.training.export import check_graph, example_pair, export_pose_prior, export_stereo_pose, parity_error
from rsb_pose_ros.training.half_weights import rounded_to_half
from rsb_pose_ros.training.pose_ablation import VARIANTS

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "models"
NAMES = ["rsb_pose_edge", "rsb_pose_r50", "rsb_pose_r152"]


def network(name: str) -> RSBPose:
    torch.manual_seed(0)
    model = RSBPose(ModelConfig.from_yaml(CONFIGS / f"{name}.yaml"))
    fresh = [model.transformer.head]  # these start at zero, and no gradient passes
    if model.second_look is not None:
        look = model.second_look
        fresh += [look.attention, look.profile, look.offsets, look.log_variance]
    for layer in fresh:
        torch.nn.init.normal_(layer.weight, std=0.05)
    # Batch norms with other statistics than 0 and 1, so that folding them is tested too.
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return model.eval()


def test_edge_keeps_its_budget() -> None:
    parts = summarise(network("rsb_pose_edge")).values()
    assert sum(p.macs for p in parts) <= 1.5e9
    assert sum(p.parameters for p in parts) <= 4e6


def test_an_informed_transformer_is_told_the_covariance() -> None:
    config = ModelConfig.from_yaml(CONFIGS / "rsb_pose_edge.yaml")
    informed = RSBPose(replace(config, transformer=replace(config.transformer, informed=True)))
    plain = RSBPose(replace(config, transformer=replace(config.transformer, informed=False)))
    weights = network("rsb_pose_edge").state_dict()
    weights["transformer.embed_uncertainty.weight"].normal_(0, 0.1)
    results = []
    for model in (informed, plain):
        model.load_state_dict(weights)
        with torch.no_grad():
            results.append(model.eval()(*example_pair(256)))
    torch.testing.assert_close(results[0].joints_initial, results[1].joints_initial)
    assert (results[0].joints - results[1].joints).abs().max() > 1e-5
    expected = plain.transformer(results[0].joints_initial, results[0].covariance)
    torch.testing.assert_close(results[0].joints, expected)


def test_gradients_reach_every_parameter() -> None:
    for name in ("rsb_pose_edge", "rsb_pose_r50"):
        model = network(name).train()
        for module in model.modules():
            if isinstance(module, StochasticDepth):
                module.eval()  # a dropped branch has no gradient, rightly
        crops, projections = example_pair(model.config.image_size)
        estimate = model(crops, projections)
        loss = estimate.joints.square().sum() + estimate.confidence_logits.square().sum() + estimate.covariance.sum()
        loss.backward()
        # The transformer may be told covariances; this graph does not tell it.
        used = [(n, p) for n, p in model.named_parameters() if "embed_uncertainty" not in n]
        silent = [n for n, p in used if p.grad is None or not torch.isfinite(p.grad).all()]
        assert not silent, f"{name}: {silent}"
        flat = [n for n, p in used if not p.grad.abs().sum() > 0]
        # Keys' biases cancel in the softmax, and a bias before it too: their gradient is zero by construction.
        flat = [
            n
            for n in flat
            if not n.endswith(
                ("qkv.bias", "heatmaps.bias", "heatmaps.head.bias", "regressor.head.bias", "attention.bias")
            )
        ]
        assert not flat, f"{name}: {flat}"


@pytest.mark.parametrize("name", NAMES)
def test_onnx_equals_pytorch(name: str, tmp_path: Path) -> None:
    model = network(name)
    path = tmp_path / f"{name}.onnx"
    card = export_stereo_pose(model, path, {"licence": "Apache-2.0"})
    graph = onnx.load(path)
    check_graph(graph, static=True)
    assert graph.opset_import[0].version >= 17
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    crops, projections = example_pair(model.config.image_size, seed=3)
    outputs = session.run(None, {"crops": crops.numpy(), "projections": projections.numpy()})
    found = dict(zip(card.contract["outputs"], outputs, strict=True))
    with torch.no_grad():
        estimate = model(crops, projections)
    # The transformer's random weights enlarge differences; the shipped ones: training/test_exported_weights.py.
    for key, worst in (("joints", 3e-4), ("joints_initial", 1e-4)):
        assert parity_error(found[key], getattr(estimate, key).numpy(), found["joints_initial"]) < worst
    np.testing.assert_allclose(found["keypoints"], views_of(estimate.uvd).numpy(), atol=1e-2)
    np.testing.assert_allclose(found["confidence"], estimate.confidence_logits.sigmoid().numpy(), atol=1e-4)
    np.testing.assert_allclose(found["covariance"], estimate.covariance.numpy(), rtol=1e-2, atol=1e-4)


def test_the_refiner_alone_equals_pytorch_for_any_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = TransformerConfig(depth=2)
    model = PoseTransformer(config).eval()
    torch.nn.init.normal_(model.head.weight, std=0.05)
    export_pose_prior(model, tmp_path / "ppt.onnx", {}, {"licence": "Apache-2.0"})
    stored = sum(p.numel() for p in model.parameters())
    assert (tmp_path / "ppt.onnx").stat().st_size < 3 * stored  # bytes: FP16, and the graph
    exact, model = model, rounded_to_half(model)
    with torch.no_grad():  # rounding moves joints by less than a millimetre
        torch.testing.assert_close(model(joints := torch.randn(5, 17, 3)), exact(joints), atol=1e-3, rtol=0)
    session = onnxruntime.InferenceSession(tmp_path / "ppt.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        joints = torch.randn(batch, 17, 3)
        with torch.no_grad():
            np.testing.assert_allclose(
                session.run(None, {"joints": joints.numpy()})[0], model(joints).numpy(), atol=1e-4
            )
    masked = torch.zeros(7, 17, dtype=torch.bool)
    masked[0, 3] = masked[1, 6] = masked[2, :5] = True
    fed = joints.masked_fill(masked[..., None], UNKNOWN_METRES)
    with torch.no_grad():
        expected = model.refine(joints, masked).numpy()
    np.testing.assert_allclose(session.run(None, {"joints": fed.numpy()})[0], expected, atol=1e-3)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    text = (CONFIGS / "rsb_pose_edge.yaml").read_text()
    for old, new, name in (("backbone:", "backbnoe:", "backbnoe"), ("  depth:", "  dpeth:", "dpeth")):
        (tmp_path / "bad.yaml").write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=name):
            ModelConfig.from_yaml(tmp_path / "bad.yaml")


def test_every_ablated_transformer_can_be_built() -> None:
    base = ModelConfig.from_yaml(CONFIGS / "rsb_pose_edge.yaml").transformer
    for variant in VARIANTS:
        PoseTransformer(replace(base, **variant.network))(torch.zeros(1, 17, 3))
    with pytest.raises(ConfigError, match="width 32 is no multiple of its 6 heads"):
        replace(base, width=32)


def test_forbidden_operators_are_refused() -> None:
    node = onnx.helper.make_node("Det", ["x"], ["y"])
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [2, 2])],
        [onnx.helper.make_tensor_value_info("y", 1, [])],
    )
    with pytest.raises(ValueError, match="Det"):
        check_graph(onnx.helper.make_model(graph), static=True)
