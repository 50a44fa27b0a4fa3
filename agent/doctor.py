"""What is installed, what works here, and what to do about the rest."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from retriever.errors import ModelError, SightlineError
from retriever.types import Record

Status = Literal["ok", "note", "missing"]
PACKAGES = ("torch", "torchvision", "transformers", "peft", "open_clip_torch", "langgraph", "osmium", "rasterio")
MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[bold red]missing[/]"}


@dataclass(frozen=True, kw_only=True)
class Finding(Record):
    name: str
    status: Status
    """``missing`` means that the main job cannot run."""
    found: str
    todo: str = ""


def examine() -> list[Finding]:
    """Every finding, in the order to read them. Nothing here raises."""
    looks: tuple[Callable[[], list[Finding]], ...] = (
        _settings, _machine, _packages, _faiss, _gpu, _device, _backends, _encoder, _judge, _servers, _fonts, _data,
    )  # fmt: skip
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look()
        except Exception as error:
            findings.append(
                Finding(name=look.__name__.strip("_"), status="note", found=f"could not be examined: {error!r}")
            )
    return findings


def able(findings: list[Finding]) -> bool:
    """Whether a description can be located and judged on this machine."""
    return all(finding.status != "missing" for finding in findings)


def show(findings: list[Finding], console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        told = Text(finding.found)
        if finding.todo:
            told.append(f"\n{finding.todo}", style="dim")
        table.add_row(MARKS[finding.status], Text(finding.name), told)
    console.print(table)
    end = "[green]Sightline can locate and judge here.[/]" if able(findings) else "[bold red]Something is missing.[/]"
    console.print(f"\n{end}")


def _settings() -> list[Finding]:
    from agent.cli_locate import settings_with

    try:
        settings_with()
    except SightlineError as error:
        todo = "set the variable SIGHTLINE_<NAME> of that setting otherwise, or unset it"
        return [Finding(name="settings", status="missing", found=str(error), todo=todo)]
    return []


def _machine() -> list[Finding]:
    from agent.settings import Settings

    folder = Settings().folder("servers").parent
    free = shutil.disk_usage(folder).free / 1e9
    python = ".".join(map(str, sys.version_info[:3]))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Finding(
            name="python",
            status="ok" if sys.version_info >= (3, 11) else "missing",
            found=f"{python} on {platform.system()} {platform.machine()}, {cores} cores, {_memory():.0f} GB of memory",
        ),
        Finding(
            name="own files",
            status="ok" if free > 2 else "note",
            found=f"{folder} ({free:.0f} GB free)",
            todo="" if free > 2 else "make room, or set SIGHTLINE_DATA_DIR to another folder",
        ),
    ]


def _memory() -> float:
    """Gigabytes of memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):
        return 0.0


def _packages() -> list[Finding]:
    found, lacking = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lacking.append(package)
    findings = [Finding(name="packages", status="ok", found=", ".join(found))]
    if lacking:
        findings.append(Finding(name="packages", status="missing", found=", ".join(lacking), todo="run: make setup"))
    return findings


def _faiss() -> list[Finding]:
    if importlib.util.find_spec("faiss") is None:
        return [Finding(name="faiss", status="missing", found="not installed", todo="run: make setup")]
    import faiss

    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return [Finding(name="faiss", status="ok", found=f"{faiss.__version__}, {gpus} GPUs")]


def _gpu() -> list[Finding]:
    import torch

    if not torch.cuda.is_available():
        return [Finding(name="gpu", status="ok", found="none; everything runs on the CPU")]
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [Finding(name="gpu", status="ok", found=", ".join(names))]


def _device() -> list[Finding]:
    from agent.settings import Settings
    from retriever.device import device_for

    name = "encoder's device"
    try:
        return [Finding(name=name, status="ok", found=str(device_for(Settings().device)))]
    except SightlineError as error:
        return [Finding(name=name, status="missing", found=str(error), todo="set SIGHTLINE_DEVICE to auto or cpu")]


def _backends() -> list[Finding]:
    from agent.serving_flags import vllm_build, vllm_problem

    build, problem = vllm_build(), vllm_problem()
    label = f"vllm {build[1]}, {build[0].upper()} build" if build is not None else "vllm is not installed"
    served = Finding(
        name="judge served by vLLM",
        status="ok" if problem is None else "note",
        found=f"{label}: can run here" if problem is None else f"{label}: cannot run here",
        todo=problem or "",
    )
    have = all(importlib.util.find_spec(name) is not None for name in ("transformers", "peft", "torch"))
    local = Finding(
        name="judge in process",
        status="ok" if have else ("note" if problem is None else "missing"),
        found="transformers and peft: can run here" if have else "transformers or peft is missing",
        todo="" if have else "run: make setup",
    )
    return [served, local]


def _encoder() -> list[Finding]:
    from retriever.models import find_model

    name = "encoder sightline-mini"
    try:
        folder = find_model("sightline-mini")
        if not (folder / "model.safetensors").is_file():
            raise ModelError(f"{folder} holds no model.safetensors")
        return [Finding(name=name, status="ok", found=_folder(folder))]
    except SightlineError as error:
        return [Finding(name=name, status="missing", found=str(error), todo="clone the repository again, whole")]


def _judge() -> list[Finding]:
    from agent.serving_bundle import JudgeBundle

    name = "judge mini-judge"
    try:
        bundle = JudgeBundle.find()
    except SightlineError as error:
        return [Finding(name=name, status="missing", found=str(error), todo="clone the repository again, whole")]
    golden = "with golden answers" if bundle.golden is not None else "without golden answers, so a start proves less"
    found = (
        f"base {bundle.base_hash[:10]}, adapter {bundle.adapter_hash[:10] or 'none'}, {golden}; {_folder(bundle.base)}"
    )
    return [Finding(name=name, status="ok" if bundle.adapter is not None else "note", found=found)]


def _folder(folder: Path) -> str:
    from agent.serving_bundle import content_hash

    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return f"{folder} ({size:.1f} MB, {content_hash(folder)[:10]})"


def _servers() -> list[Finding]:
    from agent.serving_state import kept_servers

    urls = [f"{state.judge_model} at {state.url}/v1" for state in kept_servers()]
    return [
        Finding(name="model servers", status="ok", found=", ".join(urls) or "none is running; one starts when needed")
    ]


def _fonts() -> list[Finding]:
    from retriever.draw.fonts import Fonts

    fonts = Fonts.find()
    if fonts.cjk is not None:
        return [Finding(name="fonts", status="ok", found=f"{fonts.latin.name}, {fonts.cjk.name}")]
    todo = "for Chinese and Japanese labels install a font (Debian and Ubuntu: apt install fonts-noto-cjk)"
    return [Finding(name="fonts", status="note", found=f"{fonts.latin.name}; none for Chinese", todo=todo)]


def _data() -> list[Finding]:
    folder = os.environ.get("SIGHTLINE_DATA", "")
    if folder and Path(folder).is_dir():
        return [Finding(name="real data for tests", status="ok", found=folder)]
    found = f"SIGHTLINE_DATA={folder} is no folder" if folder else "SIGHTLINE_DATA is not set"
    return [Finding(name="real data for tests", status="note", found=found, todo="tests on real data are skipped")]
