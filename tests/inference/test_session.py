"""Sessions say what really runs, and refuse what does not fit."""

import json

import numpy as np
import onnx
import pytest

from rsb_pose_ros.inference import ModelError
from rsb_pose_ros.inference.card import STEREO_POSE, card_path, sha256_of
from rsb_pose_ros.inference.session import ModelSession
from tests.inference.blob_model import SIZE, write_blob_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


def rehash(path):
    content = json.loads(card_path(path).read_text())
    content["sha256"] = sha256_of(path)
    card_path(path).write_text(json.dumps(content))


def test_the_cpu_runs_and_says_so(model):
    assert ModelSession(model, STEREO_POSE, threads=1).providers == ["CPUExecutionProvider"]
    assert ModelSession(model, STEREO_POSE, providers=["cpu"]).providers == ["CPUExecutionProvider"]


def test_a_bound_session_gives_what_a_plain_one_gives(model):
    session = ModelSession(model, STEREO_POSE, threads=1)
    bound = session.bind()
    rng = np.random.default_rng(0)
    bound.inputs["crops"][:] = rng.integers(0, 255, (1, 2, SIZE, SIZE, 3))
    bound.inputs["projections"][:] = rng.uniform(1, 5, (1, 2, 3, 4))
    found = {name: array.copy() for name, array in bound.run().items()}
    expected = session.run(**bound.inputs)
    assert set(found) == set(expected) == {"joints", "joints_initial", "keypoints", "confidence", "covariance"}
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_negative_threads_are_refused(model):
    with pytest.raises(ValueError, match="threads is -1"):
        ModelSession(model, STEREO_POSE, threads=-1)


def test_a_file_that_is_no_onnx(tmp_path):
    path = write_blob_model(tmp_path)
    path.write_bytes(b"this is no model")
    rehash(path)
    with pytest.raises(ModelError, match=r"blob\.onnx: ONNX Runtime .* cannot load it"):
        ModelSession(path, STEREO_POSE)


def test_a_graph_that_is_not_what_its_card_says(tmp_path):
    path = write_blob_model(tmp_path, size=64)
    graph = onnx.load(path)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(graph, path)
    rehash(path)
    with pytest.raises(
        ModelError, match=r"model .*blob\.onnx: input crops is uint8 \(3, 2, 64, 64, 3\); expected uint8"
    ):
        ModelSession(path, STEREO_POSE)
