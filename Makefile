# Berth. `make run` and `make test` are all that a user and a developer need; `make help` lists the rest.
SHELL := /bin/bash
GO    ?= go
BIN   := bin

.PHONY: help build gen
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(BIN)/berth $(BIN)/runc $(BIN)/docker-init ## bin/berth, bin/runc, bin/docker-init

.PHONY: $(BIN)/berth $(BIN)/docker-init
$(BIN)/berth:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/berth

$(BIN)/docker-init:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/docker-init

# runc is a Go tool of its own module, so that its requirements stay out of ours. Static: it runs inside the sandbox,
# where there is no libc.
$(BIN)/runc: tools/go.mod
	cd tools && CGO_ENABLED=1 $(GO) build -trimpath -tags 'seccomp netgo osusergo' \
	  -ldflags '-s -w -extldflags "-static" -X main.version=$(shell cd tools && $(GO) list -m -f '{{.Version}}' github.com/opencontainers/runc | sed s/^v//)' -o ../$@ github.com/opencontainers/runc

gen: ## the pages' Go code and the bundled scripts (needs npm, for those who change them)
	cd static && npm ci --no-audit --no-fund
	$(GO) generate ./templates ./static
