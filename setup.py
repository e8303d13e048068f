"""The package for colcon (ament_python) and for pip; its version is that of package.xml."""

from glob import glob
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = "rsb_pose_ros"
ROOT = Path(__file__).parent
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()


def shared(*patterns: str) -> list[tuple[str, list[str]]]:
    """data_files of share/rsb_pose_ros: the files that match, each in the folder where it lies here."""
    files = sorted({file for pattern in patterns for file in glob(pattern, root_dir=ROOT, recursive=True)})
    folders: dict[str, list[str]] = {}
    for file in files:
        if (ROOT / file).is_file():
            folders.setdefault(str(Path("share") / NAME / Path(file).parent), []).append(file)
    return list(folders.items())


setup(
    name=NAME,
    version=MANIFEST.findtext("version"),
    description="3D human pose from a short-baseline stereo camera (RSB-Pose) for ROS 2",
    license="Apache-2.0",
    maintainer=MANIFEST.findtext("maintainer"),
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    package_dir={"": "ros2_ws/src"},
    packages=find_packages("ros2_ws/src"),
    python_requires=">=3.10",
    # What inference needs. ROS itself comes from a ROS install, or from requirements/ros.txt.
    install_requires=["setuptools", "numpy", "opencv-python-headless", "PyYAML", "onnxruntime"],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("launch/*.launch.py", "config/**/*", "models/*"),
    ],
    entry_points={"console_scripts": ["pose_node = rsb_pose_ros.node.process:main"]},
    zip_safe=False,
)
