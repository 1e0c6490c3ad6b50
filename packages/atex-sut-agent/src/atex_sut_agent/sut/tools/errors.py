"""Why a command failed."""


class ToolError(Exception):
    """The command did not do what it was asked to; the message says why."""


class UsageError(ToolError):
    """It was asked for something that it does not know."""
