"""What handlers get: the parts of the process and the caller's tenant."""

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from mesh_agents.auth import TENANT_HEADER
from mesh_agents.parts import Parts

_bearer = HTTPBearer(auto_error=False, description="The platform's API key, or a tenant's.")


# Asynchronous although they wait for nothing: FastAPI takes others to a thread and back, for each request.


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _tenant(
    request: Request,
    _declared: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    named: Annotated[str | None, Header(alias=TENANT_HEADER, include_in_schema=False)] = None,
) -> str:
    tenant: str = request.app.state.keys.tenant(request.headers.get("authorization"), named)
    request.state.tenant = tenant
    return tenant


PartsDep = Annotated[Parts, Depends(_parts)]
Tenant = Annotated[str, Depends(_tenant)]
