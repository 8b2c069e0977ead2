# Two commands matter: `make demo` (everything running, one payment taken) and `make test`.
# Each recipe becomes the program it starts (exec), so that a signal to make ends that program too.
.PHONY: help demo test lint pages soak hosts simulate fuzz fuzz-api bench bench-limping bench-gopay bench-capacity figures \
	messages requirements screenshots diagrams clean
.DEFAULT_GOAL := help
RUN := exec sh deploy/run.sh

help:
	@echo "make demo          start web, worker, beat and sandbox, take one payment; Ctrl-C ends it"
	@echo "make test          lint, types, import rules, tests on SQLite, then on PostgreSQL and Redis"
	@echo "make lint          the checks of make test without the tests"
	@echo "make pages         every admin page of every role, light and dark, desk and phone: axe, and pictures to look at"
	@echo "make soak          the whole system under load while its parts are killed; MINUTES=, SEED="
	@echo "make hosts         several hosts behind nginx, restarted under load; strangers, a dead worker, back to a moment; MINUTES=, WEBS="
	@echo "make simulate      random histories in one process, with crashes; MINUTES=, SEED="
	@echo "make fuzz          every parser of foreign bytes under fire; SECONDS= each, SEED=, TARGET=, INPUT="
	@echo "make fuzz-api      calls made up from the OpenAPI description; EXAMPLES= for each call and kind"
	@echo "make bench         every figure beside the machine's own limit; FULL=1 and LARGE=1 for large sizes"
	@echo "make bench-limping does a channel that hangs slow the others? seven minutes, see bench/README.md"
	@echo "make bench-gopay   processor time of one payment, two minutes"
	@echo "make bench-capacity  processor time, WAL, disk and Redis of one payment"
	@echo "make messages      compile the translations (needs gettext)"
	@echo "make figures       statements of the hot paths, lines of scenes and providers"
	@echo "make diagrams      draw state diagrams and the table of roles in docs/ from the code"
	@echo "make screenshots   pictures for the README, from a running make demo"
	@echo "make requirements  pin the packages of requirements*.in with hashes (needs uv)"
	@echo "make clean         remove caches; asks before it touches the data in var"

demo:
	@$(RUN) runtime deploy.demo

test:
	@$(RUN) dev deploy.checks test $(PYTEST)

lint:
	@$(RUN) dev deploy.checks lint

# The pictures are left in var/screenshots.
pages: export PAYCENTER_PAGES := all
pages:
	@$(RUN) dev pytest tests/browser/admin/test_every_page.py -q -n 2 --dist load

# A failing run leaves what explains it in var/soak/SEED.
soak:
	@$(RUN) runtime deploy.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

# Data and logs are left in var/hosts.
hosts:
	@$(RUN) runtime deploy.hosts $(if $(MINUTES),--minutes $(MINUTES)) $(if $(WEBS),--webs $(WEBS))

simulate:
	@$(RUN) dev tests.simulation $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

# What is found stays in var/fuzz/SEED; INPUT=FILE tries one of those again.
fuzz:
	@$(RUN) dev tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
	    $(if $(TARGET),--target $(TARGET)) $(if $(INPUT),--input $(INPUT))

# Bodies made up from the OpenAPI description, right ones and wrong ones, signed and sent to every call.
fuzz-api: export PAYCENTER_API_EXAMPLES := $(or $(EXAMPLES),1000)
fuzz-api:
	@$(RUN) dev pytest tests/merchants/api/test_openapi.py -q -k generated -p no:xdist --timeout=0

# FULL=1: 1 and 10 million stored trades (LARGE=1: 50). Options go into BENCH, for example BENCH='--only gopay_cpu'.
bench:
	@$(RUN) runtime bench $(if $(FULL),--full) $(if $(LARGE),--large) $(BENCH)

# Options go into LIMPING, for example LIMPING='--arrivals 12 --sound 8'.
bench-limping:
	@$(RUN) runtime bench.limping $(LIMPING)

# Options go into GOPAY, for example GOPAY='--runs 1 --calls 1000'.
bench-gopay:
	@$(RUN) runtime bench.gopay $(GOPAY)

bench-capacity:
	@$(RUN) runtime bench.capacity

messages:
	@.venv/bin/python manage.py compilemessages -v 1 --ignore=.venv --ignore=var

figures:
	@$(RUN) dev pytest tests/figures -q -s -p no:xdist

diagrams:
	@.venv/bin/python manage.py state_diagrams --write
	@.venv/bin/python manage.py staff_roles --write

screenshots:
	@$(RUN) dev deploy.screenshots

# --universal: one file for every Python and machine; no index address is written into it.
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11
requirements:
	@$(COMPILE) requirements-installer.in -o requirements-installer.txt
	@$(COMPILE) requirements.in -o requirements.txt
	@$(COMPILE) requirements-dev.in -c requirements.txt -o requirements-dev.txt

clean:
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@if [ -d var ]; then \
	    printf 'Also delete var (the demo database, keys and logs)? Type yes: '; \
	    read -r answer && [ "$$answer" = yes ] && rm -rf var || echo 'var is kept.'; \
	fi
