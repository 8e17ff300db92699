//! The sound of live video: what the source has, over silence. So it never stops, whatever
//! the source does, and outputs that want a sound track have one.

use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{bin, first, make, pad};
use anyhow::{Context, Result};
use gst::prelude::*;

/// Encoders of AAC.
const AAC: &[&str] = &["fdkaacenc", "avenc_aac", "voaacenc"];

/// How long sound is waited for that is on its way.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// The point where sound branches.
pub struct Sound {
    mixer: gst::Element,
    raw: gst::Element,
    /// Where encoded sound branches, once there is some.
    encoded: Option<gst::Element>,
}

impl Sound {
    /// Silence.
    ///
    /// # Errors
    /// An element is missing.
    pub fn new(pipeline: &Pipeline) -> Result<Self> {
        let [silence, mixer, tee] = ["audiotestsrc", "audiomixer", "tee"].map(make);
        let (silence, mixer, tee) = (silence?, mixer?, tee?);
        silence.set_property("is-live", true);
        silence.set_property_from_str("wave", "silence");
        mixer.set_property("latency", PATIENCE.nseconds());
        tee.set_property("allow-not-linked", true);
        let shape =
            bin("audioconvert ! capsfilter caps=audio/x-raw,rate=48000,channels=2")?.upcast();
        pipeline.chain(&[silence, shape, mixer.clone(), tee.clone()])?;
        Ok(Sound {
            mixer,
            raw: tee,
            encoded: None,
        })
    }

    /// Takes sound over the silence: returns the element to lead it into.
    ///
    /// # Errors
    /// An element is missing.
    pub fn input(&self, pipeline: &Pipeline) -> Result<gst::Element> {
        let head = bin(
            "audioconvert ! audioresample ! capsfilter caps=audio/x-raw,rate=48000,channels=2",
        )?;
        let head: gst::Element = head.upcast();
        pipeline.chain(std::slice::from_ref(&head))?;
        let input = self.mixer.request_pad_simple("sink_%u");
        pad(&head, "src")?.link(&input.context("the mixer takes no more sound")?)?;
        Ok(head)
    }

    /// Where the samples branch.
    pub fn raw(&self) -> gst::Element {
        self.raw.clone()
    }

    /// Where AAC branches.
    ///
    /// # Errors
    /// An element is missing.
    pub fn encoded(&mut self, pipeline: &Pipeline) -> Result<gst::Element> {
        if let Some(tee) = &self.encoded {
            return Ok(tee.clone());
        }
        let tee = make("tee")?;
        tee.set_property("allow-not-linked", true);
        let encoder = bin(&format!("queue ! audioconvert ! {}", first(AAC)?))?;
        let encoder: gst::Element = encoder.upcast();
        pipeline.chain(&[encoder.clone(), tee.clone()])?;
        self.raw.link(&encoder)?;
        Ok(self.encoded.insert(tee).clone())
    }
}
