# Berth. `make run` and `make test` are all that a user and a developer need; `make help` lists the rest.
SHELL := /bin/bash -euo pipefail
GO    ?= go
BIN   := bin
# Where the images that tests and benchmarks use are kept.
CACHE := $(CURDIR)/.cache
export BERTH_DATA_DIR ?= /var/lib/berth
# Tools that are not Go modules of ours, at the versions we use.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT  := mvdan.cc/gofumpt@v0.12.0

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build images ## build all, prepare the environments, serve on http://127.0.0.1:8080
	exec $(BIN)/berth serve $(ARGS)

.PHONY: build
build: deps $(BIN)/berth $(BIN)/runc $(BIN)/docker-init $(BIN)/docker-exec $(BIN)/docker-plugin $(BIN)/dockerd docker ## bin/berth, bin/runc, bin/docker and what belongs to them

.PHONY: $(BIN)/berth $(BIN)/docker-init $(BIN)/docker-exec $(BIN)/docker-plugin $(BIN)/dockerd
$(BIN)/berth:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/berth

$(BIN)/docker-init $(BIN)/docker-exec $(BIN)/docker-plugin $(BIN)/dockerd:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/$(@F)

# runc is a Go tool of its own module, so that its requirements stay out of ours. Static: it runs inside the sandbox,
# where there is no libc.
RUNC_VERSION = $(shell cd tools && $(GO) list -m -f "{{.Version}}" github.com/opencontainers/runc)
$(BIN)/runc: tools/go.mod
	cd tools && CGO_ENABLED=1 $(GO) build -trimpath -tags 'seccomp netgo osusergo' -o ../$@ \
	  -ldflags '-s -w -extldflags "-static" -X main.version=$(patsubst v%,%,$(RUNC_VERSION))' github.com/opencontainers/runc

# The docker command of sessions: tools of modules of their own, too (docker/cli's requirements are its vendor.mod). Static:
# they run in whatever image a session has. They are built again when their modules change.
.PHONY: docker
docker: $(BIN)/docker $(BIN)/docker-buildx $(BIN)/docker-compose $(BIN)/docker-buildx.json $(BIN)/docker-compose.json $(BIN)/docker-completion.bash
VERSION_OF = $(shell cd tools/$(1) && $(GO) list -m -f "{{.Version}}" $(2))
STATIC_TOOL = cd $(<D) && CGO_ENABLED=0 $(GO) build -trimpath -o ../../$@ -ldflags

CLI            = github.com/docker/cli/cli/version
DOCKER_VERSION = $(patsubst v%+incompatible,%,$(call VERSION_OF,docker,github.com/docker/cli))
$(BIN)/docker: tools/docker/go.mod tools/docker/go.sum
	$(STATIC_TOOL) "-s -w -X $(CLI).Version=$(DOCKER_VERSION) -X $(CLI).GitCommit=v$(DOCKER_VERSION)" github.com/docker/cli/cmd/docker

$(BIN)/docker-buildx: tools/buildx/go.mod tools/buildx/go.sum
	$(STATIC_TOOL) '-s -w -X github.com/docker/buildx/version.Version=$(call VERSION_OF,buildx,github.com/docker/buildx)' \
	  github.com/docker/buildx/cmd/buildx

$(BIN)/docker-compose: tools/compose/go.mod tools/compose/go.sum
	$(STATIC_TOOL) '-s -w -X github.com/docker/compose/v5/internal.Version=$(call VERSION_OF,compose,github.com/docker/compose/v5)' \
	  github.com/docker/compose/v5/cmd

# What the plugins say of themselves: docker-plugin answers it for them.
$(BIN)/docker-%.json: $(BIN)/docker-%
	$< docker-cli-plugin-metadata >$@.new
	mv $@.new $@

$(BIN)/docker-completion.bash: $(BIN)/docker
	$< completion bash >$@.new
	mv $@.new $@

.PHONY: deps deps-test
deps: # what building and serving needs
	@deploy/install-deps.sh serve
deps-test:
	@deploy/install-deps.sh serve test

.PHONY: images
images: build ## the default environments' images (idempotent)
	@BERTH=$(BIN)/berth deploy/images.sh

# The tests have a cache of their own: they must not depend on, nor touch, what a server on this machine has.
.PHONY: test-images
test-images: build
	@BERTH=$(BIN)/berth BERTH_DATA_DIR=$(CACHE) deploy/images.sh

# Tests find the images, and the programs that we build: docker among them, so that no other one is tested.
TEST_ENV = BERTH_TEST_IMAGES=$(CACHE) BERTH_TEST_BIN=$(CURDIR)/$(BIN) PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: test
test: deps-test build test-images ## everything: unit, integration with real namespaces, browser
	$(TEST_ENV) $(GO) test -timeout 25m ./...

.PHONY: race
race: deps-test build test-images ## the tests under the race detector
	$(TEST_ENV) CGO_ENABLED=1 $(GO) test -race -timeout 45m ./...

.PHONY: e2e
e2e: deps-test build test-images ## the end-to-end tests alone
	$(TEST_ENV) $(GO) test -count=1 -timeout 25m -v ./e2e/...

# Not part of test: without KVM it takes 10 minutes, and 3 more when the machine is made.
.PHONY: test-vm
test-vm: build ## a real Debian with systemd and cgroup v2 in qemu: install, restart, kill, reboot (root; ~15 minutes)
	@deploy/install-deps.sh vm
	deploy/vm/test.sh

.PHONY: bench
bench: deps-test build test-images ## speed and memory, as ratios against peers in the same run
	BERTH_TEST_IMAGES=$(CACHE) BERTH_TEST_BIN=$(CURDIR)/$(BIN) $(GO) run ./e2e/bench

.PHONY: fuzz
fuzz: ## every fuzz target for 30 s
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime 30s -fuzzminimizetime 100x $$pkg; done; done

.PHONY: lint fmt gen dev clean
lint: ## golangci-lint, with the import rules
	$(GO) run $(GOLANGCI) run ./...
fmt: ## gofumpt
	$(GO) run $(GOFUMPT) -w $$(git ls-files '*.go' | grep -v _templ.go)
gen: ## templates and bundled assets (needs npm)
	$(GO) generate ./templates/... ./static/...
dev: build images ## serve, and again after every change
	deploy/dev.sh $(ARGS)
clean: ## remove what was built
	rm -rf $(BIN) $(CACHE)
