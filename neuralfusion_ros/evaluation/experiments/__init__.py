# SPDX-License-Identifier: Apache-2.0
"""The experiments that `neuralfusion evaluate` can run, one a file."""
