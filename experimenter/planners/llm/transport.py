"""One HTTP exchange that cannot hang, swell or leak: the transport under both official client libraries.

It puts the key into the request at the last moment (the libraries above never see it), reads the reply under the
deadline and up to a number of bytes, takes the key out of whatever the server quotes, and closes its connection.
"""

from __future__ import annotations

import functools
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from experimenter.planners.llm.deadline import Deadline
from experimenter.planners.llm.endpoints import Endpoint
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.lookups import Resolve, resolve_by_system
from experimenter.planners.llm.network import DeadlineNetwork
from experimenter.planners.llm.secret import PLACEHOLDER, keep_out_of_logs

if TYPE_CHECKING:
    import httpcore2
    import httpx2

__all__ = ["Exchange", "trust"]

Headers = list[tuple[bytes, bytes]]
_OURS: Final = frozenset({b"host", b"accept", b"content-type", b"content-length", b"user-agent"})
_REPLACED: Final = frozenset({b"accept-encoding", b"connection", b"authorization"})
_LOOPBACK: Final = ("localhost", "127.", "::1")


class Exchange:
    """One attempt, as ``httpx2`` takes it for a transport's handler.

    Raises ModelFault (``timeout``, ``connection``, ``too_large``, ``malformed``), and Stopped.
    """

    def __init__(
        self, endpoint: Endpoint, deadline: Deadline, most_bytes: int, resolve: Resolve = resolve_by_system
    ) -> None:
        self._endpoint, self._deadline, self._most = endpoint, deadline, most_bytes
        self._network = DeadlineNetwork(deadline, resolve)
        if endpoint.key is not None:
            keep_out_of_logs(endpoint.key)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        import httpcore2
        import httpx2

        with _pool(request.url, self._network) as pool:
            try:
                status, headers, body = self._exchange(pool, request)
            except httpcore2.TimeoutException:
                raise ModelFault(f"{self._who()} does not answer in time.", kind="timeout") from None
            except httpcore2.ConnectError as cause:
                raise ModelFault(f"{self._who()} cannot be reached: {cause}.", kind="connection") from None
            except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as cause:
                is_network = isinstance(cause, httpcore2.NetworkError)
                reason = str(cause) if is_network else "what it sends is no whole HTTP reply"
                raise ModelFault(f"{self._who()} broke off its reply: {reason}.", kind="connection") from None
        return httpx2.Response(status, headers=headers, content=body, request=request)

    def _who(self) -> str:
        return f"{self._endpoint.provider} at {self._endpoint.base_url}"

    def _exchange(
        self, pool: httpcore2.ConnectionPool, request: httpx2.Request
    ) -> tuple[int, Headers, bytes]:
        response = pool.handle_request(self._sealed(request))
        try:
            body = self._read(response)
        finally:
            response.close()
        key = self._endpoint.key
        if key is None:
            return response.status, _kept(response.headers), body
        headers = [(name, key.scrub_bytes(value)) for name, value in _kept(response.headers)]
        return response.status, headers, key.scrub_bytes(body)

    def _sealed(self, request: httpx2.Request) -> httpcore2.Request:
        import httpcore2

        url = request.url
        return httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=self._headers(request.headers.raw),
            content=request.read(),
        )

    def _headers(self, given: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The key where the library put its placeholder, and no compression: a small reply could unfold into gigabytes.

        An authorization from elsewhere (the libraries read headers from the environment) is never sent in its place.
        A server that is nobody's official one is told neither our account's names nor what the libraries add.
        """
        foreign = self._endpoint.provider in ("ollama", "openai-compat")
        key, placeholder = self._endpoint.key, PLACEHOLDER.encode()
        sealed: Headers = []
        kept: Headers = [(b"accept-encoding", b"identity"), (b"connection", b"close")]
        for name, value in given:
            known = name.lower()
            if placeholder in value and key is not None:
                sealed.append((name, value.replace(placeholder, key.reveal().encode())))
            elif placeholder not in value and known not in _REPLACED and (not foreign or known in _OURS):
                kept.append((name, value))
        if key is not None and not sealed:
            sealed.append((b"authorization", b"Bearer " + key.reveal().encode()))
        return kept + sealed

    def _read(self, response: httpcore2.Response) -> bytes:
        told = {name.lower(): value for name, value in response.headers}
        if told.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            raise ModelFault(f"{self._who()} compresses its reply, unasked.", kind="malformed")
        length = told.get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > self._most):
            raise self._too_large()
        parts: list[bytes] = []
        total = 0
        for part in response.iter_stream():
            total += len(part)
            if total > self._most:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> ModelFault:
        return ModelFault(
            f"{self._who()} sends more than {self._most / 1_048_576:.3g} MiB, and was not read to its end.",
            "Check that the base URL is that of the model's API, or choose another model.",
            "too_large",
        )


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Without what described the bytes on the wire, which are read and unpacked by now."""
    gone = (b"content-length", b"transfer-encoding", b"connection")
    return [(name, value) for name, value in headers if name.lower() not in gone]


def _pool(url: httpx2.URL, network: DeadlineNetwork) -> httpcore2.ConnectionPool:
    import httpcore2

    backend: Any = network
    secure = url.scheme == "https"
    return httpcore2.ConnectionPool(
        ssl_context=trust() if secure else None,
        proxy=_proxy(url),
        max_connections=1,
        max_keepalive_connections=0,
        network_backend=backend,
    )


@functools.cache
def trust() -> ssl.SSLContext:
    """The system's certificates, or those that SSL_CERT_FILE and SSL_CERT_DIR name; read once (20 ms)."""
    import httpx2

    return httpx2.create_ssl_context()


def _proxy(url: httpx2.URL) -> httpcore2.Proxy | None:
    """The proxy that the environment names for this address; never for this machine's own."""
    if url.host.startswith(_LOOPBACK) or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text:
        return None
    import httpcore2

    parts = urllib.parse.urlsplit(text if "//" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelFault(
            f"The proxy for {url.scheme} addresses is of a kind that is not spoken here ({parts.scheme}).",
            "Name an http proxy in HTTPS_PROXY, or list the address in NO_PROXY.",
            "connection",
        )
    address = f"{parts.scheme}://{parts.hostname}:{parts.port or 80}"
    user = (
        (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
        if parts.username
        else None
    )
    return httpcore2.Proxy(address, auth=user)
