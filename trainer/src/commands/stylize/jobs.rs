//! Which pictures are repainted, and into which files.

use crate::cli::{PictureFormat, StylizeArgs};
use crate::data::{self, film};
use crate::io::output;
use anyhow::{Context, bail, ensure};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A picture to repaint.
#[derive(Debug)]
pub struct Job {
    /// The file to read.
    pub picture: PathBuf,
    /// The file to write.
    pub output: PathBuf,
    /// Its format.
    pub format: PictureFormat,
    /// The picture before it in the same folder, painted or not.
    pub after: Option<PathBuf>,
    /// Whether the picture itself was asked for, not only its folder.
    named: bool,
}

/// All there is to do.
#[derive(Debug, Default)]
pub struct Jobs {
    /// In the order of the command line, folders in that of their paths.
    pub jobs: Vec<Job>,
    /// What cannot be done, with the reason.
    pub failed: Vec<String>,
    /// Pictures of folders whose results are there already.
    pub done_before: usize,
}

impl Jobs {
    /// What `args` ask for; files are named by `style`.
    ///
    /// # Errors
    /// An output that cannot be.
    pub fn plan(args: &StylizeArgs, style: &str) -> anyhow::Result<Self> {
        let mut plan = Jobs::default();
        let pictures = plan.pictures(args, style);
        let folder = match &args.output {
            None => None,
            Some(output) => match &args.pictures[..] {
                [picture] if !picture.is_dir() && !is_folder(output) => {
                    output::check("--output", output)?;
                    plan.jobs.push(Job {
                        picture: picture.clone(),
                        output: output.clone(),
                        format: file_format(output, args.format)?,
                        after: None,
                        named: true,
                    });
                    plan.protect_inputs();
                    if !plan.jobs.is_empty() {
                        output::check_new("--output", output, args.overwrite)?;
                    }
                    return Ok(plan);
                }
                _ => {
                    ensure!(
                        !output.exists() || output.is_dir(),
                        "--output {}: this is a file; several pictures need a folder",
                        output.display()
                    );
                    Some(output)
                }
            },
        };
        let format = args.format.unwrap_or(PictureFormat::Png);
        let mut taken = HashSet::new();
        let mut before: Option<PathBuf> = None;
        for Found { path, below, named } in pictures {
            let place = match folder {
                Some(folder) => folder.join(below),
                None => path.parent().unwrap_or(Path::new("")).to_path_buf(),
            };
            let name = |number: u32| place.join(name(&path, number, style, format));
            let free = (1..).map(name).find(|output| taken.insert(output.clone()));
            let output = free.context("no name is left")?;
            let same_folder = |before: &PathBuf| before.parent() == path.parent();
            plan.jobs.push(Job {
                picture: path.clone(),
                output,
                format,
                after: before.filter(same_folder),
                named,
            });
            before = Some(path);
        }
        plan.protect_inputs();
        if !args.overwrite {
            plan.keep_results();
        }
        Ok(plan)
    }

    /// All pictures that `args` name, each once.
    fn pictures(&mut self, args: &StylizeArgs, style: &str) -> Vec<Found> {
        let list = match args.smoothing > 0.0 {
            true => film::frames,
            false => data::list,
        };
        let mut found = Vec::new();
        for path in &args.pictures {
            if !path.is_dir() {
                found.push(Found {
                    path: path.clone(),
                    below: PathBuf::new(),
                    named: true,
                });
                continue;
            }
            match list(path) {
                Ok((pictures, unread)) => {
                    let unread = unread.iter();
                    self.failed
                        .extend(unread.map(|(path, why)| format!("{}: {why}", path.display())));
                    let new = pictures.into_iter().filter(|p| !is_painted(p, style));
                    found.extend(new.map(|picture| Found {
                        below: below(&picture, path),
                        path: picture,
                        named: false,
                    }));
                }
                Err(error) => self.failed.push(format!("{error:#}")),
            }
        }
        let mut seen = HashSet::new();
        found.retain(|found| seen.insert(found.path.clone()));
        found
    }

    /// Leaves out what would overwrite a picture that is to be read.
    fn protect_inputs(&mut self) {
        let real = |path: &Path| path.canonicalize().ok();
        let inputs: HashSet<PathBuf> = self.jobs.iter().filter_map(|j| real(&j.picture)).collect();
        let failed = &mut self.failed;
        self.jobs.retain(
            |Job {
                 picture, output, ..
             }| {
                let safe = real(output).is_none_or(|output| !inputs.contains(&output));
                if !safe {
                    failed.push(format!(
                        "{}: {} is one of the pictures to read; it would be lost",
                        picture.display(),
                        output.display()
                    ));
                }
                safe
            },
        );
    }

    /// Leaves out pictures whose results are there.
    fn keep_results(&mut self) {
        let (failed, done_before) = (&mut self.failed, &mut self.done_before);
        self.jobs.retain(|job| {
            let there = output::is_there(&job.output, false);
            match job.named {
                true if there => failed.push(output::already(&job.output)),
                _ => *done_before += usize::from(there),
            }
            !there
        });
    }
}

/// A picture that was asked for.
struct Found {
    path: PathBuf,
    /// Its folder, within the one that was named.
    below: PathBuf,
    /// Whether it was named itself.
    named: bool,
}

/// Whether `output` means a folder: one that is there, or a name that ends as
/// those of folders do.
fn is_folder(output: &Path) -> bool {
    let ends = |c: char| output.as_os_str().as_encoded_bytes().ends_with(&[c as u8]);
    output.is_dir() || ends('/') || ends(std::path::MAIN_SEPARATOR)
}

fn below(picture: &Path, folder: &Path) -> PathBuf {
    let inner = picture.strip_prefix(folder).ok().and_then(Path::parent);
    inner.unwrap_or(Path::new("")).to_path_buf()
}

/// The format of the file `output`, by its name, which `asked` must not
/// contradict.
fn file_format(output: &Path, asked: Option<PictureFormat>) -> anyhow::Result<PictureFormat> {
    let named = PictureFormat::of(output);
    match (named, asked) {
        (Some(named), Some(asked)) if named != asked => bail!(
            "--output {}: its name is not that of a {} file, as --format asks for",
            output.display(),
            asked.extension()
        ),
        _ => named.or(asked).with_context(|| {
            format!(
                "--output {}: give it a name that ends in .png, .jpg or .webp, or give --format; \
                 a folder that is not there yet needs a / at its end",
                output.display()
            )
        }),
    }
}

/// NAME.STYLE.png, the second of that name NAME-2.STYLE.png.
fn name(picture: &Path, number: u32, style: &str, format: PictureFormat) -> OsString {
    let mut name = picture.file_stem().unwrap_or_default().to_os_string();
    if number > 1 {
        name.push(format!("-{number}"));
    }
    name.push(format!(".{style}.{}", format.extension()));
    name
}

/// Whether the name is that of a result in this style.
fn is_painted(path: &Path, style: &str) -> bool {
    let stem = path.file_stem().unwrap_or_default().as_encoded_bytes();
    stem.ends_with(format!(".{style}").as_bytes())
}
