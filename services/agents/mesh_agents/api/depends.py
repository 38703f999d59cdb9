"""What handlers get: the parts of the process and the caller's tenant."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from mesh_agents.auth import TENANT_HEADER
from mesh_agents.parts import Parts

_bearer = HTTPBearer(auto_error=False, description="The platform's API key, or a tenant's.")


# Asynchronous although they wait for nothing: FastAPI takes others to a thread and back, for each request.


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def tenant_of(request: Request) -> str:
    """The tenant for whom a request asks.

    Raises:
        ApiError: 401 without a valid key, 400 for a malformed tenant.

    """
    headers = request.headers
    tenant: str = request.app.state.keys.tenant(headers.get("authorization"), headers.get(TENANT_HEADER))
    request.state.tenant = tenant
    return tenant


async def _tenant(request: Request, _declared: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    return tenant_of(request)


PartsDep = Annotated[Parts, Depends(_parts)]
Tenant = Annotated[str, Depends(_tenant)]
