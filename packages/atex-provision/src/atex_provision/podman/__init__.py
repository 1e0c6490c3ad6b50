"""Containers of podman, and the images they are made of."""
