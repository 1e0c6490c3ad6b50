"""What runs on the machine under test, and the wire protocol to it."""

from atex_sut_agent.archive import Archive, agent_archive
from atex_sut_agent.launch import BOOT_MAGIC, attach_command, unpack_command

__version__ = "0.1.0"

__all__ = ["BOOT_MAGIC", "Archive", "agent_archive", "attach_command", "unpack_command"]
