"""Runs are tried with a captioner that has weights, too."""

from tests.plugins.pix2prof.conftest import installed, tiny_bundle

__all__ = ["installed", "tiny_bundle"]
