#!/bin/sh
# What the container image holds. The Dockerfile runs these very steps, and tests do so in a temporary folder:
#   image.sh environment SOURCE TARGET   TARGET/environment: Python packages, each with the hash of its lock
#   image.sh pages       SOURCE TARGET   what the pages in TARGET/program are made with, by npm
#   image.sh program     SOURCE TARGET   TARGET/program: run.py and the rooms that serving needs; TARGET/alive.sh
# PYTHON names the interpreter; the target must stay where it was made.
set -eu
what=$1 source=$2 target=$3
mkdir -p "$target"

case $what in
environment)
    "${PYTHON:-python3}" -m venv "$target/environment"
    "$target/environment/bin/python" -m pip install --no-cache-dir --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes --requirement "$source/config/locks/serving.txt"
    # Serving installs nothing.
    "$target/environment/bin/python" -m pip uninstall --yes --quiet pip
    ;;
pages)
    tools=$(mktemp -d)
    "${PYTHON:-python3}" -m venv "$tools"
    command -v npm >/dev/null || "$tools/bin/python" -m pip install --no-cache-dir --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes --requirement "$source/config/locks/pages.txt"
    "$tools/bin/python" "$source/api/pages/install.py" --into "$target/program/api/pages"
    rm -rf "$tools"
    ;;
program)
    mkdir -p "$target/program"
    cp "$source/run.py" "$target/program/"
    # Packages of npm come from their own step: a checkout has more of them than serving needs.
    for room in config actors storage dispatch api; do
        tar -C "$source" -cf - --exclude node_modules "$room" | tar -C "$target/program" -xf -
    done
    cp "$source/config/deploy/alive.sh" "$target/"
    # Manifests and the like serve nobody.
    rm -rf "$target/program/config/deploy"
    find "$target/program" -name __pycache__ -prune -exec rm -rf {} +
    # Whoever runs it may read it, whatever the umask of who builds it.
    chmod -R a+rX "$target/program" "$target/alive.sh"
    ;;
*)
    echo "image.sh: environment, pages or program, not $what" >&2
    exit 2
    ;;
esac
