"""The ROS 2 node: two camera topics in, people's 3D joints out. Needs rclpy; never imports torch."""
