"""`synthetic-test` is frozen: its definition is complete, its pairs are those of the seeds, nobody trains on them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsb_pose_ros.data.sample import VISIBLE
from rsb_pose_ros.data.synthetic.test_set import SyntheticTestSet, TestSetDefinition
from tests.data.conftest import BODIES, ROOT, SHARED

DEFINITION = ROOT / "config/synthetic_test.yaml"
FINGERPRINT = ROOT / "tests/fixtures/synthetic_test.npz"
FINGERPRINT_PAIRS = 8


@pytest.fixture(scope="module")
def test_set(shared, pack) -> SyntheticTestSet:
    return SyntheticTestSet(DEFINITION, shared, BODIES)


def test_the_definition_names_what_is_wrong(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("version: 1\npairs: 3\n")
    with pytest.raises(ValueError, match=r"t\.yaml: keys are \['pairs', 'version'\]; expected .*first_seed"):
        TestSetDefinition.from_yaml(path)
    path.write_text("version: 1\npairs: 3\nfirst_seed: 5\nbodies: [1.8]\nranges: {sise: 3}\n")
    with pytest.raises(ValueError, match=r"t\.yaml: ranges: unknown key sise"):
        TestSetDefinition.from_yaml(path)


def test_another_pack_of_bodies_is_another_test_set(shared, pack, tmp_path):
    definition = tmp_path / "t.yaml"
    definition.write_text(DEFINITION.read_text().replace("bodies: [1.778", "bodies: [1.878"))
    with pytest.raises(ValueError, match=r"bodies\.npz: held-out bodies are \[1\.778.*expects \[1\.878"):
        SyntheticTestSet(definition, shared, BODIES)


def test_two_thousand_pairs_by_seed(test_set):
    assert len(test_set) == 2000
    again, other = test_set[3], test_set[4]
    assert np.array_equal(test_set[3].crops, again.crops)
    assert not np.array_equal(other.crops, again.crops)
    with pytest.raises(IndexError, match="pair 2000"):
        test_set[2000]


def test_a_fixed_baseline_changes_the_rig_alone(test_set, shared, pack):
    wide = SyntheticTestSet(DEFINITION, shared, BODIES, baseline=0.24)
    for index in range(3):
        mine, other = wide[index], test_set[index]
        assert -mine.projections[1, 0, 3] / mine.projections[1, 0, 0] == pytest.approx(0.24)
        assert mine.present == other.present
        pose, same = (s.joints - s.joints[6] for s in (mine, other))
        np.testing.assert_allclose(np.linalg.norm(pose, axis=-1), np.linalg.norm(same, axis=-1), atol=2e-3)


def test_windows_of_another_size_show_the_same(test_set, shared, pack):
    small = SyntheticTestSet(DEFINITION, shared, BODIES, size=224)
    for index in range(3):
        mine, other = small[index], test_set[index]
        assert mine.crops.shape == (2, 224, 224, 3)
        np.testing.assert_allclose(mine.joints, other.joints)
        np.testing.assert_allclose((mine.keypoints + 0.5) / 224, (other.keypoints + 0.5) / 256, atol=1e-4)


def thumbnails(sample) -> np.ndarray:
    """(2, 32, 32) mean grey levels."""
    return np.stack(
        [cv2.resize(cv2.cvtColor(v, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=cv2.INTER_AREA) for v in sample.crops]
    )


def test_the_pictures_are_those_of_this_version(test_set):
    """Fails when the generator draws something else: then raise the version and run this file to renew the fixture."""
    with np.load(FINGERPRINT) as known:
        assert test_set.definition.version == known["version"]
        for index, (joints, views) in enumerate(zip(known["joints"], known["views"])):
            sample = test_set[index]
            assert np.abs(np.nan_to_num(sample.joints - joints)).max() < 1e-3
            difference = np.abs(thumbnails(sample).astype(int) - views)
            # Other computers round otherwise; other pictures differ by much more.
            assert np.mean(difference) < 1.0 and np.mean(difference > 4) < 0.01


def test_batches_stack_the_pairs_in_order(test_set):
    batches = list(test_set.batches(3, 5))
    assert [len(b["crops"]) for b in batches] == [3, 2]
    assert np.array_equal(batches[1]["joints"][0], test_set[3].joints, equal_nan=True)
    assert {b.dtype for b in (batches[0]["present"], batches[0]["search"])} == {np.dtype(bool)}


def test_masks_and_boxes_hold_the_person(test_set):
    checked = 0
    for index in range(12):
        sample = test_set[index]
        assert sample.masks is not None and sample.masks.shape == sample.crops.shape[:3]
        if not sample.present:
            assert not sample.masks.any() and np.isnan(sample.boxes).all()
            continue
        for mask, box, points, seen in zip(sample.masks, sample.boxes, sample.keypoints, sample.visibility):
            rows, columns = np.nonzero(mask)
            assert columns.min() >= box[0] - 1 and columns.max() <= box[2] + 1
            assert rows.min() >= box[1] - 1 and rows.max() <= box[3] + 1
            assert (points >= box[:2]).all() and (points <= box[2:]).all()
            x, y = points[seen == VISIBLE].round().astype(int).T
            assert mask[y, x].mean() > 0.8
            checked += 1
    assert checked > 10


def test_the_torch_data_set_is_the_same_pairs(test_set, shared, pack):
    torch = pytest.importorskip("torch")
    from rsb_pose_ros.data.synthetic.dataset import SyntheticTestDataset

    data = SyntheticTestDataset(DEFINITION, shared, BODIES, pairs=3)
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=3, num_workers=1)))
    expected = next(test_set.batches(3))
    assert set(batch) == set(expected)
    for name, array in expected.items():
        assert np.array_equal(batch[name].numpy(), array, equal_nan=True), name


if __name__ == "__main__":  # python -m tests.data.test_test_set, after the version was raised
    pairs = SyntheticTestSet(DEFINITION, SHARED, BODIES)
    first = [pairs[i] for i in range(FINGERPRINT_PAIRS)]
    np.savez_compressed(
        FINGERPRINT,
        version=pairs.definition.version,
        joints=np.stack([s.joints for s in first]),
        views=np.stack([thumbnails(s) for s in first]),
    )
