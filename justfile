# `./run RECIPE` installs what is needed and runs a recipe; `./run` alone lists them.

bin := env("VENV", justfile_directory() / ".venv") / "bin"
python := bin / "python"
services := "auth todos mailer activity notifier"
sources := "libs/events/src libs/api/src services/auth/src services/todos/src services/mailer/src services/activity/src services/notifier/src deploy/local/src deploy/ops/src"
packages := "libs/events libs/api services/auth services/todos services/mailer services/activity services/notifier deploy/local deploy/ops"

# Three files of tests at a time: most of a test is waiting, and two cores are what the suite is measured on
side_by_side := "--numprocesses 3 --dist loadgroup --no-loadscope-reorder"
full_counts := "--numprocesses 2 --dist loadgroup --no-loadscope-reorder --full"

# List the recipes
default:
    @"{{ just_executable() }}" --list --unsorted

# Run everything until Ctrl-C: databases, broker, services, gateway (PORT_BASE chooses the ports, 8080 and up)
up:
    @exec "{{ python }}" -m local up

# Walk the whole path with times, in a stack of its own unless one is up
demo:
    @exec "{{ python }}" -m local demo

# Open a service's database as its owner, e.g. `./run psql todos`; `./run psql activity --as analyst`: the figures alone
[positional-arguments]
psql *ARGUMENTS:
    @exec "{{ python }}" -m local psql "$@"

# Grant somebody who signed in once a role (analyst, operator), e.g. `./run grant ann@example.org analyst`
[positional-arguments]
grant EMAIL ROLE:
    @exec "{{ python }}" -m local grant "$1" "$2"

# Take a role back
[positional-arguments]
revoke EMAIL ROLE:
    @exec "{{ python }}" -m local revoke "$1" "$2"

# Have a new key sign access tokens once everybody can know it; with --now revoke all others at once
[positional-arguments]
rotate-keys *OPTIONS:
    @exec "{{ python }}" -m local rotate-keys "$@"

# Write the stack's figures as one HTML page with charts, e.g. `./run report --out report.html --as-of 1234`
[positional-arguments]
report *OPTIONS:
    @exec "{{ python }}" -m local report "$@"

# What an operator asks and does, on this stack, e.g. `./run ops status`, `./run ops parked list`, `./run ops parked redrive --help`
[no-exit-message]
[positional-arguments]
ops *ARGUMENTS:
    @exec "{{ python }}" -m local ops "$@"

# Run a program in this folder with a service's environment, or its owner's: `./run as todos_owner python -m events.admin streams todos`
[no-cd]
[positional-arguments]
as *ARGUMENTS:
    @exec "{{ python }}" -m local as "$@"

# Write a letter out as text, HTML and as it is posted, with example data, e.g. `./run preview weekly_report --locale ko`
[positional-arguments]
preview KIND="all" *OPTIONS:
    @"{{ python }}" -m mailer preview "$@"

# Take pictures of all letters, narrow and wide, light and dark, into docs/mails (needs Chromium)
pictures:
    @"{{ python }}" -m local.pictures docs/mails

# Everything that must hold: lint, then all tests
[positional-arguments]
test *OPTIONS: lint
    @"{{ python }}" -m pytest {{ side_by_side }} "$@"

# The full counts of everything that is tried by chance, and every test again
test-long:
    @"{{ python }}" -m pytest {{ full_counts }}

# Live histories of the library in virtual time, e.g. `./run simulate --seconds 60`, `--seed 33`, `--bugs`: libs/events/README.md
[no-exit-message]
[positional-arguments]
simulate *OPTIONS:
    @PYTHONPATH="{{ justfile_directory() }}/libs/events/tests" "{{ python }}" -m simulation "$@"

# Build the images of services, all by default, e.g. `./run images todos`; BASE names another base image, options go to docker build
[positional-arguments]
images *ARGUMENTS:
    #!/bin/sh
    set -eu
    services='' options=''
    for each in "$@"; do case $each in -*) options="$options $each" ;; *) services="$services $each" ;; esac; done
    for service in ${services:-{{ services }}}; do
        DOCKER_BUILDKIT=1 docker build --quiet --file deploy/Dockerfile --build-arg "SERVICE=$service" ${BASE:+--build-arg "BASE=$BASE"} \
            --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" ${BUILD_CA:+--secret "id=ca,src=$BUILD_CA"} \
            --network "${BUILD_NETWORK:-default}" $options --tag "todo-$service" .
    done

# Run everything in containers of those images until Ctrl-C (PORT_BASE as for up; the data stays in Docker's volumes)
compose:
    @exec "{{ python }}" -m local compose

# Build the images and run them for real; with no Docker engine at hand one of Debian's is installed and started (as root)
[positional-arguments]
test-images *OPTIONS: (_tools "images" "tests/images/requirements.txt")
    @PATH="{{ bin }}/../images/bin:$PATH" IMAGES=1 "{{ python }}" tests/images/engine.py \
        sh -c '"$0" images && exec "$@"' "{{ just_executable() }}" "{{ python }}" -m pytest tests/images "$@"

# An environment of their own for tools that nothing else needs, pinned with hashes
[no-exit-message]
_tools NAME FILE:
    @"{{ bin }}/uv" venv --quiet --allow-existing --python "{{ python }}" "{{ bin }}/../{{ NAME }}"
    @"{{ bin }}/uv" pip install --quiet --python "{{ bin }}/../{{ NAME }}" --require-hashes -r "{{ FILE }}"

# The tests of the libraries and services over PostgreSQL and NATS in containers; an engine as for test-images
[positional-arguments]
test-containers *OPTIONS:
    @"{{ python }}" tests/images/engine.py "{{ python }}" -m pytest --backing=containers "$@"

# Break the code on purpose, one rule at a time; fails if the tests do not notice
[positional-arguments]
mutants *NAMES:
    @"{{ python }}" tests/mutants/run.py "$@"

# Load a stack for half an hour while NATS and PostgreSQL are killed; nothing that a process holds may grow
[no-exit-message]
[positional-arguments]
leaks *OPTIONS:
    @PYTHONPATH=tests "{{ python }}" -m leaks "$@"

# Break a real stack at random under load, then reconcile everything: [--seed N] [--minutes M] [--fault NAME ...] [--report]
[no-exit-message]
[positional-arguments]
faults *OPTIONS:
    @PYTHONPATH=tests "{{ python }}" -m faults "$@"

# Upgrade a stack of an earlier version service by service under load, tables included, then downgrade it: [--runs N]
[positional-arguments]
rollout *OPTIONS:
    @PYTHONPATH=tests "{{ python }}" -m faults.rollout "$@"

# Plant a bug of each class into a copy, and see the faults find it (slow)
[positional-arguments]
faults-planted *NAMES:
    @PYTHONPATH=tests "{{ python }}" -m faults.plants "$@"

# Measure everything side by side and write docs/benchmarks.md (an hour or two): [--quick] [--only PART ...] [--check] [--release]
[positional-arguments]
bench *OPTIONS: _eventsourcing (_tools "peers" "bench/peers/requirements.txt")
    @PEERS="{{ bin }}/../peers" "{{ python }}" -m bench "$@"

# Compare POST /todos/ with an echo route of the same app and with pgbench, in turn
[positional-arguments]
bench-posts *OPTIONS:
    @"{{ python }}" -m bench.posts "$@"

# Measure what an idle stack holds and uses, what a start takes, and memory under load
[positional-arguments]
bench-idle *OPTIONS:
    @"{{ python }}" -m bench.idle "$@"

# kill -9 parts of a stack, and of peers, under load; count what is lost and doubled, and the seconds until all is well again
[positional-arguments]
bench-kills *OPTIONS: (_tools "peers" "bench/peers/requirements.txt")
    @PEERS="{{ bin }}/../peers" "{{ python }}" -m bench.kills "$@"

# Measure how far entries and live frames are behind their answers, at shares of the greatest rate
[positional-arguments]
bench-lags *OPTIONS:
    @"{{ python }}" -m bench.lags "$@"

# Measure lists at 10,000 and at 1,000,000 to-dos, in turn
[positional-arguments]
bench-lists *OPTIONS:
    @"{{ python }}" -m bench.lists "$@"

# Measure create, toggle, get, list, request-otp and verify-otp at 1, 32 and 128 connections: [--rounds 5] [--seconds 5]
[positional-arguments]
bench-routes *OPTIONS:
    @"{{ python }}" -m bench.routes "$@"

# Measure what requests cost PostgreSQL where little and where much is stored: [--sizes 10000 1000000] [--rounds 3]
[positional-arguments]
bench-growth *OPTIONS:
    @"{{ python }}" -m bench.growth "$@"

# Measure one to four API processes that append to one feed: [--rounds 5] [--seconds 5]
[positional-arguments]
bench-replicas *OPTIONS:
    @"{{ python }}" -m bench.replicas "$@"

# Measure live connections: 2,000 people, 500 notifications a second, lines that break
[positional-arguments]
bench-sockets *OPTIONS:
    @"{{ python }}" -m bench.sockets "$@"

# Compare a simulated month of 1,000,000 events with DuckDB's count of it, and measure rebuilds, idle and under load
[positional-arguments]
bench-month *OPTIONS:
    @"{{ python }}" -m bench.rebuilds "$@"

# Measure append core, relay and consumer alone, beside pgbench, the library eventsourcing and JetStream: [--rounds 5] [--only append]
[positional-arguments]
bench-stages *OPTIONS: _eventsourcing
    @"{{ python }}" -m bench.stages "$@"

_eventsourcing:
    @"{{ just_executable() }}" _tools eventsourcing bench/peers/eventsourcing.requirements.txt \
        || echo "skipped: eventsourcing cannot be installed here, it is not measured"

# Compare POST /todos/ with and without an endpoint for traces, in turn
[positional-arguments]
bench-traces *OPTIONS:
    @"{{ python }}" -m bench.traces "$@"

# Compare POST /todos/ and request-otp with what people would use instead (installs that), in turn: [--rounds N] [--seconds S]
[positional-arguments]
bench-peers *OPTIONS: (_tools "peers" "bench/peers/requirements.txt")
    @PEERS="{{ bin }}/../peers" "{{ python }}" -m bench.against "$@"

# Lint and render the Helm chart in every profile, offline, and hold it to its rules (needs Helm's library, which it installs)
[positional-arguments]
chart *OPTIONS:
    #!/bin/sh
    set -eu
    "{{ just_executable() }}" _tools chart deploy/chart/tests/requirements.txt \
        || { echo "skipped: Helm's library cannot be installed here, the chart was not rendered"; [ -z "${CI-}" ]; exit; }
    "{{ bin }}/../chart/bin/python" -m pytest -c /dev/null --rootdir deploy/chart --noconftest -p no:cacheprovider deploy/chart/tests "$@"

# Have a policy scanner (Checkov, which it installs) look at what every profile renders to
chart-policy:
    #!/bin/sh
    set -eu
    "{{ just_executable() }}" _tools checkov deploy/chart/tests/policy/requirements.txt \
        || { echo "skipped: Checkov cannot be installed here, no policy was checked"; [ -z "${CI-}" ]; exit; }
    "{{ bin }}/../checkov/bin/python" deploy/chart/tests/policy/scan.py

# Generate the schemas of the chart's custom resources anew, from pinned packages of npm (needs Node)
chart-schemas:
    @node deploy/chart/tests/schemas.mjs

# Ask for known vulnerabilities of what is pinned, and write the licences of what the services run with into docs/licences.md
audit:
    #!/bin/sh
    set -eu
    PYTHONPATH=tests "{{ python }}" -m audit.licences write
    "{{ just_executable() }}" _tools audit tests/audit/requirements.txt \
        || { echo "skipped: pip-audit cannot be installed here, nobody was asked for vulnerabilities"; exit 0; }
    PYTHONPATH=tests "{{ python }}" -m audit.vulnerabilities "{{ bin }}/../audit/bin/pip-audit"

# Style, types, and who may import whom
lint:
    @"{{ bin }}/ruff" check
    @"{{ bin }}/ruff" format --check
    @"{{ bin }}/mypy" {{ sources }} bench tests/faults tests/audit
    @"{{ bin }}/lint-imports" --no-logo --no-cache

# Put the code in order
format:
    @"{{ bin }}/ruff" check --fix-only
    @"{{ bin }}/ruff" format

# Resolve requirements.lock anew, and from it what each image installs: universal resolutions with hashes, naming no index
lock:
    #!/bin/sh
    set -eu
    compile() { "{{ python }}" -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --annotation-style line \
        $(for p in events api auth todos mailer activity notifier local ops; do printf -- '--no-emit-package todo-%s ' $p; done) "$@"; }
    compile --extra report --group dev $(printf '%s/pyproject.toml ' {{ packages }}) -o requirements.lock
    for service in {{ services }}; do
        compile --constraint requirements.lock services/$service/pyproject.toml -o deploy/requirements/$service.txt
    done
    compile --constraint requirements.lock deploy/requirements/build.in -o deploy/requirements/build.txt
    compile bench/peers/requirements.in -o bench/peers/requirements.txt
    compile bench/peers/eventsourcing.in -o bench/peers/eventsourcing.requirements.txt

# Write each schema.sql anew: what all migrations together make
schema:
    @"{{ python }}" -m local.schema write

# Generate the published contracts (JSON Schemas, AsyncAPI) from the event structs
contracts:
    "{{ python }}" -m events.contracts write docs/contracts

# Generate docs/openapi.json and docs/problems.md: what the services of a stack of its own say of themselves
openapi:
    @"{{ python }}" -m local.reference write

# Walk the tour of docs/api.md and the examples of docs/analysts.md, and write what is answered into them
tour:
    @TOUR=write "{{ python }}" -m pytest -q tests/test_tour.py services/activity/tests/test_examples.py

# Keep the present schemas as the release that later ones must stay compatible with
contracts-release:
    "{{ python }}" -m events.contracts release docs/contracts

# Parse the AsyncAPI document with the official parser, where Node is at hand; it installs outside the tree
contracts-validate:
    #!/bin/sh
    set -eu
    command -v npm >/dev/null || { echo "skipped: no Node on the PATH, docs/contracts/asyncapi.json was not parsed"; exit 0; }
    document="$PWD/docs/contracts/asyncapi.json"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cd "$folder"
    npm install --silent --no-audit --no-fund @asyncapi/parser@3.6.3
    node --input-type=module - "$document" <<'JS'
    import { Parser } from '@asyncapi/parser';
    import { readFileSync } from 'node:fs';
    const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
    for (const { message, path } of diagnostics) console.log(`${path.join('.')}: ${message}`);
    console.log(document ? `valid: ${document.operations().length} operations` : 'invalid');
    process.exit(document ? 0 : 1);
    JS
