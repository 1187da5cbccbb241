# SPDX-License-Identifier: Apache-2.0
"""Opens a page in a headless Chromium, waits for a text on it, and takes a picture of it.

python scripts/browser.py URL PICTURE TEXT WIDTHxHEIGHT SHARE: prints the text of the page once TEXT is on it and
that share of its lower left quarter is neither white nor black; exit code 1 if that never came.
Talks the DevTools protocol of Chromium over a WebSocket. Draws in software: no screen and no GPU are needed.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from websockets.sync.client import connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_WAIT_S = 60.0
_OPTIONS = ("--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio",
            "--no-first-run", "--disable-extensions", "--remote-debugging-port=0")  # fmt: skip
_START_LIMIT_S = 90.0


class Page:
    """The first tab of a browser that listens at `address`, ws://..."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            tab = next(tab for tab in json.load(answer) if tab["type"] == "page")
        self._socket = connect(tab["webSocketDebuggerUrl"], max_size=None)
        self._number = 0

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of a method of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._number:
                return answer["result"]

    def text(self) -> str:
        """What a reader sees written on the page."""
        return str(self.run("document.body.innerText") or "")

    def picture(self) -> bytes:
        """PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def run(self, script: str) -> object:
        """The value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait(self, text: str, share: float, limit_s: float = _WAIT_S) -> bool:
        """Waits until a text that matches `text` is on it and so much is drawn. False when that never came."""
        end_s = time.monotonic() + limit_s
        while not (re.search(text, self.text()) and drawn_share(self.picture()) > share):
            if time.monotonic() > end_s:
                return False
            time.sleep(0.2)
        return True


def drawn_share(png: bytes) -> float:
    """Share of the lower left quarter of a picture that is neither white nor black."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    quarter = pixels[pixels.shape[0] // 2 :, : pixels.shape[1] // 2]
    return float(((quarter > 50) & (quarter < 225)).mean())


@contextmanager
def open_page(url: str, size: str) -> Iterator[Page]:
    """The page in a browser of its own. size: of the window, WIDTHxHEIGHT."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        window = [f"--user-data-dir={profile}", f"--window-size={size.replace('x', ',')}"]
        command = [str(PROGRAM), *_OPTIONS, *window, url]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Page(_port_of(browser, Path(profile)))
        finally:
            browser.send_signal(signal.SIGTERM)
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


def visit(url: str, picture: Path, text: str, size: str, share: float) -> bool:
    """Waits until a text that matches `text` and a mesh are on the page. False when they never came."""
    with open_page(url, size) as page:
        found = page.wait(text, share)
        picture.write_bytes(page.picture())
        print(page.text())
    return found


def _port_of(browser: subprocess.Popen[bytes], profile: Path) -> int:
    """Chromium writes it into a file of its profile, on a line of its own before another one."""
    file, end_s = profile / "DevToolsActivePort", time.monotonic() + _START_LIMIT_S
    while browser.poll() is None and time.monotonic() < end_s:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) > 1:
            return int(lines[0])
        time.sleep(0.1)
    raise RuntimeError("chromium did not start")


if __name__ == "__main__":
    url, picture, text, size, share = sys.argv[1:]
    sys.exit(0 if visit(url, Path(picture), text, size, float(share)) else 1)
