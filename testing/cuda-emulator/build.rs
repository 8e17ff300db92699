//! Compiles the kernels for the host.

use std::env;

const KERNELS: &str = "../../src/ops/cuda/kernels";

fn main() {
    for watched in ["build.rs", "src", KERNELS] {
        println!("cargo::rerun-if-changed={watched}");
    }
    println!("cargo::rerun-if-env-changed=FASTSTYLE_SANITIZE");
    let mut build = cc::Build::new();
    if env::var_os("FASTSTYLE_SANITIZE").is_some() {
        build.flag("-fsanitize=address");
        println!("cargo::rustc-link-lib=dylib=asan");
    }
    build
        .cpp(true)
        .std("c++17")
        // Tests run far longer in them than they take to compile.
        .opt_level(2)
        .include("src")
        .include(KERNELS)
        .files([
            "src/emulator.cpp",
            "src/kernels.cpp",
            "src/kernels_bf16.cpp",
        ])
        .compile("faststyle_cuda_emulator_kernels");
}
