# SPDX-License-Identifier: Apache-2.0
"""Run operator or agent from the image with this machine's network, and ask it for its state."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3

if TYPE_CHECKING:
    from pathlib import Path

    from tests.image.docker import Docker

USER = 41317
ENDED = -1


class Container:
    """One program that runs as in a pod: read-only and without capabilities."""

    def __init__(self, docker: Docker, image: str, name: str, folder: Path) -> None:
        self._docker, self._image, self._name, self._log = docker, image, name, folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str, options: tuple[str, ...] = ()) -> None:
        """Start the program. The options of `account_options` set its account at the API server."""
        words = ["docker", "run", "--rm", f"--name={self._name}", "--network=host", "--read-only", "--cap-drop=ALL"]
        words += ["--security-opt=no-new-privileges", *options]
        with self._log.open("wb") as output:
            argv = self._docker.argv(*words, self._image, *command)
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def ask(self, url: str) -> tuple[int, str]:
        """Return status and text.

        The status is 0 before the program listens, and `ENDED` with the log after its end.
        """
        try:
            answer = urllib3.request("GET", url, retries=False, timeout=5.0)
        except urllib3.exceptions.HTTPError:
            return (0, "") if self._process and self._process.poll() is None else (ENDED, self.log_text())
        return answer.status, answer.data.decode()

    def log_text(self) -> str:
        """Return the program's log."""
        return self._log.read_text(errors="replace")

    def end(self) -> int:
        """Send SIGTERM, as the kubelet does, and return the exit status."""
        self._docker("kill", "--signal=SIGTERM", self._name)
        return self._process.wait(30) if self._process else 0

    def remove(self) -> None:
        """Remove the container, whether it runs or not."""
        if self._process:
            # The container may already be ending, which Docker reports as an error.
            subprocess.run(self._docker.argv("docker", "rm", "--force", self._name), capture_output=True, check=False)
            self._process.wait()


def account_options(kubeconfig: Path, shared: Path) -> tuple[str, ...]:
    """Return the options that give a container the account in a kubeconfig of `tests/cluster`, as in a pod."""
    content = json.loads(kubeconfig.read_text())
    server = urlsplit(content["clusters"][0]["cluster"]["server"])
    (shared / "ca.crt").write_bytes(b64decode(content["clusters"][0]["cluster"]["certificate-authority-data"]))
    token = shared / "token"
    token.write_text(content["users"][0]["user"]["token"])
    os.chown(token, USER, USER)
    return (
        "--volume=/mnt/tests:/var/run/secrets/kubernetes.io/serviceaccount:ro",
        f"--env=KUBERNETES_SERVICE_HOST={server.hostname}",
        f"--env=KUBERNETES_SERVICE_PORT={server.port}",
    )
