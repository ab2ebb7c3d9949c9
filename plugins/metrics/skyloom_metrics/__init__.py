"""Metrics that say how good a model of the sky is, each with the floor that gives its number a meaning."""
