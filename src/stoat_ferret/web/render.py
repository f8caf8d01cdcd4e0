"""Templates -> HTML answers, with the headers that every page carries."""

import time
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from stoat_ferret import __version__
from stoat_ferret.web import prose, wording
from stoat_ferret.web.assets import assets

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Nothing inline, nothing from elsewhere, in nobody's frame."""

FILTERS = (
    "ago amount bit_rate camera channels clock codec codec_level folder fps hdr iso_duration iso_moment moment number "
    "path resolution size spell stream_details visible".split()
)


def render(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Give a page, or a part of one; never kept by caches, for the library changes under it."""
    html = _environment().get_template(template).render(now_us=time.time_ns() // 1_000, **values)
    return HTMLResponse(html, status, headers={**SECURITY, "Cache-Control": "no-store"})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("stoat_ferret.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(wording, name) for name in FILTERS})
    environment.filters.update(prose=prose.prose, inline=prose.inline)
    environment.globals.update(version=__version__, asset={name: asset.url for name, asset in assets().items()})
    return environment
