"""Names and jobs to be shown."""

from typing import Any

from hypothesis import strategies as st

from stoat_ferret.jobs.model import Job, JobStatus

NAMES = st.text(st.characters(exclude_categories=()), max_size=40) | st.text(
    st.sampled_from("\x1b[]0;\n\r\t\x07\x9b\u202e\u200d\ufeff\udcff[bold]\\é東👨"), max_size=40
)
"""Whatever a name may hold, and often what a terminal would obey."""

DETAIL: dict[str, Any] = {
    "phase": "probe",
    "done": 4200,
    "total": 10000,
    "unit": "files",
    "rate": 812.5,
    "eta_seconds": 7.1,
    "current": "a.mp4",
}


def job(**fields: Any) -> Job:
    """Give a running scan."""
    usual: dict[str, Any] = {"status": JobStatus.RUNNING, "payload": {"path": "/videos"}}
    return Job(id="1", revision=1, type="scan", created_at=0, **(usual | fields))
