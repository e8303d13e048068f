"""A recording, played in a loop through the node, with RViz.

ros2 launch rsb_pose_ros demo.launch.py bag:=tests/fixtures/demo_bag
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    stereo = PathJoinSubstitution([FindPackageShare("rsb_pose_ros"), "launch", "stereo.launch.py"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="rosbag2 folder with /stereo/{left,right}/image_raw/compressed"),
            DeclareLaunchArgument("transport", default_value="compressed", description="raw or compressed"),
            DeclareLaunchArgument("rviz", default_value="true", description="start RViz"),
            ExecuteProcess(
                cmd=["ros2", "bag", "play", "--loop", "--clock", "100", LaunchConfiguration("bag")], output="screen"
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(stereo),
                launch_arguments={
                    "transport": LaunchConfiguration("transport"),
                    "rviz": LaunchConfiguration("rviz"),
                    "use_sim_time": "true",
                }.items(),
            ),
        ]
    )
