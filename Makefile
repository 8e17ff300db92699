# Short names for cargo commands and scripts/.

export CLIP MODEL PREFIX DESTDIR PLUGINDIR
TARGET := $(or $(CARGO_TARGET_DIR),target)
SIZES := 256x256 640x480 1280x720
WIDTH := 16

.PHONY: help demo test test-farm install uninstall deb wheel wheel-test bench bench-peers install-deps clean

help:
	@echo "make demo          build, repaint a clip into out/demo.mp4"
	@echo "                   (CLIP=my.mp4 MODEL=my.safetensors for your own)"
	@echo "make test          run all the tests"
	@echo "make test-farm     paint a film on a small Ray cluster and by an OpenJD template"
	@echo "make install       install the plugin, the models and the programs (build them first)"
	@echo "                   (PREFIX=/usr/local PLUGINDIR=... DESTDIR=...; see scripts/install)"
	@echo "make uninstall     remove them"
	@echo "make deb           build a Debian package"
	@echo "make wheel         build a Python wheel (build the rest first)"
	@echo "make wheel-test    the same, and test it in clean environments"
	@echo "make bench         time the network (SIZES='256x256 640x480' WIDTH=16)"
	@echo "make bench-peers   compare it with ONNX Runtime and OpenVINO (ARGS='--width 32')"
	@echo "make install-deps  install missing GStreamer packages"
	@echo "make clean         remove target/ and out/"

demo:
	@scripts/demo

test: install-deps
	cargo test --release --workspace --locked

test-farm: install-deps
	cargo build --release --workspace --locked
	test -x "$(TARGET)/farm/bin/pip" || python3 -m venv --clear "$(TARGET)/farm" # needs Debian's package python3-venv
	"$(TARGET)/farm/bin/pip" install --quiet ray==2.60.0 openjd-cli==0.8.0
	"$(TARGET)/farm/bin/python" farm/test_farm.py "$(TARGET)/release/faststyle"

install:
	@scripts/install

uninstall:
	@scripts/install --uninstall

deb:
	cargo build --release --workspace --locked
	@scripts/deb

wheel:
	@scripts/wheel

wheel-test:
	cargo build --release --workspace --locked
	@scripts/wheel --test

bench: install-deps
	cargo build --release --workspace --locked --example throughput
	@for size in $(SIZES); do \
		"$(TARGET)/release/examples/throughput" --width $(WIDTH) --size $$size || exit 1; \
	done

bench-peers: install-deps
	cargo build --release --workspace --locked
	cargo build --release --workspace --locked --example throughput
	test -x "$(TARGET)/peers/bin/pip" || python3 -m venv --clear "$(TARGET)/peers" # needs Debian's package python3-venv
	"$(TARGET)/peers/bin/pip" install --quiet numpy onnxruntime==1.32.0 openvino==2026.4.1
	"$(TARGET)/peers/bin/python" benches/side_by_side.py $(ARGS)

install-deps:
	@scripts/install-deps

clean:
	cargo clean
	rm -rf out
