# SPDX-License-Identifier: Apache-2.0
"""What a frame costs, stage by stage, beside Open3D in the same run, and how far that is from the machine's limit."""
