# SPDX-License-Identifier: Apache-2.0
"""What test_doctor_tf.py starts: a robot with a depth camera that tells its pose on /tf and /tf_static alone.

Each line on stdin is a list in JSON: [[parent, child], ...] of the fixed transforms, and how much older than the images
the moving one, from base_link to odom, shall be from then on, in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from threading import Thread

import numpy as np
import rclpy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.tf_type import tf_message_type
from neuralfusion_ros.messages.transforms import encode_transforms
from neuralfusion_ros.nodes.transform_listener import TF, TF_STATIC, tf_qos

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
DEPTH_M = np.full((CAMERA.height, CAMERA.width), 1.5, np.float32)
PERIOD_S = 0.2

age_s = 0.0

rclpy.init(args=[])
node = rclpy.create_node("robot")
image = node.create_publisher(Image, "depth/image", 10)
info = node.create_publisher(CameraInfo, "depth/camera_info", 10)
moving = node.create_publisher(tf_message_type(), TF, tf_qos(is_static=False))
fixed = node.create_publisher(tf_message_type(), TF_STATIC, tf_qos(is_static=True))
# Reads the map in place of a translator node.
node.create_subscription(PointCloud2, "latent_blocks", lambda _: None, 10, raw=True)


def obey() -> None:
    """Changes the transforms as stdin says."""
    global age_s
    for line in sys.stdin:
        links, age_s = json.loads(line)
        fixed.publish(encode_transforms([(parent, child, 0, np.eye(4)) for parent, child in links]))


def tell() -> None:
    """One frame, with its transform."""
    stamp_ns = time.time_ns()
    then_ns = stamp_ns - round(age_s * 1e9)
    moving.publish(encode_transforms([("odom", "base_link", then_ns, np.eye(4))]))
    info.publish(encode_camera(CAMERA, stamp_ns, "camera"))
    image.publish(encode_depth(DEPTH_M, stamp_ns, "camera"))


Thread(target=obey, daemon=True).start()
node.create_timer(PERIOD_S, tell)
rclpy.spin(node)
