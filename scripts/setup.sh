#!/bin/sh
# Makes the virtual environment: ROS 2 from PyPI wheels, what the project needs, its messages.
# With the argument "test" also what the tests need. Does only what has not been done.
# ROS=kilted takes the wheels of that distribution; without it the environment keeps the distribution
# that it has, and a new one gets Jazzy.
set -eu

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
cd "$(dirname "$0")/.."

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null 2>&1 || fail "$1 is missing; on Debian and Ubuntu: sudo apt install $2"
}

need "$PYTHON" python3
"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' ||
  fail "Python 3.10 to 3.14 is needed, $("$PYTHON" --version 2>&1) was found; set PYTHON=python3.12, say"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "venv is missing; on Debian and Ubuntu: sudo apt install python3-venv"
need c++ g++
need cc gcc
"$PYTHON" -c 'import os, sysconfig as s
path = os.path.join(s.get_paths()["include"], "Python.h")
raise SystemExit(not os.path.exists(path))' ||
  fail "Python.h is missing; on Debian and Ubuntu: sudo apt install python3-dev"
if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
  fail "ROS 2 wheels exist for x86-64 Linux only; here, install ROS 2 Jazzy or Kilted and use colcon build (README.md)"
fi

# ------------------------------------------------------------------ packages
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
# A busy network answers late: that is no reason to begin anew.
pip="$VENV/bin/python -m pip --disable-pip-version-check --quiet --retries 10 --timeout 60"
distribution=$("$VENV/bin/python" scripts/ros_wheels.py)
wanted="$distribution $(cat setup.py requirements/*.txt scripts/setup.sh | cksum)"
stamp="$VENV/.packages"
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  echo "setting up the virtual environment with ROS 2 $distribution (once, a few minutes; it downloads" \
    "350 MB, 190 MB of them torch, and takes 1.4 GB of the disk)"
  $pip install --upgrade pip
  # Wheels of two distributions do not mix: those of the other one leave, also those without a
  # successor of the same name.
  rm -f "$stamp" "$VENV/.test-packages"
  if [ "$("$VENV/bin/python" scripts/ros_wheels.py --present)" != "$distribution" ]; then
    # With --quiet pip lists nothing.
    "$VENV/bin/python" -m pip --disable-pip-version-check list --format=freeze | sed -n 's/^\(ros-[^=]*\)==.*/\1/p' >"$VENV/.leaving"
    [ ! -s "$VENV/.leaving" ] || $pip uninstall --yes -r "$VENV/.leaving"
    rm "$VENV/.leaving"
  fi
  $pip install -r requirements/build.txt -r "requirements/$distribution.txt" \
    -r requirements/run.txt -r requirements/arm.txt -r requirements/page.txt
  # The build without CUDA is ten times smaller. Another one that is installed already stays.
  cpu=https://download.pytorch.org/whl/cpu
  if "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
    :
  elif "$VENV/bin/python" -c "import urllib.request as u; u.urlopen('$cpu/torch/', timeout=15)" \
    2>/dev/null; then
    $pip install torch==2.13.0 --index-url "$cpu" ||
      $pip install torch==2.13.0
  else
    $pip install torch==2.13.0
  fi
  echo "$wanted" >"$stamp"
fi

# A folder on the path and one command: the checkout is the installed package.
site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
pwd >"$site/nrl_ros_checkout.pth"
# The system reads the first line of a program up to its first blank, and no longer than 127 bytes. So
# the shell finds Python beside the program; to Python, the shell's line is a text.
{
  cat <<'END'
#!/bin/sh
'''exec' "$(dirname -- "$(readlink -f -- "$0")")/python" "$0" "$@"
' '''
END
  sed 1d scripts/nodes/nrl
} >"$VENV/bin/nrl"
chmod +x "$VENV/bin/nrl"

# ------------------------------------------------------------------ messages
"$VENV/bin/python" scripts/build_interfaces.py

# --------------------------------------------------------------------- tests
if [ "${1:-}" = test ] && [ ! -e "$VENV/.test-packages" ]; then
  echo 'installing what the tests need (once)'
  $pip install -r requirements/test.txt -r requirements/export.txt -r requirements/nir.txt \
    -r requirements/record.txt
  : >"$VENV/.test-packages"
fi
