# SPDX-License-Identifier: Apache-2.0
"""Conversions between ROS messages and numpy, one file each. Every decoder raises only `errors.BadMessage`."""
