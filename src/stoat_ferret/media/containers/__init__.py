"""Readers of common containers, without FFmpeg. Each says of a file exactly what FFmpeg would say, or nothing."""
