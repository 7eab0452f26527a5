# Every target is a script in ci/: alike here, in .github and on a laptop.

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop check test soak fuzz bench live-view build clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## the main job on the local cloud; KEEP=1 leaves it running
	@KEEP=$(KEEP) ci/demo

demo-stop: ## end what KEEP=1 left
	@ci/demo stop

check: ## the inner loop: look at the code, run unit tests and simulations
	@ci/check

test: ## what every change must pass: set up what is missing, run all but the long tests
	@ci/test

soak: ## what takes long, in parts of half an hour; PART="fuzz-artifact builds" takes some, PART=list names them
	@ci/soak $(PART)

fuzz: ## every fuzz target for FUZZTIME, a minute each if not set; PACKAGES=./artifact and others
	@FUZZTIME=$(FUZZTIME) ci/fuzz $(PACKAGES)

bench: ## wpbake's times against tar and zstd; FLAGS="-corpora small" and others
	@ci/bench/run $(FLAGS)

live-view: ## draw the README's picture of the live view anew
	@ci/live-view

build: ## bin/wpbake
	@ci/build

clean: ## remove what the others made
	@ci/clean
