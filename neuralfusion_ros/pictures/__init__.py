# SPDX-License-Identifier: Apache-2.0
"""Pictures of meshes, drawn by ray casting on the CPU."""
