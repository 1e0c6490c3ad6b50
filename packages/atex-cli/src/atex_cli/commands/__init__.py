"""The subcommands of `atex`, a module each with a click command called `command`."""
