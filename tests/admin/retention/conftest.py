"""A store of their own for tests that remove records."""

from tests.audit.conftest import _scene, elsewhere

__all__ = ["_scene", "elsewhere"]
