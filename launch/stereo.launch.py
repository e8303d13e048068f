"""The node beside a stereo camera, with or without RViz.

ros2 launch rsb_pose_ros stereo.launch.py left_image:=/zed/left/image_raw right_image:=/zed/right/image_raw \
    left_camera_info:=/zed/left/camera_info right_camera_info:=/zed/right/camera_info rviz:=true
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

TOPICS = {
    "left_image": "left/image_raw",
    "right_image": "right/image_raw",
    "left_camera_info": "left/camera_info",
    "right_camera_info": "right/camera_info",
}
DISPLAYED = {
    "/stereo/rsb_pose/markers": "rsb_pose/markers",
    "/stereo/rsb_pose/keypoints": "rsb_pose/keypoints",
    "/stereo/left/image_raw": LaunchConfiguration("left_image"),
    "/stereo/right/image_raw": LaunchConfiguration("right_image"),
}
"""Topics in config/skeleton.rviz → the same in the namespace, and with the topics, that were asked for."""
OVERRIDES = ("model", "transport")
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # the second one for Humble


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument("namespace", default_value="stereo", description="namespace of the node and its topics"),
        *(
            DeclareLaunchArgument(name, default_value=topic, description=f"topic that the node calls {topic}")
            for name, topic in TOPICS.items()
        ),
        DeclareLaunchArgument(
            "params_file", default_value=shared("config", "stereo.yaml"), description="YAML file with the parameters"
        ),
        DeclareLaunchArgument("model", default_value="", description="instead of the file's: .onnx path or model name"),
        DeclareLaunchArgument("transport", default_value="", description="instead of the file's: raw or compressed"),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="take the time from /clock"),
        DeclareLaunchArgument(
            "shm",
            default_value="true",
            description="shared memory for large images (Fast DDS); the camera needs it too",
        ),
        DeclareLaunchArgument("rviz", default_value="false", description="start RViz"),
        DeclareLaunchArgument(
            "fixed_frame", default_value="stereo_left_optical", description="RViz: frame_id of the left camera_info"
        ),
    ]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", shared("config", "skeleton.rviz"), "-f", LaunchConfiguration("fixed_frame")],
        parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
        remappings=list(DISPLAYED.items()),
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=shared_memory), OpaqueFunction(function=node), rviz])


def shared(*parts):
    """A file of share/rsb_pose_ros."""
    return PathJoinSubstitution([FindPackageShare("rsb_pose_ros"), *parts])


def shared_memory(context):
    """The profile for large images, unless the user has one of their own."""
    wanted = LaunchConfiguration("shm").perform(context).lower() in ("true", "1")
    if not wanted or any(variable in os.environ for variable in PROFILE_VARIABLES):
        return []
    return [SetEnvironmentVariable(variable, shared("config", "fastdds_shm.xml")) for variable in PROFILE_VARIABLES]


def node(context):
    """The node. An argument that is empty leaves what the parameter file says."""
    given = {name: LaunchConfiguration(name).perform(context) for name in OVERRIDES}
    overrides = {name: value for name, value in given.items() if value}
    return [
        Node(
            package="rsb_pose_ros",
            executable="pose_node",
            name="rsb_pose",
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                LaunchConfiguration("params_file"),
                {"use_sim_time": LaunchConfiguration("use_sim_time"), **overrides},
            ],
            remappings=[(topic, LaunchConfiguration(name)) for name, topic in TOPICS.items()],
            output="screen",
        )
    ]
