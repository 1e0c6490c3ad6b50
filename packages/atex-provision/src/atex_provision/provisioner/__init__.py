"""Provisioners: each is one machine, from the request to the release."""
