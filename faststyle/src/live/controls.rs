//! What keys and the control page change while the video plays.

use crate::messages::say;
use gst::prelude::*;
use serde::Serialize;

/// Times of a fade from style to style, in milliseconds.
const FADES: [u32; 3] = [1000, 4000, 0];

/// Help for the keys.
pub const KEYS: &str = "\
n, Right   next style           + , Up     more of the style
p, Left    previous style       - , Down   less of it
k          the video's colours  o          the original
f          time of a fade       s          statistics
m          mirror               q, Ctrl-C  quit";

/// A style to choose: a model, and where it holds several, which one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// What people read.
    pub name: String,
    /// A path, or a name that the element looks up.
    pub model: String,
    pub style: Option<String>,
    /// A picture whose style is one of the model's then.
    pub picture: Option<String>,
}

/// What the video looks like now, for the page.
#[derive(Debug, Serialize)]
pub struct State {
    pub styles: Vec<String>,
    /// The place of the style in use.
    pub chosen: usize,
    pub strength: f64,
    pub smoothing: f64,
    pub original: bool,
    pub keep_color: bool,
    pub stroke_scale: f64,
    pub scale: f64,
    pub fade: u32,
    pub mirror: bool,
    pub statistics: Statistics,
}

/// The element's statistics.
#[derive(Debug, Default, Serialize)]
pub struct Statistics {
    pub model: String,
    pub style: String,
    pub device: String,
    pub width: u32,
    pub height: u32,
    pub milliseconds: f64,
    pub painted: u64,
    pub dropped: u64,
    pub passed: u64,
}

/// The elements that are controlled, and what was chosen.
pub struct Controls {
    style: gst::Element,
    /// Shows the statistics on top of the video in the window.
    text: Option<gst::Element>,
    /// Mirrors the video.
    flip: gst::Element,
    choices: Vec<Choice>,
    chosen: usize,
    /// The strength to return to when the original is hidden again.
    strength: f64,
    original: bool,
}

impl Controls {
    /// Of a pipeline's elements. `choices` is not empty.
    pub fn new(
        style: gst::Element,
        text: Option<gst::Element>,
        flip: gst::Element,
        choices: Vec<Choice>,
    ) -> Self {
        let strength = style.property("strength");
        Controls {
            style,
            text,
            flip,
            choices,
            chosen: 0,
            strength,
            original: false,
        }
    }

    /// The styles to choose from.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Does what a key stands for. Returns whether to go on.
    pub fn press(&mut self, key: char) -> bool {
        match key {
            'n' => self.choose(self.chosen + 1),
            'p' => self.choose(self.chosen + self.choices.len() - 1),
            '+' => self.set_strength(self.strength + 0.1),
            '-' => self.set_strength(self.strength - 0.1),
            'k' => {
                let keep = !self.style.property::<bool>("keep-color");
                self.set_keep_color(keep);
                say(format_args!("own colours: {keep}"));
            }
            'o' => self.set_original(!self.original),
            'f' => {
                let now = self.style.property::<u32>("style-fade");
                let place = FADES.iter().position(|&fade| fade == now);
                let fade = FADES[place.map_or(0, |place| (place + 1) % FADES.len())];
                self.set_fade(fade);
                say(format_args!("fade: {fade} ms"));
            }
            'm' => self.set_mirror(!self.is_mirrored()),
            's' => {
                if let Some(text) = &self.text {
                    let silent = !text.property::<bool>("silent");
                    text.set_property("silent", silent);
                }
            }
            'q' => return false,
            _ => (),
        }
        true
    }

    /// Goes to the style of this number, counted around. Within a model the styles
    /// fade into each other.
    pub fn choose(&mut self, number: usize) {
        self.chosen = number % self.choices.len();
        let Choice {
            name,
            model,
            style,
            picture,
        } = self.choices[self.chosen].clone();
        if self.style.property::<Option<String>>("style-image") != picture {
            self.style.set_property("style-image", picture);
        }
        let now = self.style.property::<Option<String>>("model");
        if now.as_ref() != Some(&model) {
            self.style.set_property("style", None::<&str>);
            self.style.set_property("model", &model);
        }
        self.style.set_property("style", style);
        say(format_args!("style: {name}"));
    }

    /// Sets how much of the style shows.
    pub fn set_strength(&mut self, strength: f64) {
        self.strength = strength.clamp(0.0, 1.0);
        self.show_strength();
    }

    /// Shows the original instead of the painting, or no longer.
    pub fn set_original(&mut self, original: bool) {
        self.original = original;
        self.show_strength();
    }

    fn show_strength(&self) {
        let shown = if self.original { 0.0 } else { self.strength };
        self.style.set_property("strength", shown);
        match self.original {
            true => say("original"),
            false => say(format_args!("strength: {:.1}", self.strength)),
        }
    }

    /// Sets how strongly flicker is smoothed.
    pub fn set_smoothing(&self, smoothing: f64) {
        self.style
            .set_property("smoothing", smoothing.clamp(0.0, 1.0));
    }

    /// Whether the video keeps its colours.
    pub fn set_keep_color(&self, keep: bool) {
        self.style.set_property("keep-color", keep);
    }

    /// Sets the time of a fade, in milliseconds.
    pub fn set_fade(&self, ms: u32) {
        self.style.set_property("style-fade", ms);
    }

    /// Sets the size of the strokes; 0 to follow the network's resolution.
    pub fn set_stroke_scale(&self, scale: f64) {
        self.style
            .set_property("stroke-scale", scale.clamp(0.0, 4.0));
    }

    /// Sets the size of the network's picture; 0 to adapt it to the machine.
    pub fn set_scale(&self, scale: f64) {
        self.style.set_property("scale", scale.clamp(0.0, 1.0));
    }

    /// Mirrors the video, or no longer.
    pub fn set_mirror(&self, mirror: bool) {
        let method = if mirror { "horiz" } else { "identity" };
        self.flip.set_property_from_str("video-direction", method);
    }

    fn is_mirrored(&self) -> bool {
        let direction = self.flip.property_value("video-direction");
        direction.get::<gst_video::VideoOrientationMethod>()
            == Ok(gst_video::VideoOrientationMethod::Horiz)
    }

    /// Shows the statistics in the window, if they are switched on.
    pub fn show_statistics(&self) {
        let now = self.statistics();
        if let Some(text) = &self.text {
            text.set_property("text", now.to_string());
        }
    }

    /// All that the page shows.
    pub fn state(&self) -> State {
        State {
            styles: self
                .choices
                .iter()
                .map(|choice| choice.name.clone())
                .collect(),
            chosen: self.chosen,
            strength: self.strength,
            smoothing: self.style.property("smoothing"),
            original: self.original,
            keep_color: self.style.property("keep-color"),
            stroke_scale: self.style.property("stroke-scale"),
            scale: self.style.property("scale"),
            fade: self.style.property("style-fade"),
            mirror: self.is_mirrored(),
            statistics: self.statistics(),
        }
    }

    /// The element's statistics.
    pub fn statistics(&self) -> Statistics {
        let stats = self.style.property::<gst::Structure>("stats");
        let text = |name| {
            stats
                .get::<Option<String>>(name)
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let count = |name| stats.get::<u64>(name).unwrap_or_default();
        let size = |name| stats.get::<u32>(name).unwrap_or_default();
        Statistics {
            model: text("model"),
            style: text("style"),
            device: text("device"),
            width: size("network-width"),
            height: size("network-height"),
            milliseconds: stats.get("total-mean-ms").unwrap_or_default(),
            painted: count("styled"),
            dropped: count("dropped"),
            passed: count("passed-through"),
        }
    }
}

impl std::fmt::Display for Statistics {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "{} {}\nnetwork {}x{} on {}, {:.1} ms a frame\n{} painted, {} dropped, {} as they were",
            self.model,
            self.style,
            self.width,
            self.height,
            self.device,
            self.milliseconds,
            self.painted,
            self.dropped,
            self.passed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gstreamer;

    fn controls() -> Controls {
        gstreamer::init().unwrap();
        let [style, flip] = ["faststyle", "videoflip"].map(|name| gstreamer::make(name).unwrap());
        let choice = |model: &str, style: Option<&str>| Choice {
            name: style.unwrap_or(model).into(),
            model: model.into(),
            style: style.map(Into::into),
            picture: None,
        };
        let choices = vec![
            choice("a", None),
            choice("b", Some("x")),
            choice("b", Some("y")),
        ];
        Controls::new(style, None, flip, choices)
    }

    #[test]
    fn keys_go_through_the_styles() {
        let mut controls = controls();
        controls.choose(0);
        let now = |controls: &Controls| {
            let property = |name: &str| controls.style.property::<Option<String>>(name);
            (property("model").unwrap(), property("style"))
        };
        assert_eq!(now(&controls), ("a".into(), None));
        for expected in ["x", "y"] {
            assert!(controls.press('n'));
            assert_eq!(now(&controls), ("b".into(), Some(expected.into())));
        }
        controls.press('n');
        assert_eq!(now(&controls), ("a".into(), None));
        controls.press('p');
        assert_eq!(now(&controls), ("b".into(), Some("y".into())));
        assert!(!controls.press('q'));
    }

    #[test]
    fn the_original_keeps_the_strength() {
        let mut controls = controls();
        controls.set_strength(0.7);
        controls.press('o');
        assert_eq!(controls.style.property::<f64>("strength"), 0.0);
        assert_eq!(controls.state().strength, 0.7);
        controls.press('o');
        assert_eq!(controls.style.property::<f64>("strength"), 0.7);
        controls.press('m');
        assert!(controls.state().mirror);
        for expected in [4000, 0, 1000] {
            controls.press('f');
            assert_eq!(controls.state().fade, expected);
        }
    }
}
