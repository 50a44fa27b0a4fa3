"""What every route begins with: the service, who asks, and whether that key may ask now."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from agent.api.errors import ApiError
from agent.api.keys import Principal
from agent.api.service import Service

_bearer = HTTPBearer(auto_error=False, description="An API key. Not needed on a desk without keys.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key in a header of its own.")


def service_of(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


Serv = Annotated[Service, Depends(service_of)]


async def admitted(
    request: Request,
    service: Serv,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    header: Annotated[str | None, Security(_header)] = None,
) -> Principal:
    """The user of the request's key. Raises ``ApiError`` 401, or 429 where the key, or the guesser, must wait."""
    who = service.principal(bearer.credentials if bearer is not None else header)
    if who is None:
        service.meter.failed_key(request.client.host if request.client else "")
        raise ApiError(401, "no_key", "send a valid key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    service.meter.request(who.bucket, who.quota)
    return who


Who = Annotated[Principal, Depends(admitted)]
