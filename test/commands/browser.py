# SPDX-License-Identifier: Apache-2.0
"""Opens a page in a headless Chromium, waits for a text on it, and takes a picture of it.

python test/commands/browser.py URL PICTURE TEXT WIDTHxHEIGHT SHARE: prints the text of the page once TEXT is on it and
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
from pathlib import Path

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

    def call(self, method: str, **parameters: object) -> dict:
        """The result of a method of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._number:
                return answer["result"]

    def text(self) -> str:
        """What a reader sees written on the page."""
        return self.call("Runtime.evaluate", expression="document.body.innerText")["result"].get("value", "")

    def picture(self) -> bytes:
        """PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


def drawn_share(png: bytes) -> float:
    """Share of the lower left quarter of a picture that is neither white nor black."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    quarter = pixels[pixels.shape[0] // 2 :, : pixels.shape[1] // 2]
    return float(((quarter > 50) & (quarter < 225)).mean())


def visit(url: str, picture: Path, text: str, size: str, share: float) -> bool:
    """Waits until a text that matches `text` and a mesh are on the page. False when they never came."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            str(PROGRAM),
            *_OPTIONS,
            f"--user-data-dir={profile}",
            f"--window-size={size.replace('x', ',')}",
            url,
        ]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            page = Page(_port_of(browser))
            end_s = time.monotonic() + _WAIT_S
            while True:
                said, png = page.text(), page.picture()
                found = re.search(text, said) is not None and drawn_share(png) > share
                if found or time.monotonic() > end_s:
                    break
                time.sleep(0.2)
            picture.write_bytes(png)
            print(said)
            return found
        finally:
            browser.send_signal(signal.SIGTERM)
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


def _port_of(browser: subprocess.Popen[str]) -> int:
    assert browser.stderr is not None
    end_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < end_s and (line := browser.stderr.readline()):
        if found := re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError("chromium did not start")


if __name__ == "__main__":
    url, picture, text, size, share = sys.argv[1:]
    sys.exit(0 if visit(url, Path(picture), text, size, float(share)) else 1)
