"""Pix2Prof, a sequence captioner for surface-brightness profiles. Nothing here yet."""
