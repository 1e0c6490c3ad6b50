"""What can go wrong in a pool, apart from what tests and machines do (that is an event and a record)."""


class OrchestratorError(Exception):
    """The root of this package's errors. A run that was started raises it only for what stops the whole run."""


class SetupError(OrchestratorError):
    """The run does not fit together, raised before anything is reserved: an unknown or doubled platform, one that
    has tests and no machines, a plan that is not supported."""


class FolderInUse(OrchestratorError):
    """The run folder is not empty, or can not be made, or a process still writes it. Nothing in it was touched."""


class FolderUnreadable(OrchestratorError):
    """What should be a run folder is none, or a file in it is not what spec calls for (the message names it)."""
