"""The network in PyTorch: an encoder, a decoder of some kind, and what is exported of them."""
