# What a newcomer types. Everything else is cargo.
.PHONY: demo test test-long bench setup

demo: setup
	cargo build --release --locked
	scripts/demo

test: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked --no-fail-fast

test-long: setup
	cargo test --workspace --locked --no-fail-fast -- --ignored long_
	scripts/fuzz 20

bench: setup
	cargo bench --locked

setup:
	@scripts/setup
