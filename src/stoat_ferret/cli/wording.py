"""What is said about jobs and videos: the sentences and the cells, without a place to print them."""

from typing import Any

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds
from stoat_ferret.cli.text import clean, count, duration, size, span
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.library.models import Video

PHASES = {
    "walk": "listing",
    "probe": "examining",
    "settle": "settling",
    "thumbnails": "making pictures",
    "trim": "forgetting old jobs",
    "sweep": "forgetting what they did",
    "tidy": "tidying",
    "check": "checking",
}
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
NOBODY_RUNS = "The job waits: nobody runs jobs now. `stoat serve` and `stoat worker` do."


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


def about(job: Job) -> str:
    """Say what a job is about: its folder or file, and what was asked for besides."""
    switches = [f"--{name.replace('_', '-')}" for name in ("force", "accept_loss", "dry_run") if job.payload.get(name)]
    place = str(job.payload.get("path") or "")
    if "only" in job.payload:
        place = f"{place.rstrip('/')}/{paths.display(paths.decode_base64(job.payload['only']))}"
    elif job.payload.get("recursive") is False:
        switches.append("--no-recursive")
    return " ".join([place, *switches]).strip()


def share(job: Job) -> str:
    """Say how much of a job is done, as in `42 %`; empty while not known."""
    return "" if job.progress is None else f"{int(job.progress * 100)} %"


def summary(job: Job) -> str:
    """Say in one line what came of a job that has ended; empty where there is nothing to say."""
    if job.error:
        return job.error
    result = job.result or {}
    if "scanned" in result:
        return scan_counts(result)
    return maintenance_counts(result) if "jobs_deleted" in result else ""


def maintenance_counts(result: dict[str, Any]) -> str:
    """Say in one line what the maintenance did."""
    forgotten = f"{count(result['jobs_deleted'], 'old job')} forgotten"
    if lines := result["ledger_rows_deleted"]:
        forgotten += f" with {count(lines, 'line')} of what they did"
    return f"{forgotten}, databases {'sound' if result['integrity'] == 'ok' else result['integrity']}"


def local_moment(microseconds: int | None) -> str:
    """Give a time on this machine's clock, as schedules are written for it; as in `2024-05-02 03:00 CEST`."""
    if microseconds is None:
        return ""
    return from_microseconds(microseconds).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def utc(microseconds: int | None) -> str | None:
    """Give a time as JSON has it, RFC 3339 in UTC."""
    return None if microseconds is None else from_microseconds(microseconds).isoformat().replace("+00:00", "Z")


def ago(microseconds: int, now: int) -> str:
    """Say how long ago something was, as in `3 min ago`."""
    return f"{span((now - microseconds) / 1e6)} ago"


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
