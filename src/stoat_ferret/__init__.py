"""stoat-ferret: a video library you can script."""

__version__ = "0.1.0"
