"""What is done in a base image so that the agent can run in it: programs for sh, POSIX."""

# The agent looks for python3 in the same places.
_HAS_PYTHON = """\
has_python() {
    for p in python3 /usr/libexec/platform-python /usr/bin/python3.[0-9]*; do
        "$p" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null && return
    done
    return 1
}
"""
LOOK = f"{_HAS_PYTHON} if has_python; then echo yes; else echo no; fi"

# "$@" are the caller's commands. The last line tells what has become of it; before it is what
# everything has printed.
SCRIPT = f"""\
{_HAS_PYTHON}
has() {{
    command -v "$1" >/dev/null
}}
install_python() {{
    if has dnf; then dnf -y install python3 && dnf clean all
    elif has microdnf; then microdnf -y install python3 && microdnf clean all
    elif has yum; then yum -y install python3 && yum clean all
    elif has apt-get; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get -y update && apt-get -y install --no-install-recommends python3 && apt-get clean
        rm -rf /var/lib/apt/lists/*
    elif has apk; then apk add --no-cache python3
    elif has zypper; then zypper --non-interactive install python3 && zypper clean --all
    else echo "no package manager that ATEX knows"
    fi
}}
exec 2>&1 </dev/null
for command; do
    sh -ec "$command" || {{ echo "failed: $command"; exit; }}
done
has_python || install_python
has_python || {{ echo "failed: there is no python3 >= 3.6, and it could not be installed"; exit; }}
echo prepared
"""
