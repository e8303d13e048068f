"""What may become INT8 and what must not."""

import onnx
import pytest
from onnx import TensorProto, helper

from rsb_pose_ros.inference import ModelError
from rsb_pose_ros.quantization.graph import Graph, candidates, fold_normalisation, layers, volume_softmax
from rsb_pose_ros.quantization.qdq import RECIPES

CONVOLUTIONS = ["/backbone/conv/Conv", "/regressor/head/Conv"]


def test_convolutions_and_what_lies_between_them_are_chosen(float_model):
    chosen = candidates(Graph(float_model), RECIPES["cpu"].operators)
    assert chosen == [
        "/backbone/conv/Conv",
        "/backbone/act/Clip",
        "/regressor/Concat",
        "/regressor/head/Conv",
        "/regressor/head/Relu",
    ]


def test_nothing_behind_the_volume_s_softmax_is_chosen(float_model):
    graph = Graph(float_model)
    assert volume_softmax(graph).name == "/softargmax/Softmax"
    everything = tuple({n.op_type for n in graph.nodes})
    for logits in (False, True):
        chosen = candidates(graph, everything, logits=logits)
        assert not [n for n in chosen if n.startswith(("/softargmax/Softmax", "/triangulation", "/covariance"))]


def test_a_graph_without_scopes_is_split_by_reachability_alone(float_model):
    for index, node in enumerate(float_model.graph.node):
        node.name = f"node_{index}"
    graph = Graph(float_model)
    chosen = candidates(graph, ("Conv",))
    assert [graph.named[n].op_type for n in chosen] == ["Conv", "Conv"]
    assert list(layers(graph, chosen)) == chosen, "every convolution is a layer of its own"


def test_an_attention_mask_s_softmax_is_not_taken_for_the_volume_s(float_model):
    # A mask over the channels between the two convolutions: a softmax with a convolution behind it.
    nodes = float_model.graph.node
    clip = next(n for n in nodes if n.name == "/backbone/act/Clip")
    clip.output[0] = "unmasked"
    mask = helper.make_node("Softmax", ["unmasked"], ["mask"], name="/attention_mask/Softmax", axis=1)
    masked = helper.make_node("Mul", ["unmasked", "mask"], ["/backbone/act/Clip"], name="/attention_mask/Mul")
    at = list(nodes).index(clip) + 1
    nodes.insert(at, masked)
    nodes.insert(at, mask)
    graph = Graph(float_model)
    assert volume_softmax(graph).name == "/softargmax/Softmax"
    assert set(CONVOLUTIONS) <= set(candidates(graph, ("Conv",)))


def test_patterns_keep_operators_in_float_and_must_match_something(float_model):
    graph = Graph(float_model)
    assert candidates(graph, ("Conv",), keep=["backbone"]) == ["/regressor/head/Conv"]
    with pytest.raises(ModelError, match=r"matches transfromer; expected .*such as /backbone/conv/Conv"):
        candidates(graph, ("Conv",), keep=["transfromer"])
    with pytest.raises(ModelError, match=r"mine: pattern 'stage4\(' is no regular expression \(missing \)"):
        candidates(graph, ("Conv",), keep=["stage4("], source="mine")
    with pytest.raises(ModelError, match="no convolution is left"):
        candidates(graph, ("Conv",), keep=["backbone", "regressor"])
    for node in graph.of("Softmax"):
        node.op_type = "LogSoftmax"
    with pytest.raises(ModelError, match="no softmax behind its convolutions"):
        candidates(Graph(float_model), ("Conv",))


def test_layers_gather_what_follows_a_convolution(float_model):
    graph = Graph(float_model)
    groups = layers(graph, candidates(graph, RECIPES["cpu"].operators))
    assert groups["backbone/conv"] == ["/backbone/conv/Conv", "/backbone/act/Clip", "/regressor/Concat"]
    assert groups["regressor/head"] == ["/regressor/head/Conv", "/regressor/head/Relu"]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("mean", "folds"), [(0.0, True), (0.5, False)])
def test_only_a_scale_without_a_mean_moves_into_the_first_convolution(mean, folds, turned):
    """At the picture's edge the padding's zeros would otherwise mean another colour."""
    values = {"mean": [mean], "scale": [0.25], "weight": [1.0] * 9}
    shapes = {"mean": [1], "scale": [1], "weight": [1, 1, 3, 3]}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["picture"], ["cast" if turned else "x"], to=TensorProto.FLOAT),
            *([helper.make_node("Transpose", ["cast"], ["x"], perm=[0, 1, 3, 2])] if turned else []),
            helper.make_node("Sub", ["x", "mean"], ["centred"]),
            helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
            helper.make_node("Conv", ["scaled", "weight"], ["y"], pads=[1] * 4),
        ],
        "g",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor(name, TensorProto.FLOAT, shapes[name], values[name]) for name in values],
    )
    model = helper.make_model(graph)
    fold_normalisation(model)
    onnx.checker.check_model(model)
    before = ["Cast", "Transpose"] if turned else ["Cast"]
    assert [n.op_type for n in model.graph.node] == before + (["Conv"] if folds else ["Sub", "Mul", "Conv"])
    if folds:
        weight = Graph(model).constant(model.graph.node[-1].input[1])
        assert weight is not None
        assert (weight == 0.25).all()
