"""The training loop that every plugin shares. Nothing here yet."""
