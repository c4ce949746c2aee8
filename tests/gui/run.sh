#!/usr/bin/env bash
# Drives a real QGIS on a virtual screen: run.sh [SCRIPT.py] [OUT_FOLDER]. The profile is made anew and thrown away; only Freshet and
# Processing are enabled. Pictures, story and the log of QGIS stay in OUT_FOLDER (default build/gui). FRESHET_GUI_SCREEN is the size of the
# screen (1600x1000). Exit status 0: the drive passed, QGIS ended well, and the training that it left behind ended well.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
script=${1:-$root/tests/gui/drive.py}
out=${2:-$root/build/gui}
engine=${FRESHET_PYTHON:-$root/.venv/bin/python}
rm -rf "$out"
mkdir -p "$out/profile/profiles/default/QGIS" "$out/profile/profiles/default/python/plugins" "$out/runtime" "$out/data"
out=$(cd "$out" && pwd)
profile=$out/profile/profiles/default
chmod 700 "$out/runtime"
ln -s "$root" "$profile/python/plugins/freshet"
cat > "$profile/QGIS/QGIS3.ini" <<'INI'
[PythonPlugins]
freshet=true
processing=true

[qgis]
askToSaveProjectChanges=false
checkVersion=false
enableMacros=Never
newProjectDefault=false
showTips=false

[locale]
overrideFlag=true
userLocale=en_US
INI
export FRESHET_GUI_OUT=$out XDG_RUNTIME_DIR=$out/runtime XDG_DATA_HOME=$out/data PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1
export OMP_WAIT_POLICY=PASSIVE QT_QPA_PLATFORM=xcb
"$engine" -I "$root/tests/gui/make_basin.py" "$out/files"
# Whatever happens, no training is left running.
trap '/usr/bin/python3 -I "$root/tests/gui/after.py" "$out" > "$out/after.txt" 2>&1 || true' EXIT
qgis=$(command -v qgis.bin || command -v qgis)
status=0
timeout -k 10 "${FRESHET_GUI_LIMIT_S:-600}" xvfb-run -a -s "-screen 0 ${FRESHET_GUI_SCREEN:-1600x1000}x24" "$qgis" --noversioncheck --nologo \
  --profiles-path "$out/profile" --code "$script" > "$out/qgis.log" 2>&1 || status=$?
cat "$out/story.txt" 2>/dev/null || true
if [ "$status" -ne 0 ] || ! grep -q '^passed$' "$out/story.txt" 2>/dev/null || grep -q '^failed' "$out/story.txt"; then
  tail -n 40 "$out/qgis.log"
  echo "The drive through QGIS failed (exit status $status); see $out"
  exit 1
fi
trap - EXIT
if ! /usr/bin/python3 -I "$root/tests/gui/after.py" "$out" | tee "$out/after.txt" || grep -q '^failed' "$out/after.txt"; then
  exit 1
fi
