#!/usr/bin/env bash
# Installs what Freshet's demo and tests need and this machine lacks: QGIS and a virtual screen with apt, and the engine's
# Python environment in .venv. Does nothing, quickly, where all of it is there. PYTHON=... names another interpreter
# (3.11 or newer: the tested versions need it) for the environment; FRESHET_NO_APT=1 leaves the system alone.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd -P)
venv="$root/.venv"
stamp="$venv/freshet-setup"
qgis_python=/usr/bin/python3
packages=(qgis python3-qgis python3-venv python3-pytest python3-numpy python3-matplotlib
    xvfb xauth xdotool imagemagick fonts-dejavu-core libgl1-mesa-dri)

say() { printf 'setup: %s\n' "$*" >&2; }

fail() { say "$*"; exit 1; }

# Names of the packages that Debian's records do not show as installed.
missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || printf '%s ' "$package"
    done
}

# What the tests and the demo cannot do here, as a list of words; empty where nothing is missing.
missing_abilities() {
    local program
    for program in Xvfb xauth xdotool import; do
        command -v "$program" > /dev/null || printf '%s ' "$program"
    done
    "$qgis_python" -I -c 'import qgis.core, osgeo.gdal' > /dev/null 2>&1 || printf 'PyQGIS '
    "$qgis_python" -I -c 'import ensurepip, matplotlib, numpy, pytest' > /dev/null 2>&1 || printf 'python3-modules '
}

install_system_packages() {
    local wanted abilities
    abilities=$(missing_abilities)
    if ! command -v apt-get > /dev/null; then
        [ -z "$abilities" ] || fail "missing: ${abilities% }. Install QGIS >= 3.22 with its Python, Xvfb, xdotool and ImageMagick, then run this again."
        return 0
    fi
    wanted=$(missing_packages)
    [ -n "$wanted" ] || [ -n "$abilities" ] || return 0
    if [ "$(id -u)" != 0 ] || [ -n "${FRESHET_NO_APT:-}" ]; then
        [ -n "$abilities" ] || return 0
        fail "missing: ${abilities% }. Run 'apt-get update && apt-get install --no-install-recommends ${packages[*]}' as root, then this again."
    fi
    say "installing with apt: ${wanted:-${packages[*]}}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o Acquire::Retries=3 update
    # shellcheck disable=SC2086
    apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y --no-install-recommends \
        ${wanted:-${packages[*]}} > /dev/null 9>&- # a service that a package starts must not keep our lock
    abilities=$(missing_abilities)
    [ -z "$abilities" ] || fail "apt reported success, but these still do not work: ${abilities% }."
}

# The environment is up to date when this text is what the stamp holds.
fingerprint() {
    printf '%s\n' "$root"
    cat requirements/*.txt pyproject.toml scripts/setup.sh | sha256sum | cut -d ' ' -f 1
}

# Makes .venv, adopts one that works, or makes it anew where the checkout was moved (its scripts name the old folder).
make_environment() {
    local python=${PYTHON:-$qgis_python}
    "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null ||
        fail "'$python' is not a Python of version 3.11 or newer, which the versions in requirements/ need. Name one: make setup PYTHON=/path/to/python3"
    if [ -e "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$root" ]; then
        say "the checkout was moved; making .venv anew"
        "$python" -m venv --clear "$venv"
    elif ! "$venv/bin/python" -I -m pip --version > /dev/null 2>&1; then
        "$python" -m venv --clear "$venv" || fail "'$python' cannot make an environment in $venv."
    fi
}

pip_install() {
    "$venv/bin/python" -I -m pip install --quiet --quiet --no-input --disable-pip-version-check "$@" ||
        fail "pip could not install: $*. Look at its message above; the network or the package index may be out of reach."
}

install_engine() {
    [ "$(cat "$stamp" 2> /dev/null || true)" != "$(fingerprint)" ] || return 0
    make_environment
    rm -f "$stamp"
    say "installing the engine into .venv: torch"
    pip_install -r requirements/torch.txt
    say "installing the engine into .venv: the other libraries"
    pip_install -r requirements/torch.txt -r requirements/engine.txt -r requirements/test.txt -r requirements/build.txt
    pip_install --no-deps --no-build-isolation --editable .
    "$venv/bin/python" -I -c 'import freshet, torch' || fail "the environment in .venv does not work; remove it and run this again."
    fingerprint > "$stamp.part"
    mv "$stamp.part" "$stamp"
    say "the engine is ready"
}

# Two runs at once would install over each other.
if command -v flock > /dev/null; then
    mkdir -p build
    exec 9> build/.setup.lock
    flock 9
fi
install_system_packages
install_engine
