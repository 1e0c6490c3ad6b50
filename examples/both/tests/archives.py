"""What is packed in one of $FORMATS can be unpacked.

Where there is a control file, each format is a result of its own, with its archive; everywhere else the exit code
says all there is to say.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile


def open_control():
    """The control file, None where there is none."""
    number = os.environ.get("ATEX_TEST_CONTROL")
    return open(int(number), "wb", closefd=False) if number else None


def report(control, name, status, note=None, files=()):
    if control:
        described = [{"name": path.name, "length": path.stat().st_size} for path in files]
        result = {"name": name, "status": status, "note": note, "files": described}
        control.write(b"result " + json.dumps(result).encode() + b"\n")
        for path in files:
            control.write(path.read_bytes())
        control.flush()


def pack_and_unpack(form, folder):
    """Return the archive."""
    source, target = folder / "source", folder / "target"
    source.mkdir()
    (source / "words.txt").write_text("packed and unpacked\n")
    archive = shutil.make_archive(str(folder / "archive"), form, str(source))
    shutil.unpack_archive(archive, str(target), form)
    if (target / "words.txt").read_bytes() != (source / "words.txt").read_bytes():
        raise ValueError("it is not what was packed")
    return pathlib.Path(archive)


def main():
    control = open_control()
    failed = False
    for form in os.environ["FORMATS"].split():
        with tempfile.TemporaryDirectory() as folder:
            try:
                archive = pack_and_unpack(form, pathlib.Path(folder))
            except (OSError, ValueError) as error:
                failed = True
                print(f"{form}: fail: {error}", flush=True)
                report(control, form, "fail", note=str(error))
            else:
                print(f"{form}: pass", flush=True)
                report(control, form, "pass", files=[archive])
    return 1 if failed else 0


sys.exit(main())
