"""From a trained network to a verified bundle. Nothing here yet."""
