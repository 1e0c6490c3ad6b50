"""Leases: what this user's processes have asked for, and whether it was given back."""
