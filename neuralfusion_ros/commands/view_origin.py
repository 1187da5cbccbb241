# SPDX-License-Identifier: Apache-2.0
"""Who may read the live view: its own page, not that of a stranger which is open in the same browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from websockets.asyncio import server

# Any port, because ssh may bring the page to another one. None: a program that is no browser.
_ORIGINS = (re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?"), None)


@contextmanager
def own_pages_only() -> Iterator[None]:
    """A server of viser that is started within takes WebSocket connections from pages of this machine alone.

    A browser lets every page connect to 127.0.0.1 and only tells where the page is from. websockets can check that,
    but viser 1.1.1 has no option to ask for it.
    """
    serve = server.serve
    server.serve = partial(serve, origins=_ORIGINS)
    try:
        yield
    finally:
        server.serve = serve
