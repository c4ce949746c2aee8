#!/usr/bin/env bash
# Runs all tests: the engine's in .venv, in two parts, the plugin's in QGIS's own Python, then the clicks in a real QGIS.
# All parts run even where one fails; the closing lines of each come again at the end, and the exit status is that of
# the worst part.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/test
rm -f build/test/*.status
export OMP_WAIT_POLICY=PASSIVE
worst=0
parts=()

# part NAME COMMAND...: runs COMMAND, keeps what it prints in build/test/NAME.log, remembers how it ended.
part() {
    local name=$1 status=0
    shift
    printf '\n== %s\n' "$name"
    set +e
    "$@" 2>&1 | tee "build/test/$name.log"
    status=${PIPESTATUS[0]}
    set -e
    remember "$name" "$status"
}

remember() {
    parts+=("$1:$2")
    [ "$2" -le "$worst" ] || worst=$2
}

in_qgis() {
    # A profile of its own: neither the person's settings decide a test, nor a test the person's settings.
    rm -rf build/test/profile
    QT_QPA_PLATFORM=offscreen QGIS_CUSTOM_CONFIG_PATH="$PWD/build/test/profile" "$@"
}

# Each is one process on one core, so two run side by side: what trains and predicts, and all else. What the second one
# printed comes after the first.
running=(tests/core/inference tests/core/training tests/core/worker)
beside() {
    local status=0
    in_qgis /usr/bin/python3 -m pytest tests/plugin tests/ui > build/test/plugin.log 2>&1 || status=$?
    echo "$status" > build/test/plugin.status
    status=0
    .venv/bin/python -m pytest tests/core "${running[@]/#/--ignore=}" > build/test/engine.log 2>&1 || status=$?
    echo "$status" > build/test/engine.status
}
beside &
second=$!
part runs .venv/bin/python -m pytest "${running[@]}" tests/faults tests/test_*.py
wait "$second"
for name in engine plugin; do
    printf '\n== %s\n' "$name"
    cat "build/test/$name.log"
    remember "$name" "$(cat "build/test/$name.status")"
done
if [ -e tests/gui/run.sh ]; then
    part gui timeout --kill-after=10 900 bash tests/gui/run.sh
fi

printf '\n'
for entry in "${parts[@]}"; do
    name=${entry%%:*}
    printf '%-7s exit status %s   %s\n' "$name" "${entry##*:}" "$(grep -E '[^[:space:]]' "build/test/$name.log" | tail -n 1)"
done
# The closing lines of pytest itself, last.
for name in runs engine plugin; do
    grep -E '^=+ .* in [0-9.]+s.*=+$' "build/test/$name.log" | tail -n 1 || true
done
exit "$worst"
