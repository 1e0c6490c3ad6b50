"""Writes the agent's archive: `python -m atex_sut_agent --output agent.pyz`."""

import argparse
from pathlib import Path

from atex_sut_agent.archive import agent_archive


def main() -> None:
    """Write the archive to the file that --output names, and print its sha256."""
    parser = argparse.ArgumentParser(prog="python -m atex_sut_agent", description=__doc__)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="where to write it"
    )
    archive = agent_archive()
    parser.parse_args().output.write_bytes(archive.data)
    print(archive.digest)


if __name__ == "__main__":
    main()
