# `./run RECIPE` installs what is needed and runs a recipe; `./run` alone lists them.

python := justfile_directory() / env("VENV", ".venv") / "bin/python"
export PYTHONDONTWRITEBYTECODE := "1"
packages := "libs/events libs/api services/auth services/todos services/mailer services/activity deploy/local"

# List the recipes
default:
    @"{{ just_executable() }}" --list --unsorted

# Resolve requirements.lock anew: one universal resolution with hashes, naming no index
lock:
    "{{ python }}" -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --annotation-style line \
        $(for p in events api auth todos mailer activity local; do printf -- '--no-emit-package todo-%s ' $p; done) \
        --group dev $(printf '%s/pyproject.toml ' {{ packages }}) -o requirements.lock
