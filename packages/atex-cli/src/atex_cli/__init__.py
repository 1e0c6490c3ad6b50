"""The `atex` command. What a few options can not say is a 20-line script with the packages below."""

__version__ = "0.1.0"
