# %% [markdown]
# # A case, from Python
# An analyst's session through the API: describe, add a clue, strike one, ask why, look at a tile, export.
# Runs as a script or cell by cell (`# %%`). `SIGHTLINE_URL` names a desk that runs; without it the demo town is served.

# %%
import atexit
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from agent import demo
from agent.client import Client
from agent.settings import Settings
from agent.turns import Turn
from retriever.errors import ServerUnavailable

OUT = Path(os.environ.get("OUT", "out/analyst"))
OUT.mkdir(parents=True, exist_ok=True)


# %% [markdown]
# ## A desk to talk to
# The same as `sightline serve --gallery ...` in another terminal.


# %%
def serve() -> tuple[str, subprocess.Popen[bytes]]:
    """The demo town's gallery, built on first use, behind the API on a free port."""
    settings = Settings()
    folder = Path(os.environ.get("DEMO", str(demo.home(settings, None))))
    gallery = demo.prepare(folder, Console(stderr=True), settings.encoder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "retriever.main", "serve", "--gallery", str(gallery), "--port", str(port)]
    return f"http://127.0.0.1:{port}", subprocess.Popen([*command, "--no-page"])


def wait(client: Client, server: subprocess.Popen[bytes] | None) -> None:
    """Until the desk answers; opening the judge may take a while."""
    while True:
        try:
            client.galleries()
            return
        except ServerUnavailable:
            if server is None or server.poll() is not None:
                raise
            time.sleep(0.5)


def show(turn: Turn) -> None:
    assert turn.result is not None
    print(f"\n> {turn.text[:100]}\n{turn.said}")
    for c in turn.result["candidates"][:3]:
        print(f"  {c['rank']}. {c['tile_id']}  {c['verdict']}  {c['confidence'] or 0:.0%}")


def stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait()


url, server = (os.environ["SIGHTLINE_URL"], None) if "SIGHTLINE_URL" in os.environ else serve()
if server is not None:
    atexit.register(stop, server)
desk = Client(url)
wait(desk, server)
gallery = desk.galleries()[0]
print(f"{gallery.id}: {gallery.tiles} tiles, {gallery.attribution}; judge: {gallery.judge}")

# %% [markdown]
# ## Describe: the steps as they happen, then the answer

# %%
turn = None
for event in desk.locate_events(demo.TEXT, spoken="en"):
    if event.kind == "step" and event.data["phase"] == "started":
        print(event.data["name"], end=" ", flush=True)
    elif event.kind == "error":
        raise SystemExit(event.data["message"])
    elif event.kind == "turn":
        turn = Turn.from_json(event.data)
assert turn is not None
show(turn)
thread = turn.thread

# %% [markdown]
# ## Add a clue, take one back, ask why, in either language

# %%
show(desk.say(thread, "There is no church in sight."))
show(desk.order(thread, do="strike", claim="c2"))
show(desk.order(thread, do="restore", claim="c2"))
print("\n" + desk.order(thread, do="why", rank=1).said)
show(desk.say(thread, "用中文再说一遍"))

# %% [markdown]
# ## The first tile, and the whole case as a file

# %%
result = desk.turn(thread).result
assert result is not None
best = result["candidates"][0]["tile_id"]
(OUT / "first.png").write_bytes(desk.tile_png(gallery.id, best))
facts = desk.tile(gallery.id, best).facts or ()
print(f"\n{best}: {', '.join(sorted({fact.kind for fact in facts}))}")
(OUT / "case.zip").write_bytes(desk.case(thread))
print(f"the case is in {OUT / 'case.zip'}; 'sightline replay' recomputes its verdicts")
desk.close()
