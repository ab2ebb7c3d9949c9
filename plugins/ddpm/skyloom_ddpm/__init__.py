"""DDPM, an image prior by diffusion. Nothing here yet."""
