"""For all tests: ROS traffic stays on this computer, and in a domain that no other test run uses."""

import os

# Before the first import of rclpy anywhere. Domains up to 101 keep clear of Linux' ephemeral ports.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 49)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
