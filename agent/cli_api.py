"""``sightline serve`` and ``sightline mcp``: the desk for browsers, programs and other models' tools."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.api.keys import Keyring
    from agent.context import Context
    from agent.settings import Settings

GalleriesOption = Annotated[list[Path], typer.Option("--gallery", "-g", help="A gallery folder; may repeat.")]
ServerOption = Annotated[str | None, typer.Option(help="URL of an OpenAI-style model server that already runs.")]
BackendOption = Annotated[str | None, typer.Option(help="auto, vllm, transformers or none.")]
RerankerOption = Annotated[str | None, typer.Option(help="As for locate.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``sightline``."""
    app.command("serve")(serve)
    app.command("mcp")(mcp)


def serve(
    gallery: Annotated[list[Path] | None, typer.Option("--gallery", "-g", help="A gallery folder; may repeat.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8377,
    keys: Annotated[Path | None, typer.Option(help="TOML file with hashes of API keys.")] = None,
    new_key: Annotated[str | None, typer.Option(help="Make a key for this user, add it to --keys, and end.")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="A site whose pages may use the API; may repeat.")] = None,
    host_name: Annotated[list[str] | None, typer.Option(help="A name it answers under; may repeat.")] = None,
    page: Annotated[bool, typer.Option(help="Whether to serve the page beside the API.")] = True,
    reranker: RerankerOption = None,
    server: ServerOption = None,
    backend: BackendOption = None,
) -> None:
    """Serve the analyst's page and the API over galleries; on this machine only, unless there are keys."""
    from agent.cli_locate import settings_with

    if new_key is not None:
        _make_key(new_key, keys)
        return
    if not gallery:
        raise SightlineError("name at least one gallery to serve: --gallery FOLDER")
    ring = _keys(keys, host)
    settings = settings_with(reranker=reranker, server=server, backend=backend)
    with _bound(host, port) as listener, _contexts(gallery, settings) as contexts:
        _run(listener, contexts, settings, ring, origin or [], _names(host, host_name or []), page)


def mcp(
    gallery: GalleriesOption,
    reranker: RerankerOption = None,
    server: ServerOption = None,
    backend: BackendOption = None,
) -> None:
    """Offer locate, refine, compare, explain and export to other models' programs: MCP on stdin and stdout."""
    import asyncio

    from agent.cli_locate import settings_with
    from agent.mcp_server import run

    settings = settings_with(reranker=reranker, server=server, backend=backend)
    with _contexts(gallery, settings) as contexts:
        asyncio.run(run(contexts, settings.database()))


def _make_key(name: str, keys: Path | None) -> None:
    from agent.api.keys import new_key

    if keys is None:
        raise SightlineError("say where the key's hash is to be kept: --keys FILE --new-key NAME")
    key = new_key(name, keys)
    Console(stderr=True).print(Text(f"a key for {name}; it is shown once, and {keys} keeps only its hash"))
    sys.stdout.write(key + "\n")


def _keys(path: Path | None, host: str) -> Keyring:
    """The keys. Raises ``SightlineError`` where others could reach a desk that asks for none."""
    from agent.api.keys import SETTING, Keyring

    ring = Keyring.load(path)
    if not ring and not loopback(host):
        raise SightlineError(
            f"listening on {host} lets others in, and no key is asked for: make one with "
            f"'sightline serve --keys FILE --new-key NAME', then add --keys FILE (or set {SETTING})"
        )
    return ring


def loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _names(host: str, named: Sequence[str]) -> list[str]:
    from agent.api.gate import LOOPBACK

    if named:
        return [*named, *LOOPBACK]
    return [*LOOPBACK, host] if loopback(host) else ["*"]


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Raises ``SightlineError`` before any model is loaded."""
    try:
        family = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            if sys.platform != "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), port))
            listener.listen(128)
            yield listener
    except OSError as error:
        raise SightlineError(f"cannot listen on {host} port {port} ({error.strerror}); choose another --port") from None


@contextmanager
def _contexts(galleries: Sequence[Path], settings: Settings) -> Iterator[list[Context]]:
    """Every gallery opened, all with one judge."""
    import dataclasses

    from agent.opening import open_context
    from agent.rerankers import create
    from retriever.gallery import Gallery
    from retriever.retrieve import Retriever

    screen = Console(stderr=True)
    with ExitStack() as stack:
        with screen.status("opening") as status:
            opening = open_context(galleries[0], settings, say=lambda line: status.update(Text(line)))
            first = stack.enter_context(opening)
            found = [first]
            for path in galleries[1:]:
                retriever = Retriever.open(path, settings.encoder, device=settings.device)
                kit = dataclasses.replace(first.kit, encoder=retriever.dense[0])
                found.append(
                    dataclasses.replace(
                        first, gallery=Gallery.open(path), retriever=retriever, kit=kit, seen={},
                        reranker=create(settings.reranker, kit),
                    )
                )  # fmt: skip
        judge = first.label or f"none: {first.kit.why_no_judge}"
        screen.print(Text(f"judge: {judge}", style="dim"))
        yield found


def _run(
    listener: socket.socket, contexts: list[Context], settings: Settings, ring: Keyring, origins: Sequence[str],
    names: Sequence[str], page: bool,
) -> None:  # fmt: skip
    import uvicorn

    from agent.api.app import create_app

    app = create_app(contexts, settings.database(), keys=ring, hosts=names, origins=origins)
    if page and find_spec("agent.page") is not None:
        from agent.page import mount

        mount(app, settings)
    host, port = listener.getsockname()[:2]
    at = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    names_served = ", ".join(c.gallery.id for c in contexts)
    Console(stderr=True).print(Text.assemble("serving ", names_served, " at ", (at, "bold"), f"; API at {at}/v1"))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, limit_concurrency=512,
        timeout_graceful_shutdown=10,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])
