//! What the command line accepts. Parsing only.

use crate::film::codec::{Codec, Quality};
use crate::look::Look;
use clap::{Args, Parser, Subcommand};
use gst::ClockTime;
use std::path::PathBuf;

/// Repaints films and live video in the style of a painting.
#[derive(Parser, Debug)]
#[command(name = "faststyle", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Repaint films, with their sound and subtitles
    Film(FilmArgs),
}

/// Repaints films. Sound tracks and subtitles are copied as they are. Work that was
/// interrupted, by Ctrl-C or a crash, is taken up again by the same command.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  faststyle film holiday.mp4 --output painted.mp4
  faststyle film holiday.mp4 --output look.png --preview --model udnie
  faststyle film films/ --output painted/ --codec h265 --quality high")]
pub struct FilmArgs {
    /// Films, or folders of films
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// The film to write (.mkv, .mp4, .mov, .webm), or a folder for several
    #[arg(long, short, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub encoding: Encoding,
    /// Begin here: seconds, or [hours:]minutes:seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<ClockTime>,
    /// End before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<ClockTime>,
    /// Only paint ten stills from the whole film, as one picture (.png, .jpg)
    #[arg(long)]
    pub preview: bool,
    /// Replace files that are there
    #[arg(long)]
    pub overwrite: bool,
    /// Throw away unfinished work, and begin anew
    #[arg(long)]
    pub restart: bool,
    /// Seconds of film that are painted between two points to resume from
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = time)]
    pub segment: ClockTime,
}

/// How the video is encoded.
#[derive(Args, Debug)]
#[command(next_help_heading = "Encoding")]
pub struct Encoding {
    /// Default: h264; h265 for films of more than 8 bits; av1 in .webm
    #[arg(long, value_enum)]
    pub codec: Option<Codec>,
    #[arg(long, value_enum, default_value_t)]
    pub quality: Quality,
    /// GStreamer's element to encode with, such as x264enc; default: the graphics
    /// card's, or the best there is
    #[arg(long, value_name = "ELEMENT")]
    pub encoder: Option<String>,
}

/// Reads `90`, `1:30`, `0:01:30.5`.
fn time(text: &str) -> Result<ClockTime, String> {
    let fault = || format!("`{text}` is not a time such as 90, 1:30 or 0:01:30.5");
    let mut seconds = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(fault());
    }
    for part in &parts {
        let number: f64 = part.parse().map_err(|_| fault())?;
        if !number.is_finite() || number.is_sign_negative() {
            return Err(fault());
        }
        seconds = seconds * 60.0 + number;
    }
    // A thousand days.
    if seconds > 1000.0 * 86_400.0 {
        return Err(fault());
    }
    Ok(ClockTime::from_nseconds((seconds * 1e9).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read() {
        let ms = |text| time(text).map(ClockTime::mseconds);
        assert_eq!(ms("90"), Ok(90_000));
        assert_eq!(ms("1:30"), Ok(90_000));
        assert_eq!(ms("1:02:03.5"), Ok(3_723_500));
        for wrong in ["", "1:", "-1", "1:2:3:4", "nan", "inf", "1e30", "x"] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }
}
