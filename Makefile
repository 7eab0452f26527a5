# Every target is a script in ci/: alike here, in .github and on a laptop.

.PHONY: demo demo-stop test check fuzz bench build clean

demo: ## the main job on the local cloud; KEEP=1 leaves it running
	@KEEP=$(KEEP) ci/demo

demo-stop: ## end what KEEP=1 left
	@ci/demo stop

test: ## set up, check, end-to-end tests, demo
	@ci/test

check: ## look at the code and run the tests that need no WordPress
	@ci/check

fuzz: ## every fuzz target for FUZZTIME, a minute each if not set; PACKAGES=./artifact and others
	@FUZZTIME=$(FUZZTIME) ci/fuzz $(PACKAGES)

bench: ## wpbake's times against tar and zstd; FLAGS="-corpora small" and others
	@ci/bench/run $(FLAGS)

build: ## bin/wpbake
	@ci/build

clean: ## remove what the others made
	@ci/clean
