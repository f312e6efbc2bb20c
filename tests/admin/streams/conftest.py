"""Scenes of streams, as they are where they are tested themselves."""

from tests.audit.streams.conftest import far_end, impatient, scene

__all__ = ["far_end", "impatient", "scene"]
