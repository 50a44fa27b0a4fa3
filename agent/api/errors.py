"""Errors as every client gets them: ``{"error": {"code", "message", "request_id", ...}}``, never a traceback."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from retriever.errors import SightlineError

log = logging.getLogger("sightline.api")
SAID = 300
"""Most characters of a message; a client's own words may be in it."""
_OURS = ("GalleryError", "IndexMismatch", "ModelError", "SourceError")
"""What is wrong with this installation and no client can mend; the message may name folders, so it stays in the log."""


class ApiError(SightlineError):
    """An error with a status and a code of its own."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, more


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that every parser reads: no NaN, and half characters escaped."""
    return Response(json_bytes(data), status, headers, media_type="application/json")


def json_bytes(data: Any) -> bytes:
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def error_response(status: int, code: str, message: str, request_id: str = "", **more: Any) -> Response:
    """The one shape of an error."""
    words = message if len(message) <= SAID else message[: SAID - 1] + "…"
    headers = {"Retry-After": str(more["retry_after_s"])} if "retry_after_s" in more else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"code": code, "message": words, "request_id": request_id, **more}
    return json_response({"error": body}, status, headers)


def described(error: SightlineError) -> tuple[int, str, str]:
    """Status, code and message of an error that was raised on purpose."""
    if isinstance(error, ApiError):
        return error.status, error.code, str(error)
    return told(type(error).__name__, str(error), error.status)


def told(kind: str, message: str, status: int = 400) -> tuple[int, str, str]:
    """Status, code and message of an error by its class's name."""
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    if kind in _OURS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s: %s", code, message)
        return 503, code, "this installation cannot answer that now; its operator finds the reason in the log"
    return status, "bad_request" if code == "sightline_error" else code, message


def install(app: FastAPI) -> None:
    """Makes every error of ``app``'s routes take that shape."""

    async def sightline(request: Request, error: Exception) -> Response:
        assert isinstance(error, SightlineError)
        status, code, message = described(error)
        return error_response(status, code, message, request_id(request), **getattr(error, "more", {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        details = [
            {"where": ".".join(str(part) for part in item["loc"])[:SAID], "message": item["msg"][:SAID]}
            for item in error.errors()[:20]
        ]
        first = f"{details[0]['where']}: {details[0]['message']}"
        return error_response(422, "invalid", first, request_id(request), details=details)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
        response = error_response(error.status_code, code, str(error.detail), request_id(request))
        response.headers.update(error.headers or {})
        return response

    async def unforeseen(request: Request, error: Exception) -> Response:
        log.exception("request %s failed", request_id(request), exc_info=error)
        return error_response(500, "internal", "this is a defect of Sightline; please report it", request_id(request))

    app.add_exception_handler(SightlineError, sightline)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


def request_id(request: Request) -> str:
    return str(request.scope.get("sightline.request_id", ""))
