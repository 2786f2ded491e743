"""HTML pages in headless Chromium, over the pipe of the DevTools protocol: https://chromedevtools.github.io/devtools-protocol

    page = chromium.open(path, width=360, height=640, dark=True)
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "start" and not page.faults and not page.requests

Every wait has a deadline, so that no page and no browser can hang a test.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT = 20.0  # seconds for any one wait
OPTIONS = "no-sandbox headless=new no-first-run disable-gpu disable-dev-shm-usage disable-background-networking disable-sync hide-scrollbars remote-debugging-pipe"
CODES = {
    "Enter": 13,
    "Tab": 9,
    "Escape": 27,
    "Backspace": 8,
    "Home": 36,
    "End": 35,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


class Page:
    """One tab. `faults` and `requests` are all there were since it was opened, reloads included."""

    def __init__(self, browser: Chromium, session: str, path: Path) -> None:
        self.browser, self.session, self.url, self.downloads = (
            browser,
            session,
            path.as_uri(),
            path.parent / "downloads",
        )

    def call(self, method: str, **parameters: Any) -> dict:
        return self.browser.call(method, self.session, **parameters)

    def events(self, method: str) -> list[dict]:
        """The parameters of this page's events of one name, such as Network.requestWillBeSent."""
        self.evaluate("0")  # what was said before this answer has then been read
        return [
            event["params"]
            for event in self.browser.events
            if event["method"] == method and event.get("sessionId") == self.session
        ]

    @property
    def faults(self) -> list[str]:
        """Console messages of any kind, the browser's own (blocked by the page's policy, not found), and uncaught exceptions."""
        console = [
            " ".join(str(one.get("value", one.get("description"))) for one in said["args"])
            for said in self.events("Runtime.consoleAPICalled")
        ]
        return (
            console
            + [said["entry"]["text"] for said in self.events("Log.entryAdded")]
            + [_fault(said) for said in self.events("Runtime.exceptionThrown")]
        )

    @property
    def requests(self) -> list[str]:
        """The addresses asked for, other than the page's own file and what it carries in itself."""
        asked = [said["request"]["url"] for said in self.events("Network.requestWillBeSent")]
        return [url for url in asked if url != self.url and not url.startswith(("data:", "blob:"))]

    def show(self, width: int, height: int, *, dark: bool = False, media: str = "screen") -> None:
        """In a window of so many CSS pixels; below 600 as a phone, which heeds the viewport tag."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    def load(self, method: str = "Page.reload", **parameters: Any) -> None:
        """Reload, or go elsewhere, and wait until all is loaded."""
        before = len(self.events("Page.loadEventFired"))
        if error := self.call(method, **parameters).get("errorText"):
            raise RuntimeError(f"{self.url}: {error}")
        _until(lambda: len(self.events("Page.loadEventFired")) > before, "the page to load")

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression, of a promise the one it keeps. Raises RuntimeError with its exception."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {_fault(answer)}")
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The expression's value as soon as it is true."""
        return _until(lambda: self.evaluate(expression), expression)

    def press(self, key: str, *, shift: bool = False) -> None:
        """One key down and up: a character, or a name of KeyboardEvent.key such as Enter, Tab, ArrowLeft."""
        parameters = {
            "key": key,
            "windowsVirtualKeyCode": CODES.get(key) or (ord(key.upper()) if key.isalnum() else 0),
            "modifiers": 8 if shift else 0,
        }
        self.call(
            "Input.dispatchKeyEvent",
            type="keyDown",
            **parameters,
            text={"Enter": "\r"}.get(key, key if len(key) == 1 else ""),
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """A PNG of the window, or of the whole page."""
        clip = (
            {
                "clip": self.call("Page.getLayoutMetrics")["cssContentSize"] | {"scale": 1},
                "captureBeyondViewport": True,
            }
            if whole
            else {}
        )
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **clip)["data"]))
        return path

    def downloaded(self, name: str) -> Path:
        """The file that the page has had saved under this name, once it is whole."""
        return _until(
            lambda: (self.downloads / name).exists() and self.downloads / name,
            f"a download of {name}",
        )


class Chromium:
    """A browser that finds no host; its profile lies in `folder`. Has to be closed."""

    def __init__(self, program: str, folder: Path) -> None:
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        self._log, self._buffer, self._number, self._replies, self.events = (
            folder / "chromium.log",
            b"",
            0,
            {},
            [],
        )
        high = [
            fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)
        ]  # above 3 and 4, not to be overwritten
        own = [os.open(self._log, os.O_WRONLY | os.O_CREAT), *high]
        moves = [
            (os.POSIX_SPAWN_DUP2, here, there)
            for here, there in ((own[0], 1), (own[0], 2), (own[1], 3), (own[2], 4))
        ]
        command = [
            program,
            *(f"--{option}" for option in OPTIONS.split()),
            f"--user-data-dir={folder}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ]
        self._process = os.posix_spawn(
            program, command, os.environ | {"HOME": str(folder)}, file_actions=moves, setpgroup=0
        )
        for end in (theirs_in, theirs_out, *own):
            os.close(end)

    def open(self, path: Path, *, width: int = 1200, height: int = 800, dark: bool = False) -> Page:
        """The loaded page, with nothing in its storage; what it downloads goes to the folder `downloads` beside it."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)[
            "targetId"
        ]
        page = Page(
            self,
            self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"],
            path.resolve(),
        )
        self.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            browserContextId=context,
            downloadPath=str(page.downloads),
        )
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.show(width, height, dark=dark)
        page.load("Page.navigate", url=page.url)
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict:
        """The result of one command of the protocol. Raises RuntimeError with its own words."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        with contextlib.suppress(BrokenPipeError):  # an ended browser is told below
            os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while self._number not in self._replies:
            if not select.select([self._in], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError(f"chromium gave no answer to {method} within {TIMEOUT:.0f} s")
            if not (data := os.read(self._in, 1 << 20)):
                raise RuntimeError(
                    f"chromium ended during {method}: {self._log.read_text(errors='replace')[-500:]}"
                )
            *whole, self._buffer = (self._buffer + data).split(b"\0")
            for said in map(json.loads, whole):
                self.events += [said] if "id" not in said else []
                self._replies |= {said["id"]: said} if "id" in said else {}
        reply = self._replies.pop(self._number)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def close(self) -> None:
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._in), os.close(self._out)


def _until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + TIMEOUT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {TIMEOUT:.0f} s for {what}")
        time.sleep(0.01)
    return value


def _fault(said: dict) -> str:
    return (
        said["exceptionDetails"]
        .get("exception", {})
        .get("description", said["exceptionDetails"]["text"])
    )
