# SPDX-License-Identifier: Apache-2.0
"""The steps of one frame again, compiled for a CPU with numba. Each file says which reference it is tested against."""
