//! A pipeline that ends with the value that owns it, and its errors.

use super::packages;
use anyhow::{Result, anyhow, bail};
use gst::prelude::*;
use std::time::{Duration, Instant};

/// How long a pipeline may take to decode the first frame.
const PREROLL: Duration = Duration::from_secs(120);

/// A pipeline, stopped when dropped.
pub struct Pipeline(pub gst::Pipeline);

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Nothing can be done about a failure.
        let _ = self.0.set_state(gst::State::Null);
    }
}

impl Pipeline {
    /// An empty one.
    pub fn new() -> Self {
        Pipeline(gst::Pipeline::new())
    }

    /// Adds the elements and links each to the next.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn chain(&self, elements: &[gst::Element]) -> Result<()> {
        self.0.add_many(elements)?;
        Ok(gst::Element::link_many(elements)?)
    }

    /// Begins to play.
    ///
    /// # Errors
    /// An element cannot start.
    pub fn play(&self) -> Result<()> {
        self.start(gst::State::Playing)
    }

    /// Decodes up to the first frame, and stops there.
    ///
    /// # Errors
    /// An element's error, or none of its frames comes.
    pub fn preroll(&self) -> Result<()> {
        self.start(gst::State::Paused)?;
        let from = Instant::now();
        while from.elapsed() < PREROLL {
            let (changed, state, _) = self.0.state(gst::ClockTime::from_mseconds(100));
            self.check()?;
            match changed {
                Ok(gst::StateChangeSuccess::Async) => (),
                Ok(_) if state >= gst::State::Paused => return Ok(()),
                Ok(_) => (),
                Err(_) => bail!("the pipeline does not start"),
            }
        }
        bail!("no frame came within {} s", PREROLL.as_secs())
    }

    fn start(&self, state: gst::State) -> Result<()> {
        if self.0.set_state(state).is_err() {
            self.check()?;
            bail!("the pipeline does not start");
        }
        Ok(())
    }

    /// Looks for errors among the messages that have come.
    ///
    /// # Errors
    /// The first one.
    pub fn check(&self) -> Result<()> {
        let Some(bus) = self.0.bus() else {
            return Ok(());
        };
        let mut missing = None;
        while let Some(message) = bus.pop() {
            if let Ok(message) = gst_pbutils::MissingPluginMessage::parse(&message) {
                missing = Some(packages::missing_detail(&message.installer_detail()));
            }
            if let gst::MessageView::Error(error) = message.view() {
                return Err(match missing {
                    Some(missing) => anyhow!(missing),
                    None => error_of(error),
                });
            }
        }
        Ok(())
    }

    /// Waits for the end of the streams; `tick` is called several times a second.
    ///
    /// # Errors
    /// Those of elements and of `tick`.
    pub fn wait(&self, mut tick: impl FnMut() -> Result<()>) -> Result<()> {
        let bus = self.0.bus().ok_or_else(|| anyhow!("no bus"))?;
        loop {
            let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
            let pause = gst::ClockTime::from_mseconds(100);
            if let Some(message) = bus.timed_pop_filtered(pause, &kinds) {
                match message.view() {
                    gst::MessageView::Error(error) => return Err(error_of(error)),
                    _ => return Ok(()),
                }
            }
            tick()?;
        }
    }
}

/// An element's error, with its details.
pub fn error_of(error: &gst::message::Error) -> anyhow::Error {
    let text = error.error();
    let from = error.src().map(|src| src.name()).unwrap_or_default();
    // Details follow a line with the position in the code.
    let debug = error.debug();
    let details = debug.as_deref().and_then(|debug| debug.split_once('\n'));
    match details {
        Some((_, details)) => anyhow!("{text} ({from}: {})", details.trim().replace('\n', " ")),
        None => anyhow!("{text} ({from})"),
    }
}
