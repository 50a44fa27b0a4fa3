"""``sightline serve-model`` and ``sightline doctor``."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.serving import ModelServer


def register(app: typer.Typer) -> None:
    """Add the commands to ``sightline``."""
    app.command("serve-model")(serve_model)
    app.command("doctor")(doctor)


def serve_model(
    model: Annotated[str, typer.Option(help="A shipped model or a folder with base/ and adapter/.")] = "mini-judge",
    base: Annotated[Path | None, typer.Option(help="Folder of a base model, instead of --model.")] = None,
    adapter: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a LoRA adapter for it; further ones are served beside it, each by its name."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; 0 takes a free one.")] = 0,
    backend: Annotated[str, typer.Option(help="auto, vllm or transformers.")] = "auto",
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running; it stops after 30 idle minutes.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop every server that was left running.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show the servers that are running.")] = False,
) -> None:
    """Serve the judge with vLLM on loopback, for this user's next commands and any OpenAI-style client."""
    console = Console(stderr=True, highlight=False)
    if stop:
        from agent.serving_state import stop_kept

        console.print(f"stopped {stop_kept()} model server(s)")
    elif status:
        _status(console)
    elif backend not in ("auto", "vllm", "transformers"):
        raise SightlineError(f"--backend {backend!r} is none of auto, vllm, transformers")
    else:
        _serve(console, model, base, adapter or [], port, backend, detach)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False) -> None:
    """Say what is installed, what works here, and what to do about the rest."""
    from agent.doctor import able, examine, show

    findings = examine()
    if as_json:
        typer.echo(json.dumps({"ok": able(findings), "findings": [f.to_json() for f in findings]}, ensure_ascii=False))
    else:
        show(findings, Console(highlight=False))
    raise typer.Exit(0 if able(findings) else 1)


def _status(console: Console) -> None:
    from agent.serving_state import kept_servers

    servers = kept_servers()
    for state in servers:
        console.print(Text(f"{state.url}/v1  {state.judge_model}  (process group {state.pid}; log: {state.log})"))
    if not servers:
        console.print("no model server is running")


def _serve(
    console: Console, model: str, base: Path | None, adapters: list[Path], port: int, backend: str, detach: bool
) -> None:
    from agent.serving import IDLE_S, ModelServer
    from agent.serving_bundle import JudgeBundle
    from agent.serving_flags import vllm_problem
    from agent.serving_open import open_judge, verify

    def say(line: str) -> None:
        console.print(Text(line))

    bundle = JudgeBundle.find(model, base=base, adapter=next(iter(adapters), None), beside=adapters[1:])
    if backend == "transformers" or (backend == "auto" and vllm_problem() is not None):
        judge = open_judge(bundle, backend="transformers", say=say)
        say(f"{judge.label} answers correctly; commands load it themselves, so there is nothing to serve")
        judge.stop()
        return
    server = ModelServer(bundle, port=port, keep=True, bound=not detach, idle_s=IDLE_S if detach else 0.0, say=say)
    state = server.start()
    try:
        report = verify(bundle, state)
    except BaseException:
        server.stop()
        raise
    again = " (it was already running)" if server.reused else ""
    console.print(
        Text.assemble(f"serving {state.judge_model} at ", (f"{state.url}/v1", "bold"), f"{again}; key: {state.key}")
    )
    for name in bundle.beside:
        console.print(Text(f"beside it: {name}"))
    if report is not None:
        console.print(f"golden answers: {report.n}, mean difference {report.mean_abs_diff:.6f}")
    if detach or server.reused:
        console.print("stop it with: sightline serve-model --stop")
        return
    console.print("Ctrl-C stops it")
    _until_asked(server)


def _until_asked(server: ModelServer) -> None:
    """Wait for Ctrl-C or a polite signal, or for the server's own end; then leave nothing running."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    try:
        while not asked.wait(1.0):
            server.check()
    finally:
        server.stop()
