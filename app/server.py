"""How uvicorn serves the pages. Starts nothing."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from app.settings import Settings


def server_config(settings: Settings, application: FastAPI) -> uvicorn.Config:
    """Uvicorn's settings. What proxies say of the caller is believed of those that are named, and of nobody by default.

    Without names, uvicorn would believe this machine and FORWARDED_ALLOW_IPS, so its part is left out altogether.
    """
    return uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=10,
    )
