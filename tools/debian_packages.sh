#!/bin/sh
# Installs the Debian packages that building and the display need, where this user may;
# names them otherwise. Systems without apt are left alone.
set -eu

build="g++ python3-dev python3-venv"
display="xvfb xauth libgl1 libegl1 libxcb-cursor0 libxkbcommon-x11-0 libxkbcommon0 libdbus-1-3
 libfontconfig1 libxcb-icccm4 libxcb-keysyms1 libxcb-render-util0 libxcb-image0 libxcb-shape0"

command -v dpkg-query >/dev/null || exit 0

wanted=$display
# A compiler and Python of one's own serve as well as Debian's.
command -v c++ >/dev/null && "${PYTHON:-python3}" -c 'import ensurepip, pathlib, sysconfig; \
pathlib.Path(sysconfig.get_paths()["include"], "Python.h").stat()' 2>/dev/null || wanted="$build $wanted"

missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as=
elif sudo -n true 2>/dev/null; then as="sudo -n"
else as=refused
fi
if [ "$as" != refused ] && $as apt-get update -q && $as apt-get install -qy --no-install-recommends $missing
then exit 0
fi
echo "These Debian packages are missing; napari's window needs them:$missing" >&2
echo "Install them with: sudo apt-get install$missing" >&2
