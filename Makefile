# "make help" lists what there is to make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO       ?= go
FUZZTIME ?= 10s
SOAK     ?= 10
ROUNDS   ?= 20

# Leaves out of the command-line library what we don't use and every start would pay for: a Markdown parser.
TAGS := urfave_cli_no_docs

# Go where its own instructions put it, and the programs that only root's PATH has.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
# The clone may belong to somebody else than the user who builds, in a container say. Git refuses to look at it then,
# and go build wants to write the commit into the programs.
export GIT_CONFIG_COUNT   := 1
export GIT_CONFIG_KEY_0   := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)

# Mounting scratch roots and looking into processes takes root. Everything is compiled as the user who calls make.
ifneq ($(shell id -u),0)
AS_ROOT = sudo env PATH=$(PATH) CI=true LPBUILD_SOAK=$(LPBUILD_SOAK) LPBUILD_LONG=$(LPBUILD_LONG) GOFLAGS=-buildvcs=false
EXEC    = -exec "$(AS_ROOT)"
endif

.PHONY: help
help: ## list these
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-9s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## the whole way, from shipped builds to patched processes, with what is missing installed first
	@GO=$(GO) tools/install demo
	@$(MAKE) build
	CGO_ENABLED=0 $(GO) build -o build/tools/demo ./e2e/cmd/demo
	$(AS_ROOT) build/tools/demo

.PHONY: test
test: ## every test: units, fuzz seeds, command line, end to end, with what is missing installed first
	@GO=$(GO) tools/install test
	@$(MAKE) build
	CI=true $(GO) test $(EXEC) -count=1 -timeout 15m ./...

.PHONY: build
build: ## the static programs bin/lpbuild, bin/lpctl and bin/rpm-helper
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -o bin/ ./cmd/...

.PHONY: e2e
e2e: export LPBUILD_LONG := 1
e2e: build ## the end-to-end tests alone, with those that take minutes
	$(GO) test $(EXEC) -count=1 -timeout 15m ./e2e/...

.PHONY: race
race: ## the tests of what runs in parallel, with the race detector
	$(GO) test $(EXEC) -race -short -timeout 30m ./builder ./cmd/... ./injector ./pipeline/... ./rpmhook ./versions/...

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (10s)
	GO=$(GO) tools/fuzz $(FUZZTIME)

.PHONY: soak
soak: export LPBUILD_SOAK := 1
soak: ## the tests with running processes SOAK (10) times over
	$(GO) test $(EXEC) -count=$(SOAK) -timeout 0 ./injector ./rpmhook ./pipeline ./e2e/...

.PHONY: bench
bench: ## how long an apply stops its target, and what a thousand builds take; ROUNDS (20) of each, a quarter of the latter
	$(GO) run ./bench -rounds $(ROUNDS)
	$(GO) run ./bench/farm -rounds $$((($(ROUNDS) + 3) / 4))

.PHONY: lint
lint: build/tools/golangci-lint ## the linters, in the version that tools/go.mod pins
	build/tools/golangci-lint run ./...

build/tools/golangci-lint: tools/go.mod tools/go.sum
	$(GO) build -C tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: generate
generate: ## write the manual pages anew
	grep -l --include=*_test.go -r 'Bool("update"' cmd | xargs -n1 dirname | sort -u | \
		while read -r dir; do $(GO) test -count=1 -run ManPage ./$$dir -update; done

.PHONY: verify
verify: generate ## fail if go.mod, the manual pages or the format are not as committed
	$(GO) mod tidy -diff
	unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted" >&2; exit 1; fi
	git diff --exit-code

.PHONY: tools
tools: build/tools/golangci-lint ## install what the demo, the tests and the linters need
	GO=$(GO) tools/install test

.PHONY: clean
clean: ## remove what was built; what was downloaded stays in the user's cache folder
	rm -rf bin build dist
