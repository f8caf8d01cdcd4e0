"""In what other projects' files we and ffprobe 7.1.5 are known to differ: what exactly we say, and why.

Whatever is not listed has to be equal. An entry that has become equal is to be taken out: a test insists.
"""

Difference = tuple[str, str, int | None]
"""The sample, the field by `Field.name`, and the stream's index; None for a field of the file."""

NO_DEPTH = "without a decoder nobody knows the pictures' depth, and 8 bits alone would make an unsaid transfer SDR"
DEEP = "10 bits without a transfer function may be anything; that ffprobe's silence means SDR is the oracle's guess"
GUESSED = "the profile of AAC without a header of its own is guessed from its first frame, differently by each release"

DIFFERENCES: dict[Difference, tuple[object, str]] = {
    ("openpreserve+format-corpus/apple-prores-422-proxy.mov", "stream.color_range", 0): (
        "tv", "FFmpeg 8's decoder of ProRes says it, 7.1's does not",
    ),
    ("openpreserve+format-corpus/apple-prores-422-proxy.mov", "stream.color_space", 0): (
        "smpte170m", "FFmpeg 8's decoder of ProRes says it, 7.1's does not",
    ),
    ("androidx+media/sample_ait.ts", "streams", None): (
        5, "FFmpeg 8 finds a fifth stream, of data, that 7.1 does not",
    ),
    ("shaka-project+shaka-player/id3-metadata.ts", "stream.profile", 0): (None, GUESSED),
    ("shaka-project+shaka-player/fileSequence2.ts", "stream.profile", 0): (None, GUESSED),
    ("digital-preservation+droid/fmt-499-signature-id-774.viv", "stream.real_frame_rate", 0): (
        None, "PyAV has no rate for a stream that FFmpeg has no decoder for",
    ),
    ("digital-preservation+droid/fmt-499-signature-id-774.viv", "hdr", None): (None, NO_DEPTH),
    ("webmproject+libwebm/chapters_truncated_chapter_string_2.mkv", "hdr", None): (None, NO_DEPTH),
    ("jcodec+jcodec/seq_wipe_test.264", "hdr", None): (None, NO_DEPTH),
    ("jcodec+jcodec/timecode.mxf", "hdr", None): (None, NO_DEPTH),
    ("Eyevinn+mp4ff/annexb.vvc", "hdr", None): (None, DEEP),
    ("Eyevinn+mp4ff/vvc_400kbps_2s.mp4", "hdr", None): (None, DEEP),
    ("openpreserve+format-corpus/apple-prores-422-proxy.mov", "hdr", None): (None, DEEP),
}  # fmt: skip

OPENED_OTHERWISE = {
    "jcodec+jcodec/test.264": "764 bytes of H.264 that FFmpeg 8 does not take for a stream, and 7.1 does",
    "webmproject+libwebm/blockgroup_block_ends_beyond_blockgroup.mkv": "FFmpeg 8 opens it, damaged; 7.1 does not",
}
"""Samples that one side opens and the other does not."""

NOT_VIDEOS = {
    "androidx+media/sample_alac.mp4": "only audio",
    "androidx+media/sample_latm.ts": "only audio",
    "androidx+media/sample_mpegh_bl_configchange_cont.ts": "only data",
    "androidx+media/sample_ait.ts": "only audio, data",
    "androidx+media/sample_ac4.ts": "only audio",
    "shaka-project+shaka-player/id3-metadata.ts": "only audio, data",
    "shaka-project+shaka-player/fileSequence2.ts": "only audio",
    "Netflix+photon/Plugfest_IMSC_text_IMP1_01_en_tt.mxf": "only subtitle",
    "wader+fq/pcm.avi": "only audio",
    "sannies+mp4parser/dts-sample.mp4": "only audio",
    "wader+fq/dash_video_1.m4s": "a segment of a stream, without the initialization segment",
    "Eyevinn+mp4ff/init_truncated.mp4": "describes no picture or sound",
    "jcodec+jcodec/test.264": "not a video, or is damaged",
    "digital-preservation+droid/fmt-1176-signature-id-1557.nsv": "not a video, or is damaged",
    "digital-preservation+droid/x-fmt-386-signature-id-655.mpeg": "not a video, or is damaged",
}
"""What a scan says of the samples that are no videos, by a part of it."""


def known_differences(sample: str) -> dict[tuple[str, int | None], object]:
    """Give what we say otherwise than ffprobe of a sample, by field and index."""
    return {(name, index): ours for (path, name, index), (ours, _) in DIFFERENCES.items() if path == sample}
