"""The judge in this process: transformers and peft answer the calls that the server answers, with the same numbers.

Slower than the server (no shared prefixes, no schema-guided decoding), and there where it cannot run. One thread does
all the work; requests for choices that wait together are answered in one forward pass.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prompts.clients.base import ChatReply, ChatRequest, Message, TextPart, clip, parse_json
from prompts.clients.choices import SplitChoice, normalise
from prompts.clients.spans import call_span, export_if_asked
from retriever.errors import ModelError, ReplyError, ServerUnavailable


class LocalModel:
    """Base, adapter and processor in memory. Not safe for two threads at once: :class:`LocalClient` sees to that."""

    def __init__(self, base: Path, adapter: Path | None = None, *, device: str | None = None) -> None:
        """Raises ``ModelError`` if the folders do not hold a base model and an adapter for it."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self.processor = AutoProcessor.from_pretrained(base, local_files_only=True)
            model: Any = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32, local_files_only=True)
            if adapter is not None:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, adapter)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            where = base if adapter is None else f"{base} with {adapter}"
            raise ModelError(f"no model could be loaded from {where}: {clip(str(error))}") from None
        self.model = model.to(self.device).eval()
        self.adapter = adapter
        self.processor.tokenizer.padding_side = "left"
        self.window = int(self.model.config.get_text_config().max_position_embeddings)

    def inputs(self, requests: list[ChatRequest]) -> Any:
        """The requests as one left-padded batch. Raises ``ReplyError`` if one does not fit into the window."""
        batch = self.processor.apply_chat_template(
            [[_message(m) for m in request.messages] for request in requests],
            add_generation_prompt=not requests[0].continues,
            continue_final_message=requests[0].continues,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        longest = int(batch["attention_mask"].sum(-1).max()) + max(r.max_tokens for r in requests)
        if longest > self.window:
            raise ReplyError(f"the request and its answer take {longest} tokens, and the model has {self.window}")
        return batch.to(self.device)

    def choose(self, requests: list[ChatRequest], *, adapter: bool) -> list[ChatReply]:
        """One forward pass for requests that all have choices."""
        import torch

        batch = self.inputs(requests)
        with torch.inference_mode(), self._adapter(adapter):
            logits = self.model(**batch, logits_to_keep=1).logits[:, -1].float()
        lengths = batch["attention_mask"].sum(-1).tolist()
        return [self._chosen(r, logits[i], int(lengths[i])) for i, r in enumerate(requests)]

    def _chosen(self, request: ChatRequest, logits: Any, length: int) -> ChatReply:
        assert request.choices is not None
        logprobs = normalise({word: float(logits[self.token(word)]) for word in request.choices})
        best = max(logprobs, key=lambda word: logprobs[word])
        return ChatReply(text=best, choice_logprobs=logprobs, prompt_tokens=length, completion_tokens=1)

    def token(self, word: str) -> int:
        """The id of a word that is one token. Raises ``ReplyError`` if it is not."""
        ids: list[int] = self.processor.tokenizer.encode(word, add_special_tokens=False)
        if len(ids) != 1:
            raise SplitChoice.of(word, len(ids), "this model")
        return ids[0]

    def write(self, request: ChatRequest, *, adapter: bool, seconds: float | None) -> ChatReply:
        """Free text or JSON, written token by token."""
        import torch

        batch = self.inputs([request])
        options: dict[str, Any] = {"max_new_tokens": request.max_tokens, "max_time": seconds, "do_sample": False}
        if request.temperature > 0:
            torch.manual_seed(request.seed)
            options |= {"do_sample": True, "temperature": request.temperature}
        if request.stop:
            options |= {"stop_strings": list(request.stop), "tokenizer": self.processor.tokenizer}
        with torch.inference_mode(), self._adapter(adapter):
            out = self.model.generate(**batch, **options)[0, batch["input_ids"].shape[1] :]
        text = _before(self.processor.tokenizer.decode(out, skip_special_tokens=True), request.stop)
        full = len(out) >= request.max_tokens and int(out[-1]) not in self._ends()
        if request.json_schema is not None:
            if full:
                raise ReplyError(f"the model's JSON was cut off at {request.max_tokens} tokens: {clip(text)}")
            parse_json(text, request.json_schema)
        return ChatReply(
            text=text,
            prompt_tokens=int(batch["input_ids"].shape[1]),
            completion_tokens=len(out),
            finish_reason="length" if full else "stop",
        )

    def _ends(self) -> list[int]:
        end = self.model.generation_config.eos_token_id
        return [] if end is None else end if isinstance(end, list) else [end]

    def _adapter(self, on: bool) -> AbstractContextManager[Any]:
        off: AbstractContextManager[Any] = nullcontext() if on or self.adapter is None else self.model.disable_adapter()
        return off


@dataclass
class _Job:
    request: ChatRequest
    adapter: bool
    until: float
    done: Future[ChatReply] = field(default_factory=Future)

    def joins(self, other: _Job) -> bool:
        """Whether both can be answered in one forward pass."""
        both = self.request.choices is not None and other.request.choices is not None
        return both and self.adapter == other.adapter and self.request.continues == other.request.continues


class LocalClient:
    """A chat client over a :class:`LocalModel`; at most ``max_batch`` requests share a forward pass."""

    def __init__(
        self,
        base_dir: Path,
        adapter_dir: Path | None = None,
        *,
        name: str = "",
        device: str | None = None,
        max_batch: int = 8,
        timeout_s: float = 120.0,
    ) -> None:
        export_if_asked()
        self._core = LocalModel(base_dir, adapter_dir, device=device)
        self._use_adapter = adapter_dir is not None
        self._name = name or base_dir.name
        self._max_batch = max_batch
        self._timeout_s = timeout_s
        self._waiting: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")

    @property
    def name(self) -> str:
        return f"transformers:{self._name}"

    def without_adapter(self) -> LocalClient:
        """The base model alone: same weights in memory, same thread."""
        other = object.__new__(LocalClient)
        other.__dict__.update(self.__dict__, _use_adapter=False, _name=f"{self._name} (base)")
        return other

    async def complete(self, request: ChatRequest) -> ChatReply:
        with call_span(request, "transformers", self._name) as span:
            reply = await self._complete(request)
            span.answered(reply)
        return reply

    async def _complete(self, request: ChatRequest) -> ChatReply:
        began = time.monotonic()
        limit = request.deadline_s or self._timeout_s
        job = _Job(request, self._use_adapter, began + limit)
        self._waiting.append(job)
        self._thread.submit(self._serve)
        try:
            async with asyncio.timeout(limit):
                reply = await asyncio.wrap_future(job.done)
        except TimeoutError:
            raise ServerUnavailable(f"the model in this process did not answer within {limit:g} s") from None
        return _with(reply, seconds=time.monotonic() - began, model=self._name)

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _serve(self) -> None:
        """Answer the oldest waiting request and those that can share its pass. Runs in the one worker thread."""
        jobs = self._take()
        if not jobs:
            return
        try:
            for job, reply in zip(jobs, self._answer(jobs), strict=True):
                job.done.set_result(reply)
        except ReplyError as error:
            self._fail(jobs, error)
        except Exception as error:
            self._fail(jobs, ServerUnavailable(f"the model in this process failed: {clip(repr(error))}"))

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        while self._waiting and len(jobs) < self._max_batch:
            if jobs and not self._waiting[0].joins(jobs[0]):
                break
            job = self._waiting.popleft()
            if job.done.set_running_or_notify_cancel():
                jobs.append(job)
        return jobs

    def _answer(self, jobs: list[_Job]) -> list[ChatReply]:
        if jobs[0].request.choices is not None:
            return self._core.choose([job.request for job in jobs], adapter=jobs[0].adapter)
        (job,) = jobs
        return [self._core.write(job.request, adapter=job.adapter, seconds=max(0.1, job.until - time.monotonic()))]

    def _fail(self, jobs: list[_Job], error: ReplyError | ServerUnavailable) -> None:
        """One bad request must not spoil those that shared its pass: they are answered again, alone."""
        if len(jobs) == 1:
            jobs[0].done.set_exception(error)
            return
        for job in jobs:
            try:
                job.done.set_result(self._answer([job])[0])
            except (ReplyError, ServerUnavailable) as own:
                job.done.set_exception(own)
            except Exception as other:
                job.done.set_exception(ServerUnavailable(f"the model in this process failed: {clip(repr(other))}"))


def _message(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": p.text} if isinstance(p, TextPart) else {"type": "image", "image": p.image()}
        for p in message.parts
    ]
    return {"role": message.role, "content": parts}


def _before(text: str, stops: tuple[str, ...]) -> str:
    cuts = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return text[: min(cuts)] if cuts else text


def _with(reply: ChatReply, *, seconds: float, model: str) -> ChatReply:
    import dataclasses

    return dataclasses.replace(reply, seconds=seconds, model=model)
