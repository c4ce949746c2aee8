#!/usr/bin/env bash
# Writes build/freshet-VERSION.zip, the plugin as QGIS installs it, from the last commit. What does not belong into it is
# marked export-ignore in .gitattributes.
set -eu
cd "$(dirname "$0")/.."
git rev-parse --verify --quiet HEAD > /dev/null 2>&1 || { echo "package: nothing is committed yet; commit first." >&2; exit 1; }
version=$(git show HEAD:metadata.txt | sed -n 's/^version=//p')
[ -n "$version" ] || { echo "package: metadata.txt names no version." >&2; exit 1; }
mkdir -p build
target="build/freshet-$version.zip"
git archive --format=zip --prefix=freshet/ --output="$target.part" HEAD
mv "$target.part" "$target"
git diff --quiet HEAD || echo "package: changes that are not committed are not in it." >&2
echo "$target"
