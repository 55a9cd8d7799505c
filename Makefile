# What a newcomer types. Everything else is cargo.
.PHONY: demo lint test test-long bench setup

demo: setup
	cargo build --release --locked
	scripts/demo

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

test: setup
	cargo test --workspace --locked --no-fail-fast

test-long: setup
	cargo test --workspace --locked --no-fail-fast -- --ignored long_
	scripts/fuzz 20

bench: setup
	cargo bench --locked

setup:
	@scripts/setup
