"""What is said about jobs and videos: the sentences and the cells, without a place to print them."""

from typing import Any

from stoat_ferret.cli.text import clean, count, duration, size, span
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.library.models import Video

PHASES = {"walk": "listing", "probe": "examining", "settle": "settling"}
OUTCOMES = {
    "new": "new",
    "updated": "updated",
    "moved": "moved",
    "restored": "back again",
    "unchanged": "unchanged",
    "missing": "missing",
    "skipped": "skipped",
    "failed": "failed",
}
"""The outcomes of a scan in the order in which they are told, and how."""


def phase_name(job: Job, *, ending: bool) -> str:
    """Say in a word or two what a job is doing."""
    if ending:
        return "cancelling"
    if job.status is JobStatus.PENDING:
        return "waiting for its turn"
    phase = (job.progress_detail or {}).get("phase", "")
    return PHASES.get(phase, clean(phase)) or "starting"


def progress_facts(job: Job) -> str:
    """Say how far a job is: count, rate, time to go; empty while nothing is known."""
    detail = job.progress_detail
    if detail is None:
        return ""
    unit, total = clean(detail["unit"]), detail["total"]
    facts = [f"{detail['done']:,} {unit}" if total is None else f"{detail['done']:,} of {total:,} {unit}"]
    if rate := detail.get("rate"):
        facts.append(f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second")
    if (seconds := detail.get("eta_seconds")) is not None:
        facts.append(f"{span(seconds)} to go")
    return ", ".join(facts)


def scan_counts(result: dict[str, Any]) -> str:
    """Say in one line what a scan did, as in `26 scanned: 24 new, 2 failed`."""
    parts = [f"{result[name]:,} {words}" for name, words in OUTCOMES.items() if result.get(name)]
    return f"{count(result.get('scanned', 0), 'file')} scanned" + (": " + ", ".join(parts) if parts else "")


def scan_cost(result: dict[str, Any]) -> str:
    """Say what a scan has cost."""
    seconds = result.get("duration_seconds", 0.0)
    took = f"{seconds:.1f} s" if seconds < 60 else span(seconds)
    return f"{size(result.get('bytes_read', 0))} read in {took}"


def job_ending(job: Job) -> str:
    """Say how a job stands, and why."""
    if job.error:
        return f"{job.status.value}: {job.error}"
    if job.cancel_requested and not job.status.terminal:
        return f"{job.status.value}, told to end"
    return job.status.value


def picture(video: Video) -> str:
    """Say how large and fast the picture is, as in `1920x1080 29.97 fps`."""
    if not video.width or not video.height:
        return ""
    rate = f" {video.frame_rate_float:.2f}".rstrip("0").rstrip(".") + " fps" if video.frame_rate_float else ""
    return f"{video.width}x{video.height}{rate}"


def codecs(video: Video) -> str:
    """Name the codecs of picture and sound, as in `h264 + aac`."""
    return " + ".join(filter(None, (video.video_codec, video.audio_codec)))


def length(video: Video) -> str:
    """Say how long the video is."""
    return duration(video.duration)
