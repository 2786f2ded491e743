"""Open HTML pages in headless Chromium, over the pipe of the DevTools protocol.

    page = chromium.open(path, width=360, height=640, dark=True)
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "start"
    assert not page.faults
    assert not page.requests

Every wait has a deadline, so that no page and no browser can hang a test.
The protocol: https://chromedevtools.github.io/devtools-protocol
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
OPTIONS = (
    "--no-sandbox",
    "--headless=new",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # it finds no host
)
KEY_CODES = {
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
        self.browser = browser
        self.session = session
        self.url = path.as_uri()
        self.downloads = path.parent / "downloads"

    def call(self, method: str, **parameters: Any) -> dict:
        """Run one command of the protocol on this page and return its result."""
        return self.browser.call(method, self.session, **parameters)

    def events(self, method: str) -> list[dict]:
        """Return the parameters of this page's events of a name such as Page.loadEventFired."""
        self.evaluate("0")  # events sent before this answer have then been read
        return [
            event["params"]
            for event in self.browser.events
            if event["method"] == method and event.get("sessionId") == self.session
        ]

    @property
    def faults(self) -> list[str]:
        """Console messages of any kind, the browser's own included, and uncaught exceptions.

        The browser's own say what the page's policy blocked, and what was not found.
        """
        console = [
            " ".join(str(value.get("value", value.get("description"))) for value in event["args"])
            for event in self.events("Runtime.consoleAPICalled")
        ]
        entries = [event["entry"]["text"] for event in self.events("Log.entryAdded")]
        exceptions = [_exception_text(event) for event in self.events("Runtime.exceptionThrown")]
        return console + entries + exceptions

    @property
    def requests(self) -> list[str]:
        """The addresses asked for, other than the page's own file and what it carries in itself."""
        urls = [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]
        return [url for url in urls if url != self.url and not url.startswith(("data:", "blob:"))]

    def show(self, width: int, height: int, *, dark: bool = False, media: str = "screen") -> None:
        """Show the page in a window of so many CSS pixels.

        A width below 600 is a phone's, which heeds the viewport tag.
        """
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
        """Return the JSON value of a JavaScript expression, of a promise the one it keeps.

        Raises RuntimeError with the text of its exception.
        """
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {_exception_text(answer)}")
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Return the value of an expression as soon as it is true."""
        return _until(lambda: self.evaluate(expression), expression)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key: a character, or a name of KeyboardEvent.key such as Enter."""
        parameters = {
            "key": key,
            "windowsVirtualKeyCode": KEY_CODES.get(key)
            or (ord(key.upper()) if key.isalnum() else 0),
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
        """Write a PNG of the window, or of the whole page."""
        clip: dict[str, Any] = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": size | {"scale": 1}, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **clip)["data"]))
        return path

    def downloaded(self, name: str) -> Path:
        """Return the file that the page has saved under this name, once it is whole."""
        return _until(
            lambda: (self.downloads / name).exists() and self.downloads / name,
            f"a download of {name}",
        )


class Chromium:
    """A browser that finds no host; its profile lies in `folder`. Has to be closed."""

    def __init__(self, program: str, folder: Path) -> None:
        self._log = folder / "chromium.log"
        self._buffer = b""
        self._num_calls = 0
        self._replies: dict[int, dict] = {}
        self.events: list[dict] = []
        (browser_in, self._out), (self._in, browser_out) = os.pipe(), os.pipe()
        self._process = self._spawn(program, folder, browser_in, browser_out)

    def _spawn(self, program: str, folder: Path, browser_in: int, browser_out: int) -> int:
        """Start the browser, which reads the protocol from file 3 and writes it to file 4."""
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT)
        # duplicates above 3 and 4, not to be overwritten
        read_end, write_end = (
            fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (browser_in, browser_out)
        )
        process = os.posix_spawn(
            program,
            [program, *OPTIONS, f"--user-data-dir={folder}"],
            os.environ | {"HOME": str(folder)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, read_end, 3),
                (os.POSIX_SPAWN_DUP2, write_end, 4),
            ],
            setpgroup=0,
        )
        for end in (browser_in, browser_out, log, read_end, write_end):
            os.close(end)
        return process

    def open(self, path: Path, *, width: int = 1200, height: int = 800, dark: bool = False) -> Page:
        """Return the loaded page, with nothing in its storage.

        What it downloads goes to the folder `downloads` beside it.
        """
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"], path.resolve())
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
        """Run one command of the protocol and return its result.

        Raises RuntimeError with the browser's own words.
        """
        self._num_calls += 1
        message = {"id": self._num_calls, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        with contextlib.suppress(BrokenPipeError):  # reading tells that the browser has ended
            os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while self._num_calls not in self._replies:
            self._read_messages(method, deadline)
        reply = self._replies.pop(self._num_calls)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def _read_messages(self, method: str, deadline: float) -> None:
        """Read what the browser has sent, replies and events, while `method` is waited for."""
        if not select.select([self._in], [], [], max(deadline - time.monotonic(), 0))[0]:
            raise TimeoutError(f"chromium gave no answer to {method} within {TIMEOUT:.0f} s")
        data = os.read(self._in, 1 << 20)
        if not data:
            log = self._log.read_text(errors="replace")
            raise RuntimeError(f"chromium ended during {method}: {log[-500:]}")
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._replies[message["id"]] = message
            else:
                self.events.append(message)

    def close(self) -> None:
        """End the browser and all its processes."""
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._in)
        os.close(self._out)


def _until(condition: Callable[[], Any], what: str) -> Any:
    """Return the value of the condition as soon as it is true."""
    deadline = time.monotonic() + TIMEOUT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {TIMEOUT:.0f} s for {what}")
        time.sleep(0.01)
    return value


def _exception_text(answer: dict) -> str:
    details = answer["exceptionDetails"]
    return details.get("exception", {}).get("description", details["text"])
