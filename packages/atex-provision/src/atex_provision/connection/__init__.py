"""Connections: ways to reach one machine."""
