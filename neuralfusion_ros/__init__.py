# SPDX-License-Identifier: Apache-2.0
"""Online robot mapping with a learned latent map."""

import os

__version__ = "0.1.0"

# torch, Open3D and the middleware each bring a pool of threads, and a frame is hundreds of small operations. On two
# cores, threads that wait for each other cost more than they gain: one per process is faster and steadier, and kernels
# that last long share the cores in their own way (mapping/compiled/threads.py). Spinning while waiting slows everything
# down tenfold when cores are scarce.
# OpenMP reads this when torch or Open3D is imported; what the user has set stays.
for _name, _value in (("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0")):
    os.environ.setdefault(_name, _value)
