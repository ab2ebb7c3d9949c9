"""Metrics that say how good a model of the sky is. Nothing here yet."""
