"""Figures of scores, in one style; they need matplotlib, which the extra ``plot`` brings."""
