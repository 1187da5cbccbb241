# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a training run and is not a mistake of the program."""


class TrainingError(RuntimeError):
    """A run cannot start or go on. The message is one line."""
