"""What every backend keeps, ours or yours: suites for pytest (`pip install atex-provision[testing]`).

A backend's tests subclass a suite and say with a fixture or two what it needs to know:

    class TestMyConnection(ConnectionSuite):
        cannot: ClassVar = {"be lost": "a pipe between two processes does not break"}

        @pytest.fixture
        def new_connection(self) -> Callable[[], Connection]:
            return MyConnection

docs/backends/writing-your-own.md goes through both suites with an example.
"""

import pytest

# Before they are imported: what an assert saw is of use to whoever writes a backend.
pytest.register_assert_rewrite(f"{__name__}.connection", f"{__name__}.provisioner")

from atex_provision.testing.connection import ConnectionSuite  # noqa: E402
from atex_provision.testing.provisioner import ProvisionerSuite  # noqa: E402
from atex_provision.testing.provisioner.types import NewProvisioner  # noqa: E402

__all__ = ["ConnectionSuite", "NewProvisioner", "ProvisionerSuite"]
