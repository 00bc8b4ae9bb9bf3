# SPDX-License-Identifier: Apache-2.0
"""Run a cluster: start and stop its servers, and make users of it."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import urllib3

from oompolicy.kube.connection import connect
from tests.cluster import apiserver, etcd
from tests.cluster.api import Api
from tests.cluster.definition import KINDS, is_served
from tests.cluster.errors import ServerError
from tests.cluster.kubeconfig import by_certificate, by_token, write_kubeconfig
from tests.cluster.kubectl import Kubectl
from tests.cluster.pki import client_cert, make_pki, write_pair
from tests.cluster.ports import reserved_port
from tests.cluster.server import Server
from tests.cluster.waiting import eventually
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.cluster.binaries import Binaries
    from tests.cluster.pki import Pair

CRDS = CHECKOUT / "crds"
# A start takes some seconds on an idle machine, but its cores may be shared with a build.
DEADLINE_SECONDS = 120.0


@dataclass(frozen=True)
class Ports:
    """The ports of the servers, on 127.0.0.1."""

    api: int
    etcd: int
    etcd_peer: int


class Cluster:
    """An etcd and one API server. All their files are in `folder`.

    A test can write its own kubeconfig with `url` and `ca`. `admin` is the kubeconfig of a user that may do
    everything, and `api` and `kubectl` use it.
    """

    def __init__(self, binaries: Binaries, folder: Path, ports: Ports, *, egress: Path | None = None) -> None:
        self.folder = folder
        self.url = f"https://127.0.0.1:{ports.api}"
        self.pki = pki = make_pki(folder / "pki")
        self.ca = pki.ca
        self.admin = write_kubeconfig(folder / "admin.kubeconfig", self.url, self.ca, by_certificate(pki.admin))
        self.api = Api(connect(self.admin))
        self.kubectl = Kubectl(binaries.kubectl, self.admin, folder / "kubectl-cache")
        self.etcd = Server(
            etcd.command_line(binaries.etcd, folder, pki, ports.etcd, ports.etcd_peer), folder / "etcd.log"
        )
        self.apiserver = Server(
            apiserver.command_line(binaries.apiserver, pki, ports.api, ports.etcd, egress=egress),
            folder / "kube-apiserver.log",
        )
        self._http = client(pki.ca, pki.admin)
        self._etcd_http = client(pki.etcd_ca, pki.etcd_client)
        self._etcd_url = f"https://127.0.0.1:{ports.etcd}"

    def start(self) -> None:
        """Start both servers, and return when they are ready."""
        self.etcd.start(lambda: answers(self._etcd_http, f"{self._etcd_url}/health"), DEADLINE_SECONDS)
        self.start_api()

    def start_api(self, *flags: str) -> None:
        """Start the API server, on the port and with the data of the one before. `flags` are for this run only."""
        self.apiserver.start(lambda: answers(self._http, f"{self.url}/readyz"), DEADLINE_SECONDS, *flags)

    def stop_api(self) -> None:
        """Kill the API server, so that connections are reset, and new ones refused."""
        self.apiserver.kill()

    def restart_api(self) -> None:
        """Restart the API server. A client that resumes an older watch gets 410 if anything was written since."""
        self.stop_api()
        self.start_api()

    def stop(self) -> None:
        """End both servers."""
        self.apiserver.kill()
        self.etcd.kill()

    @contextlib.contextmanager
    def api_with(self, *flags: str) -> Iterator[None]:
        """Run the API server with more flags within the block. It restarts before and after the block."""
        self.stop_api()
        self.start_api(*flags)
        try:
            yield
        finally:
            self.restart_api()

    def expire_watches(self) -> None:
        """Break every watch, and answer 410 to a client that resumes one, or reads the next page of an older list."""
        self.stop_api()
        # An API server remembers no change from before its start, so one change in between is enough.
        answer = self.etcd_call("put", {"key": encoded("/expired"), "value": encoded("")})
        # Pages of older lists come from etcd, until etcd compacts them.
        self.etcd_call("compaction", {"revision": answer["header"]["revision"], "physical": True})
        self.start_api()

    def install_crds(self) -> None:
        """Apply `crds/`, and return when the API server answers lists of all kinds.

        For a moment after a definition is established, the first list fills a cache and is refused with 429.
        """
        self.kubectl("apply", "--server-side", "-f", str(CRDS))
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        for kind in KINDS:
            eventually(partial(is_served, self.api, kind), bool)

    def certified(self, user: str, group: str | None = None) -> Path:
        """Issue a certificate for a user, and write a kubeconfig with it."""
        name = user.rpartition(":")[2]
        pair = write_pair(self.folder / "pki", name, client_cert(self.pki.authority, user, group))
        return write_kubeconfig(self.folder / f"{name}.kubeconfig", self.url, self.ca, by_certificate(pair))

    def kubeconfig(self, namespace: str, account: str, pod: Mapping[str, Any] | None = None) -> Path:
        """Write a kubeconfig with a token of a service account, bound to `pod` if there is one (`Api.token`)."""
        name = "-".join([namespace, account, *([pod["metadata"]["uid"]] if pod else [])])
        user = by_token(self.api.token(namespace, account, pod))
        return write_kubeconfig(self.folder / f"{name}.kubeconfig", self.url, self.ca, user)

    def api_as(self, kubeconfig: Path) -> Api:
        """Return the API server for another user."""
        return Api(connect(kubeconfig))

    def kubectl_as(self, kubeconfig: Path) -> Kubectl:
        """Return a kubectl for another user."""
        return Kubectl(self.kubectl.program, kubeconfig, self.kubectl.cache)

    def etcd_call(self, method: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Send a request to etcd's key-value service, by its JSON gateway. ServerError: etcd refuses it."""
        answer = self._etcd_http.request("POST", f"{self._etcd_url}/v3/kv/{method}", json=body)
        if answer.status != 200:
            raise ServerError(f"etcd: {method}: {answer.data.decode(errors='replace')}")
        return answer.json()


def client(ca: Path, pair: Pair) -> urllib3.PoolManager:
    """Return a client that trusts one authority and has a client certificate."""
    return urllib3.PoolManager(ca_certs=str(ca), cert_file=str(pair.certificate), key_file=str(pair.key), retries=False)


def encoded(text: str) -> str:
    """Return the text in base64, as etcd's JSON gateway expects it."""
    return base64.b64encode(text.encode()).decode()


def answers(http: urllib3.PoolManager, url: str) -> bool:
    """Return whether the server is ready."""
    try:
        return http.request("GET", url, timeout=5.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


@contextlib.contextmanager
def bare_cluster(binaries: Binaries, folder: Path, *, egress: Path | None = None) -> Iterator[Cluster]:
    """Run a cluster without the CRDs of oompolicy in an empty folder. `egress` is that of the API server."""
    with contextlib.ExitStack() as stack:
        api, etcd_client, etcd_peer = (stack.enter_context(reserved_port()) for _ in range(3))
        cluster = Cluster(binaries, folder, Ports(api, etcd_client, etcd_peer), egress=egress)
        stack.callback(cluster.stop)
        cluster.start()
        yield cluster


@contextlib.contextmanager
def running_cluster(binaries: Binaries, folder: Path) -> Iterator[Cluster]:
    """Run a cluster with the CRDs of oompolicy in an empty folder."""
    with bare_cluster(binaries, folder) as cluster:
        cluster.install_crds()
        yield cluster
