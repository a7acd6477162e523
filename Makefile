# What is done often, by name. Everything here is one or two commands of the README's, which work without make as well.
.PHONY: help demo up test build package pack

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## the whole bundle on this machine: deliveries of every source, and what became of each
	cargo run -- demo

up: ## the whole bundle on this machine, until it is stopped
	cargo run -- up

test: ## every test
	cargo test --workspace

build: ## the functions, for Lambda; needs the SAM CLI and cargo-lambda
	sam build

package: build ## a folder below dist/ that deploys without a compiler, with the command for this machine
	cargo build --release --package certbridge
	python3 tools/package.py --command target/release/certbridge

pack: ## the same of what is built already, without the command
	python3 tools/package.py
