"""What all tests share. Each plugin says in its first lines what it is for."""

pytest_plugins = [
    "pytester",
    "tests.machines.fixtures",
    "tests.plugins.leaks",
    "tests.plugins.leases",
    "tests.plugins.logins",
    "tests.plugins.needs",
    "tests.plugins.nightly",
    "tests.plugins.properties",
    "tests.plugins.pythons",
    "tests.plugins.skips",
    "tests.plugins.slots",
    "tests.plugins.workers",
]
