# What a newcomer types. Everything else is cargo.
.PHONY: demo lint test test-long bench setup

demo: setup
	cargo build --release --locked
	scripts/demo

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# The typesetter of the PDF, feature `pdf`, takes minutes to build: its tests are among the long ones.
test: setup
	cargo test --workspace --no-default-features --locked --no-fail-fast

test-long: setup
	cargo test --workspace --no-default-features --locked --no-fail-fast -- --ignored long_
	cargo test --workspace --locked --test paper
	cargo test --workspace --locked --test cli paper
	scripts/fuzz 20

bench: setup
	cargo bench --locked

setup:
	@scripts/setup
