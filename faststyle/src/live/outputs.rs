//! Where live video goes: a window, a virtual camera, streams, a recording.

use super::sound::Sound;
use crate::film::container::{Container, Kind};
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{bin, first, have, make, pad};
use crate::output;
use anyhow::{Context, Result, bail, ensure};
use gst::prelude::*;
use std::path::{Path, PathBuf};

/// Frames that wait for an output before old ones are dropped: no output holds up
/// another.
const WAITING: u32 = 4;

/// Encoders of H.264 with little delay, hardware first. `@` stands for the bit rate
/// in kbit/s.
const ENCODERS: &[&str] = &[
    "nvh264enc zerolatency=true bitrate=@ gop-size=60",
    "vah264enc bitrate=@ key-int-max=60",
    "x264enc tune=zerolatency speed-preset=veryfast bitrate=@ key-int-max=60",
    "openh264enc bitrate=@000 gop-size=60 complexity=low",
];

/// The point where the video branches.
pub struct Outputs<'a> {
    pipeline: &'a Pipeline,
    tee: gst::Element,
    /// Where encoded video branches, once there is some.
    encoded: Option<gst::Element>,
    sound: Option<Sound>,
    /// kbit/s of streams and recordings.
    bitrate: u32,
}

impl<'a> Outputs<'a> {
    /// Branches of the video that `last` delivers, and of its sound.
    ///
    /// # Errors
    /// An element is missing.
    pub fn new(
        pipeline: &'a Pipeline,
        last: &gst::Element,
        bitrate: u32,
        sound: Option<Sound>,
    ) -> Result<Self> {
        let tee = tee(pipeline)?;
        last.link(&tee)?;
        Ok(Outputs {
            pipeline,
            tee,
            encoded: None,
            sound,
            bitrate,
        })
    }

    /// Shows the video in a window. Returns the element that shows text in it, if
    /// it is installed, and the window's end of the branch.
    ///
    /// # Errors
    /// An element is missing.
    pub fn window(&self) -> Result<(Option<gst::Element>, gst::Pad)> {
        let text = have("textoverlay")
            .then(|| make("textoverlay"))
            .transpose()?;
        let mut chain = vec![make("videoconvert")?];
        if let Some(text) = &text {
            text.set_property("silent", true);
            text.set_property_from_str("valignment", "top");
            text.set_property_from_str("halignment", "left");
            text.set_property_from_str("line-alignment", "left");
            text.set_property("font-desc", "Monospace, 10");
            chain.push(text.clone());
        }
        let convert = make("videoconvert")?;
        chain.extend([convert.clone(), make("autovideosink")?]);
        self.branch(&self.tee, &chain)?;
        Ok((text, pad(&convert, "src")?))
    }

    /// Plays the sound.
    ///
    /// # Errors
    /// An element is missing.
    pub fn speakers(&self) -> Result<()> {
        if let Some(sound) = &self.sound {
            let chain = [make("audioconvert")?, make("autoaudiosink")?];
            self.branch_of(&sound.raw(), &chain, false)?;
        }
        Ok(())
    }

    /// Keeps the pace where there is no window.
    ///
    /// # Errors
    /// An element is missing.
    pub fn nowhere(&self) -> Result<()> {
        let sink = make("fakesink")?;
        sink.set_property("sync", true);
        self.branch(&self.tee, &[sink]).map(drop)
    }

    /// A camera for other programs.
    ///
    /// # Errors
    /// There is no such device; an element is missing.
    pub fn virtual_camera(&self, device: &str) -> Result<()> {
        ensure!(
            Path::new(device).exists(),
            "--virtual-camera {device}: not found. Install v4l2loopback-dkms, and run: \
             sudo modprobe v4l2loopback exclusive_caps=1 card_label=faststyle"
        );
        let sink = make("v4l2sink")?;
        sink.set_property("device", device);
        let convert = bin("videoconvert ! capsfilter caps=video/x-raw,format=YUY2")?;
        self.branch(&self.tee, &[convert.upcast(), sink]).map(drop)
    }

    /// Small pictures, for `each`.
    ///
    /// # Errors
    /// An element is missing.
    pub fn pictures(&self, each: impl FnMut(&[u8]) + Send + 'static) -> Result<()> {
        let scale = bin(
            "videorate drop-only=true max-rate=15 ! videoscale ! videoconvert \
             ! video/x-raw,width=640,pixel-aspect-ratio=1/1 ! jpegenc quality=80",
        )?;
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .async_(false)
            .max_buffers(1)
            .drop(true)
            .build();
        let mut each = each;
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let picture = sample
                .buffer()
                .and_then(|buffer| buffer.map_readable().ok());
            if let Some(picture) = picture {
                each(&picture);
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        self.branch(&self.tee, &[scale.upcast(), sink.upcast()])
            .map(drop)
    }

    /// A stream for a server of RTMP, such as those of Twitch and YouTube, which
    /// want a sound track: it is silent where the source has none.
    ///
    /// # Errors
    /// An element is missing.
    pub fn rtmp(&mut self, location: &str) -> Result<()> {
        let (muxer, sink) = (make("flvmux")?, make(first(&["rtmp2sink", "rtmpsink"])?)?);
        muxer.set_property("streamable", true);
        sink.set_property("location", location);
        sink.set_property("async", false);
        self.pipeline.chain(&[muxer.clone(), sink])?;
        if self.sound.is_none() {
            self.sound = Some(Sound::new(self.pipeline)?);
        }
        self.encoded_sound(&muxer, "audio")?;
        let queue = self.encoded_branch(&[])?;
        pad(&queue, "src")?.link(&request(&muxer, "video")?)?;
        Ok(())
    }

    /// A stream over SRT; `srt://:7001?mode=listener` waits for callers.
    ///
    /// # Errors
    /// An element is missing.
    pub fn srt(&mut self, uri: &str) -> Result<()> {
        let (muxer, sink) = (make("mpegtsmux")?, make("srtsink")?);
        // So many packets fill a datagram.
        muxer.set_property("alignment", 7);
        sink.set_property("uri", uri);
        sink.set_property("wait-for-connection", false);
        sink.set_property("async", false);
        self.pipeline.chain(&[muxer.clone(), sink])?;
        self.encoded_sound(&muxer, "sink_%d")?;
        let queue = self.encoded_branch(&[])?;
        pad(&queue, "src")?.link(&request(&muxer, "sink_%d")?)?;
        Ok(())
    }

    /// A folder for a web server: `stream.m3u8` and its parts.
    ///
    /// # Errors
    /// An element is missing; the folder cannot be made.
    pub fn hls(&mut self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let sink = make("hlssink2")?;
        sink.set_property("location", folder.join("part-%05d.ts"));
        sink.set_property("playlist-location", folder.join("stream.m3u8"));
        sink.set_property("target-duration", 2u32);
        sink.set_property("max-files", 10u32);
        self.pipeline.0.add(&sink)?;
        self.encoded_sound(&sink, "audio")?;
        let queue = self.encoded_branch(&[])?;
        pad(&queue, "src")?.link(&request(&sink, "video")?)?;
        Ok(())
    }

    /// A stream for a server of WebRTC.
    ///
    /// # Errors
    /// The element is missing.
    pub fn whip(&self, endpoint: &str) -> Result<()> {
        let sink = make("whipclientsink")?;
        let proxy = sink.dynamic_cast_ref::<gst::ChildProxy>();
        let proxy = proxy.context("whipclientsink is of an unknown version")?;
        proxy.set_child_property("signaller::whip-endpoint", endpoint);
        self.pipeline.0.add(&sink)?;
        if let Some(sound) = &self.sound {
            let last = self.branch_of(&sound.raw(), &[make("audioconvert")?], false)?;
            pad(&last, "src")?.link(&request(&sink, "audio_%u")?)?;
        }
        let queue = self.branch(&self.tee, &[make("videoconvert")?])?;
        pad(&queue, "src")?.link(&request(&sink, "video_%u")?)?;
        Ok(())
    }

    /// A film of what is shown.
    ///
    /// # Errors
    /// An element is missing; the name is not that of a film that holds H.264.
    pub fn record(&mut self, recording: &Recording) -> Result<()> {
        let (muxer, sink) = (recording.container.muxer()?, make("filesink")?);
        sink.set_property("location", &recording.part);
        sink.set_property("async", false);
        self.pipeline.chain(&[muxer.clone(), sink])?;
        self.encoded_sound(&muxer, Kind::Sound.template())?;
        let queue = self.encoded_branch(&[])?;
        pad(&queue, "src")?.link(&request(&muxer, Kind::Video.template())?)?;
        Ok(())
    }

    /// A branch of the encoded video, which returns its queue or last element.
    fn encoded_branch(&mut self, chain: &[gst::Element]) -> Result<gst::Element> {
        let tee = match &self.encoded {
            Some(tee) => tee.clone(),
            None => {
                let line = first(ENCODERS)?.replace('@', &self.bitrate.to_string());
                let encoder = bin(&format!("videoconvert ! video/x-raw,format=I420 ! {line}"))?;
                let tee = tee(self.pipeline)?;
                self.branch(&self.tee, &[encoder.upcast()])?.link(&tee)?;
                self.encoded.insert(tee).clone()
            }
        };
        let mut all = vec![make("h264parse")?];
        // Who joins later can begin at each keyframe.
        all[0].set_property("config-interval", -1i32);
        all.extend_from_slice(chain);
        // Packets cannot be left out as frames can.
        self.branch_of(&tee, &all, false)
    }

    /// Leads encoded sound, if there is some, into a muxer's pad.
    fn encoded_sound(&mut self, muxer: &gst::Element, template: &str) -> Result<()> {
        if let Some(sound) = &mut self.sound {
            let tee = sound.encoded(self.pipeline)?;
            let parser = self.branch_of(&tee, &[make("aacparse")?], false)?;
            pad(&parser, "src")?.link(&request(muxer, template)?)?;
        }
        Ok(())
    }

    /// A branch of frames, which returns its last element.
    fn branch(&self, tee: &gst::Element, chain: &[gst::Element]) -> Result<gst::Element> {
        self.branch_of(tee, chain, true)
    }

    fn branch_of(
        &self,
        tee: &gst::Element,
        chain: &[gst::Element],
        leaky: bool,
    ) -> Result<gst::Element> {
        let queue = make("queue")?;
        queue.set_property("max-size-bytes", 0u32);
        if leaky {
            queue.set_property_from_str("leaky", "downstream");
            queue.set_property("max-size-buffers", WAITING);
        } else {
            queue.set_property("max-size-buffers", 0u32);
            queue.set_property("max-size-time", gst::ClockTime::from_seconds(5));
        }
        let mut all = vec![queue];
        all.extend_from_slice(chain);
        self.pipeline.chain(&all)?;
        tee.link(&all[0])?;
        Ok(all[all.len() - 1].clone())
    }
}

/// A recording: written beside its name, which it gets when it is whole.
pub struct Recording {
    path: PathBuf,
    part: PathBuf,
    container: Container,
    overwrite: bool,
}

impl Recording {
    /// Of this name.
    ///
    /// # Errors
    /// The file is there, unless `overwrite`; another extension.
    pub fn new(path: &Path, overwrite: bool) -> Result<Self> {
        let container = Container::of_output("--record", path)?;
        if container == Container::Webm {
            bail!(
                "--record {}: recordings are H.264; end the name in .mkv or .mp4",
                path.display()
            );
        }
        output::check("--record", path, overwrite, &[])?;
        Ok(Recording {
            path: path.into(),
            part: output::part_of(path),
            container,
            overwrite,
        })
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// Those of the system.
    pub fn publish(&self) -> Result<()> {
        output::publish(&self.part, &self.path, self.overwrite)
    }

    /// Where it is while it is not whole.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn tee(pipeline: &Pipeline) -> Result<gst::Element> {
    let tee = make("tee")?;
    tee.set_property("allow-not-linked", true);
    pipeline.chain(std::slice::from_ref(&tee))?;
    Ok(tee)
}

fn request(element: &gst::Element, template: &str) -> Result<gst::Pad> {
    let pad = element.request_pad_simple(template);
    pad.with_context(|| format!("{} takes no {template}", element.name()))
}
