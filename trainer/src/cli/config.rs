//! Reads the command line, and the config file and preset of `train`, which
//! the command line overrides.
//!
//! File and preset are turned into command-line words, so that names, values
//! and limits are defined once, in [`cli`]. A setting is used unless something
//! of higher priority sets it or conflicts with it.
//!
//! [`cli`]: crate::cli

use crate::cli::Cli;
use crate::cli::preset::Preset;
use crate::io::input;
use anyhow::{Context, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, Parser, ValueHint};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Spanned, Value};

/// A flag of `train` that the config file or the preset sets.
struct ConfigSetting {
    /// Its name, without dashes.
    flag: String,
    /// One word `--flag=value` for each value.
    words: Vec<OsString>,
    /// The line of the config file.
    line: usize,
}

/// Parses the command line `words`, which begin with the program's name.
///
/// # Errors
/// A config file that cannot be read or is invalid, with its name and the
/// line; a [`clap::Error`] if the command line is invalid or asks for help.
pub fn parse(words: impl IntoIterator<Item = impl Into<OsString>>) -> anyhow::Result<Cli> {
    let mut words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    match Cli::try_parse_from(&words) {
        // A missing argument may be in the file.
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
            return Err(error.into());
        }
        _ => {}
    }
    let mut file = None;
    if let Some(path) = value_of::<PathBuf>(&words, "config") {
        let settings = read(&path)?;
        words = merge_defaults(words, &settings);
        file = Some((path, settings));
    }
    // The config file may have named it.
    if let Some(preset) = value_of::<Preset>(&words, "preset") {
        words = merge_defaults(words, &settings(preset));
    }
    Cli::try_parse_from(words).map_err(|error| match file {
        Some((path, settings)) => in_file(error, &path, &settings),
        None => error.into(),
    })
}

/// The arguments of `train` in `words`. Errors are ignored: they are reported
/// once the words are complete.
fn understood(words: &[OsString]) -> Option<ArgMatches> {
    let command = Cli::command().ignore_errors(true);
    let mut matches = command.try_get_matches_from(words).ok()?;
    let (name, matches) = matches.remove_subcommand()?;
    (name == "train").then_some(matches)
}

fn value_of<T: Clone + Send + Sync + 'static>(words: &[OsString], id: &str) -> Option<T> {
    let matches = understood(words)?;
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

/// `words` with those `settings` that nothing in `words` overrides.
fn merge_defaults(mut words: Vec<OsString>, settings: &[ConfigSetting]) -> Vec<OsString> {
    let Some(matches) = understood(&words) else {
        return words;
    };
    let cli = Cli::command();
    let args: Vec<&Arg> = train(&cli).get_arguments().collect();
    let given = |arg: &Arg| {
        let source = matches.value_source(arg.get_id().as_str());
        source == Some(ValueSource::CommandLine)
    };
    let excludes = |a: &Arg, b: &Arg| {
        let excluded = train(&cli).get_arg_conflicts_with(a);
        excluded.iter().any(|arg| arg.get_id() == b.get_id())
    };
    let counts = |setting: &&ConfigSetting| {
        let arg = args
            .iter()
            .find(|arg| arg.get_long() == Some(&setting.flag));
        arg.is_none_or(|arg| {
            let mut above = args.iter().filter(|other| given(other));
            !above.any(|other| {
                other.get_id() == arg.get_id() || excludes(other, arg) || excludes(arg, other)
            })
        })
    };
    let below: Vec<OsString> = settings
        .iter()
        .filter(counts)
        .flat_map(|setting| setting.words.clone())
        .collect();
    // Behind the name of the program and `train`.
    words.splice(2..2, below);
    words
}

fn train(cli: &clap::Command) -> &clap::Command {
    cli.find_subcommand("train").unwrap_or(cli)
}

fn settings(preset: Preset) -> Vec<ConfigSetting> {
    let setting = |(flag, value): &(&str, &str)| ConfigSetting {
        flag: flag.to_string(),
        words: vec![format!("--{flag}={value}").into()],
        line: 0,
    };
    preset.settings().iter().map(setting).collect()
}

/// The settings in the config file `path`.
fn read(path: &Path) -> anyhow::Result<Vec<ConfigSetting>> {
    let name = path.display();
    let text = input::read_text(path).with_context(|| format!("cannot read --config {name}"))?;
    let line = |start: usize| input::line(&text, start);
    let table: BTreeMap<Spanned<String>, Value> = match toml::from_str(&text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(1, |span| line(span.start));
            bail!("{name}, line {at}: {}", error.message());
        }
    };
    let cli = Cli::command();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut settings = Vec::with_capacity(table.len());
    for (key, value) in table {
        let (flag, line) = (key.get_ref(), line(key.span().start));
        let setting = || -> anyhow::Result<Vec<OsString>> {
            let mut args = train(&cli).get_arguments();
            let Some(arg) = args.find(|arg| arg.get_long() == Some(flag)) else {
                bail!("there is no setting `{flag}`; settings are the flags of train without --");
            };
            if flag == "config" || !arg.get_action().takes_values() {
                bail!("`{flag}` can only be given on the command line");
            }
            words(arg, flag, &value, folder)
        };
        settings.push(ConfigSetting {
            words: setting().with_context(|| format!("{name}, line {line}"))?,
            flag: flag.clone(),
            line,
        });
    }
    Ok(settings)
}

/// The words that set `arg` to `value`. A list sets a flag that can be repeated
/// or takes values separated by commas, a table one that takes `name=value`
/// separated by commas. Paths are relative to `folder`.
fn words(arg: &Arg, flag: &str, value: &Value, folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let plain = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) | Value::Table(_) => bail!("`{flag}` is a nested list or table"),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(yes) => Ok(yes.to_string()),
        Value::Datetime(date) => Ok(date.to_string()),
    };
    let values: Vec<String> = match value {
        Value::Array(list) => list.iter().map(plain).collect::<anyhow::Result<_>>()?,
        Value::Table(table) => {
            let part = |(name, value)| Ok(format!("{name}={}", plain(value)?));
            vec![
                table
                    .iter()
                    .map(part)
                    .collect::<anyhow::Result<Vec<_>>>()?
                    .join(","),
            ]
        }
        one => vec![plain(one)?],
    };
    let repeated =
        matches!(arg.get_action(), ArgAction::Append) && arg.get_value_delimiter().is_none();
    let values = match repeated {
        true => values,
        false => vec![values.join(",")],
    };
    let word = |value: String| {
        let mut word = OsString::from(format!("--{flag}="));
        match arg.get_value_hint() == ValueHint::AnyPath && !value.is_empty() {
            true => word.push(folder.join(value)),
            false => word.push(value),
        }
        word
    };
    Ok(values.into_iter().map(word).collect())
}

/// `error`, with the line of the config file if a value in it is the cause.
fn in_file(error: clap::Error, path: &Path, settings: &[ConfigSetting]) -> anyhow::Error {
    let kind = error.kind();
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(usage))
            if matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue) =>
        {
            usage
                .split(' ')
                .next()
                .and_then(|word| word.strip_prefix("--"))
        }
        _ => None,
    };
    // What is on the command line is not taken from the file.
    let Some(setting) = settings
        .iter()
        .find(|setting| Some(&*setting.flag) == about)
    else {
        return error.into();
    };
    let text = error.to_string();
    let reason = text.split("\n\n").next().unwrap_or(&text);
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    // In one line.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    anyhow::anyhow!("{}, line {}: {reason}", path.display(), setting.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, TrainArgs};
    use clap::ValueEnum;

    /// What `train` with these flags is asked for.
    fn asked(flags: &[&str]) -> anyhow::Result<TrainArgs> {
        let start = [
            "faststyle-train",
            "train",
            "--style=s",
            "--photos=p",
            "--output=o",
        ];
        match parse(start.iter().chain(flags))?.command {
            Command::Train(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    /// The flag of a config file of that text, in a folder that is kept as long
    /// as the first of them.
    fn config(text: &str) -> anyhow::Result<(tempfile::TempDir, String)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("my.toml");
        std::fs::write(&path, text)?;
        Ok((folder, format!("--config={}", path.display())))
    }

    #[test]
    fn flags_override_the_file_and_the_file_overrides_the_preset() -> anyhow::Result<()> {
        let (_folder, file) = config("width = 8\nlr = 5e-4\nlr-final = 0.5\noutput-norm = true")?;
        let args = asked(&[&file, "--preset=live", "--lr-final", "0.25"])?;
        assert_eq!(args.width, Some(8));
        assert_eq!(args.lr, Some(5e-4));
        assert_eq!(args.lr_final, Some(0.25));
        assert_eq!(args.output_norm, Some(true));
        assert_eq!(args.batch, None);
        let preset = asked(&["--preset=live"])?;
        assert_eq!((preset.width, preset.output_norm), (Some(16), Some(false)));

        // A preset named by the file; a flag for it counts more, too.
        let (_folder, file) = config("preset = 'quality'\nwidth = 8")?;
        let args = asked(&[&file])?;
        assert_eq!((args.width, args.loss.style_size), (Some(8), Some(512)));
        let args = asked(&[&file, "--preset=paper"])?;
        assert_eq!((args.width, args.loss.style_size), (Some(8), Some(256)));
        Ok(())
    }

    #[test]
    fn a_conflicting_flag_replaces_the_setting() -> anyhow::Result<()> {
        let (_folder, file) = config("steps = 7\ninit = 'x.safetensors'")?;
        let length = |args: TrainArgs| (args.steps, args.epochs);
        assert_eq!(length(asked(&[&file])?), (Some(7), None));
        assert_eq!(length(asked(&[&file, "--epochs=3"])?), (None, Some(3)));
        assert_eq!(asked(&[&file, "--resume"])?.init, None);
        let (_folder, file) = config("epochs = 3")?;
        // By its old name.
        let args = asked(&[&file, "--preset=article"])?;
        assert_eq!(length(args), (None, Some(3)));
        Ok(())
    }

    #[test]
    fn toml_values_become_flags() -> anyhow::Result<()> {
        let (folder, file) = config(
            "preview = ['a.jpg', '/b.jpg']\nvgg = 'c'\nyear = 1893\nseed = 1_000\n\
             style-blend = [1, 2.5]\nstyle-crop = ['1x2+3+4', 'none']\ntitle = ''\n\
             content-layers = ['conv3_1', 'conv4_2=0.5']\n[style-layers]\nconv1_1 = 2",
        )?;
        let args = asked(&[&file])?;
        let paths = [folder.path().join("a.jpg"), PathBuf::from("/b.jpg")];
        assert_eq!(args.preview, paths);
        assert_eq!(args.loss.vgg, Some(folder.path().join("c")));
        assert_eq!(args.about.year.as_deref(), Some("1893"));
        assert_eq!(args.about.title.as_deref(), Some(""));
        assert_eq!(args.seed, Some(1000));
        assert_eq!(args.loss.style_blend, [1.0, 2.5]);
        assert_eq!(args.loss.style_crop, ["1x2+3+4".parse().ok(), None]);
        let text =
            |layers: Option<crate::objective::layers::LayerWeights>| layers.map(|l| l.to_string());
        let content = text(args.loss.content_layers);
        assert_eq!(content.as_deref(), Some("conv3_1,conv4_2=0.5"));
        assert_eq!(text(args.loss.style_layers).as_deref(), Some("conv1_1=2"));

        // Lists are replaced, not made longer.
        let args = asked(&[&file, "--preview=c.jpg"])?;
        assert_eq!(args.preview, [PathBuf::from("c.jpg")]);
        Ok(())
    }

    #[test]
    fn a_file_can_hold_every_required_setting() -> anyhow::Result<()> {
        let (folder, file) = config("style = 's'\nphotos = 'p'\noutput = 'o'")?;
        match parse(["faststyle-train", "train", &file])?.command {
            Command::Train(args) => assert_eq!(args.output, folder.path().join("o")),
            other => panic!("{other:?}"),
        }
        let (_folder, file) = config("style = 's'")?;
        let error = parse(["faststyle-train", "train", &file]).expect_err("no photos");
        assert!(error.to_string().contains("--photos"), "{error}");
        assert!(error.is::<clap::Error>());
        Ok(())
    }

    #[test]
    fn errors_name_the_line() -> anyhow::Result<()> {
        for (text, line, expected) in [
            (
                "width = 8\n\nstyle_size = 9",
                3,
                "there is no setting `style_size`",
            ),
            ("[loss]\ntv-weight = 1", 1, "there is no setting `loss`"),
            (
                "width = 8\nresume = true",
                2,
                "`resume` can only be given on the command line",
            ),
            (
                "config = 'b'",
                1,
                "`config` can only be given on the command line",
            ),
            ("help = true", 1, "help"),
            (
                "lr = 1\nwidth = 0",
                2,
                "'0' for '--width <C>': 0 is not in 1..=256",
            ),
            ("\nwidth = [1, 2]", 2, "'1,2' for '--width"),
            (
                "lr-schedule = 'none'",
                1,
                "possible values: constant, cosine",
            ),
            ("preset = 'none'", 1, "possible values: paper, live"),
            (
                "style-layers = { conv9_1 = 1 }",
                1,
                "conv9_1 is not one of the layers",
            ),
            ("preview = [['a']]", 1, "`preview` is a nested list"),
            ("batch = 1\nwidth 5", 2, ""),
            ("batch = 1\nbatch = 2", 2, "duplicate"),
        ] {
            let (_folder, file) = config(text)?;
            let error = asked(&[&file, "--seed=1"]).expect_err(text);
            let error = format!("{error:#}");
            let place = format!("my.toml, line {line}");
            assert!(
                error.contains(&place) && error.contains(expected),
                "{text}: {error}"
            );
        }
        // What is wrong on the command line is not the file's fault.
        let (_folder, file) = config("width = 8")?;
        let error = asked(&[&file, "--width=0"]).expect_err("no width");
        assert!(!error.to_string().contains("my.toml"), "{error}");
        Ok(())
    }

    #[test]
    fn help_lists_what_presets_set() -> anyhow::Result<()> {
        for preset in Preset::value_variants() {
            // Each of its settings alone is understood, and all are.
            for setting in settings(*preset) {
                let word = setting.words[0].to_string_lossy().into_owned();
                asked(&[&word])?;
                assert!(preset.to_string().contains(&word[2..]), "{preset}: {word}");
            }
            let flags = settings(*preset)
                .into_iter()
                .flat_map(|setting| setting.words);
            let flags: Vec<String> = flags.map(|w| w.to_string_lossy().into_owned()).collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let mut spelled = asked(&flags)?;
            spelled.preset = Some(*preset);
            let named = asked(&[&format!("--preset={}", preset.name())])?;
            assert_eq!(format!("{named:?}"), format!("{spelled:?}"));
        }
        let help = parse(["faststyle-train", "train", "--help"]).expect_err("help");
        let help = help.to_string().replace(['\n', ' '], "");
        assert!(
            help.contains("width=16output-norm=falsestability=6000lr-schedule=cosine"),
            "{help}"
        );
        Ok(())
    }
}
