//! What the command line accepts. Parsing only.

use crate::film::codec::{Codec, Quality};
use crate::live::{KEYS, Size};
use crate::look::Look;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use gst::{ClockTime, Fraction};
use std::net::SocketAddr;
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
    Film(Box<FilmArgs>),
    /// Repaint a camera, the screen or a stream while it plays
    Live(Box<LiveArgs>),
    /// List the styles that are installed
    Styles(StylesArgs),
    /// Say what this machine has and lacks, and how fast it will be
    Doctor(DoctorArgs),
    /// Print what a shell needs to complete this program's arguments
    Completions { shell: Shell },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Manual { folder: PathBuf },
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
    /// Films, or folders of films, or pictures as in frames/%05d.png
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// The film to write (.mkv, .mp4, .mov, .webm), or pictures as in out/%05d.png
    /// (.png, .tif), or a folder for several films
    #[arg(long, short, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub encoding: Encoding,
    /// Begin here: seconds, as in 90, or 1:30, or 0:01:30
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<ClockTime>,
    /// End before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<ClockTime>,
    /// How many pictures are shown in a second, as in 25 or 30000/1001
    #[arg(long, value_name = "NUMBER", default_value = "25", value_parser = rate)]
    pub frame_rate: Fraction,
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
    /// Print the film's segments, and the files they belong into, as JSON: for programs that
    /// spread them over machines
    #[arg(long, help_heading = "Several machines", conflicts_with = "preview")]
    pub list_segments: bool,
    /// Paint one segment into a file: its number and the file
    #[arg(long, value_name = "NUMBER:FILE", value_parser = segment_file,
          help_heading = "Several machines", conflicts_with_all = ["preview", "list_segments"])]
    pub paint_segment: Option<(usize, PathBuf)>,
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

/// Repaints live video, in a window and for others at the same time. Keys change the
/// picture, in the window as well as in the terminal.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  faststyle live                              the first camera, or a clip without one
  faststyle live --camera 2 --mirror --page
  faststyle live --screen --rtmp rtmp://live.example.org/app/KEY --record show.mkv
  faststyle live --virtual-camera /dev/video10

Keys:
  {}", KEYS.replace('\n', "\n  ")))]
pub struct LiveArgs {
    #[command(flatten)]
    pub look: Look,
    /// The camera: its number, a part of its name, or its device file
    #[arg(long, value_name = "CAMERA", help_heading = "Source")]
    pub camera: Option<String>,
    /// List the cameras
    #[arg(long, help_heading = "Source")]
    pub cameras: bool,
    /// The screen (X11)
    #[arg(long, conflicts_with_all = ["camera", "input"], help_heading = "Source")]
    pub screen: bool,
    /// A film, shown again and again, or an address such as rtsp://…
    #[arg(
        long,
        short,
        value_name = "FILE|URI",
        conflicts_with = "camera",
        help_heading = "Source"
    )]
    pub input: Option<String>,
    /// Size of a camera's picture
    #[arg(long, default_value = "640x480", value_parser = size, help_heading = "Source")]
    pub size: Size,
    /// Mirror the picture
    #[arg(long, help_heading = "Source")]
    pub mirror: bool,
    /// Leave out the sound of a film or a stream
    #[arg(long, help_heading = "Source")]
    pub no_sound: bool,
    /// Open no window
    #[arg(long, help_heading = "Outputs")]
    pub no_window: bool,
    /// A page to control it by, from a browser
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, require_equals = true,
          default_missing_value = "127.0.0.1:8642", help_heading = "Outputs")]
    pub page: Option<SocketAddr>,
    /// A camera for other programs, by v4l2loopback
    #[arg(long, value_name = "DEVICE", help_heading = "Outputs")]
    pub virtual_camera: Option<String>,
    /// Stream to a server of RTMP
    #[arg(long, value_name = "URI", help_heading = "Outputs")]
    pub rtmp: Option<String>,
    /// Stream over SRT; srt://:7001?mode=listener waits for callers
    #[arg(long, value_name = "URI", help_heading = "Outputs")]
    pub srt: Option<String>,
    /// Stream into a folder of a web server
    #[arg(long, value_name = "FOLDER", help_heading = "Outputs")]
    pub hls: Option<PathBuf>,
    /// Stream to a server of WebRTC
    #[arg(long, value_name = "URI", help_heading = "Outputs")]
    pub whip: Option<String>,
    /// Record into a film (.mkv, .mp4)
    #[arg(long, value_name = "FILE", help_heading = "Outputs")]
    pub record: Option<PathBuf>,
    /// Replace a recording that is there
    #[arg(long, help_heading = "Outputs")]
    pub overwrite: bool,
    /// Size of streams and recordings, in kbit/s
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(100..=100_000),
          help_heading = "Outputs")]
    pub bitrate: u32,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<ClockTime>,
}

#[derive(Args, Debug)]
pub struct StylesArgs {
    /// Print all that is known as JSON
    #[arg(long)]
    pub json: bool,
    /// Paint a picture in each style, as one sheet (.png, .jpg)
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// Replace a sheet that is there
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Do not measure the speed
    #[arg(long)]
    pub quick: bool,
}

/// Reads `640x480`.
fn size(text: &str) -> Result<Size, String> {
    let sides = text
        .split_once('x')
        .map(|(width, height)| (width.parse(), height.parse()));
    match sides {
        Some((Ok(width @ 1..=16384), Ok(height @ 1..=16384))) => Ok(Size(width, height)),
        _ => Err(format!("`{text}` is not a size such as 640x480")),
    }
}

/// Reads `25`, `23.976`, `30000/1001`.
fn rate(text: &str) -> Result<Fraction, String> {
    let parts = match text.split_once('/') {
        Some((frames, seconds)) => (frames.parse().ok(), seconds.parse().ok()),
        None => (thousandths(text), Some(1000)),
    };
    match parts {
        (Some(frames @ 1..), Some(seconds @ 1..)) if frames / seconds <= 1000 => {
            Ok(Fraction::new(frames, seconds))
        }
        _ => Err(format!("`{text}` is not a rate such as 25 or 30000/1001")),
    }
}

fn thousandths(text: &str) -> Option<i32> {
    let number: f64 = text.parse().ok()?;
    (number <= 1000.0).then(|| (number * 1000.0).round() as i32)
}

/// Reads `12:segment.packets`.
fn segment_file(text: &str) -> Result<(usize, PathBuf), String> {
    let parts = text.split_once(':');
    let parts = parts.and_then(|(number, file)| Some((number.parse().ok()?, file.into())));
    parts.ok_or_else(|| format!("`{text}` is not a number and a file, as in 12:segment.packets"))
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
    fn rates_are_read() {
        assert_eq!(rate("25"), Ok(Fraction::new(25, 1)));
        assert_eq!(rate("12.5"), Ok(Fraction::new(25, 2)));
        assert_eq!(rate("30000/1001"), Ok(Fraction::new(30_000, 1001)));
        for wrong in ["", "0", "-1", "x", "1/0", "0/1", "nan", "1e9", "2000/1"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn segments_to_paint_are_read() {
        let read = segment_file("12:/tmp/a:b");
        assert_eq!(read, Ok((12, PathBuf::from("/tmp/a:b"))));
        for wrong in ["", "12", ":a", "x:a", "-1:a"] {
            assert!(segment_file(wrong).is_err(), "{wrong}");
        }
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
