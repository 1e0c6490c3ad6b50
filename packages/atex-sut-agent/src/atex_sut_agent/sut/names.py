"""Rules for names that a test chooses: of results, and of the files that belong to them.

Used by both ends, so that a file lands where its result says, whoever computed it.
"""

MAX_FILE_NAME = 1024  # bytes
MAX_COMPONENT = 255  # bytes
MAX_RESULT_NAME = (
    4096  # bytes, where the result has files or is partial: those names are kept during the run
)


def subtest_name(name: "str | None", test: str) -> str:
    """Return which part of `test` a result named `name` is for; "" is the test itself.

    spec/RESULTS.md, key `name`: missing, empty, `/` or the test's own name is the test itself; the test's own
    name and `/` in front are taken off; any other name stays, an absolute one too.
    """
    if not name or name in ("/", test):
        return ""
    if test and name.startswith(test + "/"):
        return name[len(test) + 1 :]
    return name


def file_name_error(name: object) -> "str | None":
    """Return why `name` may not be the name of a result's file, or None where it may."""
    if not isinstance(name, str) or not name:
        return "a file needs a name"
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "a file name is not valid UTF-8"
    if len(encoded) > MAX_FILE_NAME:
        return "a file name is longer than {} bytes".format(MAX_FILE_NAME)
    if "\0" in name:
        return "a file name holds a NUL"
    if name.startswith("/"):
        return "file name {!r} is absolute".format(name)
    for component in encoded.split(b"/"):
        if component in (b"", b".", b".."):
            return "file name {!r} has an empty, '.' or '..' component".format(name)
        if len(component) > MAX_COMPONENT:
            return "file name {!r} has a component longer than {} bytes".format(name, MAX_COMPONENT)
    return None
