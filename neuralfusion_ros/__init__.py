# SPDX-License-Identifier: Apache-2.0
"""Online robot mapping with a learned latent map."""

import os

__version__ = "0.1.0"

# torch, Open3D and the middleware each bring a pool of threads. Threads that spin while they wait steal the cores
# from the others, which slows small operations down tenfold. OpenMP reads this when torch or Open3D is imported.
for _name, _value in (("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0")):
    os.environ.setdefault(_name, _value)
