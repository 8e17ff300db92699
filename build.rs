//! Version numbers for the plugin and, with feature `cuda`, the CUDA kernels.

fn main() {
    #[cfg(feature = "gst")]
    gst_plugin_version_helper::info();
    #[cfg(feature = "cuda")]
    cuda::compile();
    watch();
}

/// Names the inputs of the build. Otherwise a change to any test or document
/// would rebuild everything.
fn watch() {
    println!("cargo::rerun-if-changed=src");
    // The plugin's version contains the commit. Git knows the place of its log,
    // also in worktrees.
    let log = std::process::Command::new("git")
        .args(["rev-parse", "--git-path", "logs/HEAD"])
        .output();
    if let Ok(log) = log
        && let Ok(path) = str::from_utf8(&log.stdout)
        && std::path::Path::new(path.trim_end()).exists()
    {
        println!("cargo::rerun-if-changed={}", path.trim_end());
    }
}

/// Compiles `src/ops/cuda/kernels/NAME.cu` into `NAME.fatbin`, and those of the
/// network once more into `NAME_bf16.fatbin`.
#[cfg(feature = "cuda")]
mod cuda {
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, exit};
    use std::thread;

    const SOURCES: &str = "src/ops/cuda/kernels";

    /// Compute capabilities to compile for: A100, RTX 30, RTX 40 and L4, H100
    /// and H200. Later devices compile the code of the last one when they load
    /// it. `FASTSTYLE_CUDA_ARCHS="90"` chooses others.
    const ARCHS: &str = "80 86 89 90";

    /// The kernels of the network, by file: for both kinds of 16-bit floats.
    const NETWORK: [&str; 8] = [
        "convolution",
        "finalize_norm",
        "first",
        "frame",
        "last",
        "residual",
        "resize",
        "tone",
    ];

    /// The kernels of training.
    const TRAINING: [&str; 4] = [
        "training/norm",
        "training/pixels",
        "training/product",
        "training/weights",
    ];

    pub fn compile() {
        println!("cargo::rerun-if-changed={SOURCES}");
        for variable in ["FASTSTYLE_CUDA_ARCHS", "NVCC", "CUDA_HOME", "CUDA_PATH"] {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        let archs = env::var("FASTSTYLE_CUDA_ARCHS").unwrap_or_else(|_| ARCHS.into());
        let targets = targets(&archs).unwrap_or_else(|reason| fail(&reason));
        let nvcc = nvcc();
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        let made = fs::create_dir_all(out.join("training"));
        made.unwrap_or_else(|error| fail(&format!("{}: {error}", out.display())));
        let compile = |name: &str, bf16| compile_one(&nvcc, &targets, name, bf16, &out);
        let results: Vec<_> = thread::scope(|scope| {
            let network = NETWORK
                .iter()
                .flat_map(|name| [(name, false), (name, true)]);
            let training = TRAINING.iter().map(|name| (name, false));
            let workers: Vec<_> = network
                .chain(training)
                .map(|(name, bf16)| scope.spawn(move || compile(name, bf16)))
                .collect();
            workers.into_iter().map(|worker| worker.join()).collect()
        });
        for result in results {
            match result {
                Ok(Ok(())) => (),
                Ok(Err(reason)) => fail(&reason),
                Err(_) => fail("a thread that waits for nvcc panicked"),
            }
        }
    }

    /// Options for nvcc: machine code for each architecture, and PTX for later
    /// devices.
    fn targets(archs: &str) -> Result<Vec<String>, String> {
        let archs: Vec<&str> = archs.split([' ', ',']).filter(|a| !a.is_empty()).collect();
        let is_number = |arch: &&str| arch.bytes().all(|byte| byte.is_ascii_digit());
        match archs.last() {
            Some(last) if archs.iter().all(is_number) => Ok(archs
                .iter()
                .map(|arch| format!("-gencode=arch=compute_{arch},code=sm_{arch}"))
                .chain([format!("-gencode=arch=compute_{last},code=compute_{last}")])
                .collect()),
            _ => Err(format!(
                "FASTSTYLE_CUDA_ARCHS=\"{}\": expected a list such as \"80 90\"",
                archs.join(" ")
            )),
        }
    }

    /// `NVCC`, the toolkit's, or the one on the path.
    fn nvcc() -> PathBuf {
        let of_toolkit = |variable| {
            let nvcc = Path::new(&env::var_os(variable)?).join("bin/nvcc");
            nvcc.exists().then_some(nvcc)
        };
        env::var_os("NVCC")
            .map(PathBuf::from)
            .or_else(|| of_toolkit("CUDA_HOME"))
            .or_else(|| of_toolkit("CUDA_PATH"))
            .unwrap_or_else(|| "nvcc".into())
    }

    fn compile_one(
        nvcc: &Path,
        targets: &[String],
        name: &str,
        bf16: bool,
        out: &Path,
    ) -> Result<(), String> {
        let source = format!("{SOURCES}/{name}.cu");
        let (kind, defined) = match bf16 {
            true => ("_bf16", ["-D", "BFLOAT16"].as_slice()),
            false => ("", [].as_slice()),
        };
        let output = Command::new(nvcc)
            .args(["-std=c++17", "-O3", "-fatbin", "-I", SOURCES])
            .args(defined)
            .args(targets)
            .arg("-o")
            .arg(out.join(format!("{name}{kind}.fatbin")))
            .arg(&source)
            .output()
            .map_err(|error| {
                format!(
                    "feature `cuda` needs NVIDIA's compiler, and {} does not start: {error}. \
                     Install the CUDA toolkit and set CUDA_HOME to its folder, or run \
                     `eval \"$(scripts/cuda-toolkit)\"`.",
                    nvcc.display()
                )
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        Err(format!("{} {source} failed:\n{said}", nvcc.display()))
    }

    fn fail(reason: &str) -> ! {
        for line in reason.lines() {
            println!("cargo::error={line}");
        }
        exit(1)
    }
}
