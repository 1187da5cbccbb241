# SPDX-License-Identifier: Apache-2.0
"""What a command raises when the user asked for something that cannot be done."""


class CommandError(Exception):
    """The message is one line that says what is wrong, and with which file or option."""
