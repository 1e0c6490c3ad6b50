"""Packages: which ones tests want, and the script that brings some to a machine. Pure."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from atex_fmf import Test

# rpm alone decides what is missing: first it is asked for all at once, by what packages provide, which is names and
# files; only where that is not all, for each, and then also by version or architecture (bash-5.2, glibc.i686). What
# rpm does not know so (globs, @groups, addresses, rpm files) is the package manager's to understand.
_MISSING = """\
export LC_ALL=C
fail() { echo "$*" >&2; exit 1; }

for name in "${wanted[@]}"; do
    case $name in "" | -*) fail "'$name' can be no package" ;; esac  # nor an option of rpm and dnf
done

missing=()
if ! rpm -q --whatprovides "${wanted[@]}"; then
    for name in "${wanted[@]}"; do
        if ! rpm -q --whatprovides "$name"; then
            case $name in
                *.rpm) missing+=("$name") ;;  # `rpm -q` would look into the file
                *) rpm -q "$name" || missing+=("$name") ;;
            esac
        fi
    done
fi >/dev/null 2>&1
if [ ${#missing[@]} = 0 ]; then
    echo "installed already: ${wanted[*]}"
    exit
fi
echo "missing: ${missing[*]}"
"""

# Yum itself (RHEL 7) passes over what it does not know where it knows something else.
_MANAGER = """\
[ ! -e /run/ostree-booted ] || fail "packages are not supported yet on machines that run from an image (ostree, bootc)"
manager=$(command -v dnf5 || command -v dnf || command -v yum) || fail "there is no dnf5, dnf or yum"
case $skip,${manager##*/} in
    yes,dnf5) options+=(--skip-broken --skip-unavailable) ;;
    yes,*) options+=(--skip-broken) ;;
    *,yum) options+=(--setopt=skip_missing_names_on_install=0) ;;
esac

root=()
if [ "$(id -u)" != 0 ]; then
    root=(sudo -n)
    "${root[@]}" true || fail "packages are for root to install, and $(id -un) has no sudo without a password"
fi
install() {
    echo "+ ${manager##*/} install ${missing[*]}"
    "${root[@]}" "$manager" -y install "${options[@]}" "${missing[@]}"
}
"""

_ONCE = "install\n"
_TWICE = """\
install || {
    echo "once more, with metadata of now"
    "${root[@]}" "$manager" clean expire-cache
    install
}
"""


def install_script(
    packages: Iterable[str],
    *,
    exclude: Iterable[str] = (),
    skip_missing: bool = False,
    refresh: bool = True,
) -> str:
    """Return a bash script that installs what is missing of `packages`; with nothing missing it only asks rpm, once.

    It fails where one of them can not be installed, or with `skip_missing` goes on with the others. `exclude` are
    packages that must not come along. With `refresh` a failure is tried once more with metadata that is new.
    """
    settings = (
        f"wanted=({shlex.join(packages)})\n"
        f"options=({shlex.join(f'--exclude={name}' for name in exclude)})\n"
        f"skip={'yes' if skip_missing else 'no'}\n"
    )
    return settings + _MISSING + _MANAGER + (_TWICE if refresh else _ONCE)


def required_by(test: Test) -> tuple[str, ...]:
    """Return the packages that `test` can not run without."""
    beakerlib = ["beakerlib"] if test.framework == "beakerlib" else []  # as tmt has it
    return _names([*test.require, *beakerlib])


def recommended_by(test: Test) -> tuple[str, ...]:
    """Return the packages that `test` would like to have."""
    return _names(test.recommend)


def _names(dependencies: Sequence[Any]) -> tuple[str, ...]:
    """Return the packages among `dependencies`, each once. Files of the tree (`type: file`) are there anyway."""
    return tuple(dict.fromkeys(name for name in dependencies if isinstance(name, str)))
