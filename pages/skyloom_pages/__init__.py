"""Reports, comparisons and the demo, as pages with figures."""
