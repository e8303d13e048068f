#!/usr/bin/env bash
# Makes a virtual environment and installs requirement files into it.
#   tools/make_venv.sh FOLDER REQUIREMENTS...      PYTHON names the interpreter (default python3)
# Debian and Ubuntu split venv off into a package of its own; where it is missing, virtualenv from PyPI does instead.
set -euo pipefail
folder=$1; shift
python=${PYTHON:-python3}

command -v "$python" >/dev/null || { echo "$python is not installed; expected Python 3.10 or newer: sudo apt install python3 python3-venv" >&2; exit 1; }
"$python" - <<'EOF'
import sys
if sys.version_info < (3, 10):
    sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}; expected 3.10 or newer: set PYTHON=python3.x")
EOF

if [ ! -x "$folder/bin/python" ] || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  rm -rf "$folder"
  if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$folder"
  elif "$python" -m pip --version >/dev/null 2>&1; then
    boot=$(mktemp -d)
    trap 'rm -rf "$boot"' EXIT
    "$python" -m pip install --quiet --target "$boot" virtualenv
    PYTHONPATH=$boot "$python" -m virtualenv --quiet "$folder"
  else
    echo "$python has neither venv nor pip: sudo apt install python3-venv" >&2
    exit 1
  fi
fi

for file in "$@"; do set -- "$@" -r "$file"; shift; done
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
