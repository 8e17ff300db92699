//! Which of a model's styles frames are painted in, and fades from one to another.

use crate::network::{Style, StyleMix};
use std::time::Duration;

/// What property `style` says, in a model's own list of styles.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    mix: StyleMix,
    /// The styles that a position rides along.
    stops: Vec<StyleMix>,
}

impl Choice {
    /// The style at `index` of a model of `styles`; a position rides along all.
    pub fn of_model(index: usize, styles: usize) -> Self {
        Choice {
            mix: StyleMix::single(index),
            stops: (0..styles.max(1)).map(StyleMix::single).collect(),
        }
    }

    /// A style's name, or a mix such as `scream:0.7,starry-night:0.3`; a weight
    /// that is left out is 1.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, styles: &[Style]) -> Result<Self, String> {
        let (mix, order) = StyleMix::parse_with_order(text, styles)?;
        Ok(Choice {
            mix,
            stops: order.into_iter().map(StyleMix::single).collect(),
        })
    }

    /// The mix as text. Empty where the styles have no names.
    pub fn text(&self, styles: &[Style]) -> String {
        let parts = self.mix.parts();
        let part = |&(style, weight): &(usize, f32)| {
            let name = &styles.get(style)?.name;
            Some(match parts.len() {
                1 => name.clone(),
                _ => format!("{name}:{weight:.2}"),
            })
        };
        let parts: Vec<String> = parts.iter().filter_map(part).collect();
        parts.join(",")
    }

    /// Makes `target` what is to be seen: the mix or, at a position along the
    /// styles, what is between the two next to it.
    fn target(&self, position: Option<f64>, target: &mut StyleMix) {
        let Some(position) = position else {
            return target.clone_from(&self.mix);
        };
        let last = self.stops.len() - 1;
        let position = position.clamp(0.0, last as f64);
        let before = position.floor() as usize;
        let after = (before + 1).min(last);
        let share = position.fract() as f32;
        target.set_between(&self.stops[before], &self.stops[after], share);
    }
}

/// The mix of styles that frames are painted in, as it follows what is chosen.
#[derive(Debug)]
pub struct Fade {
    choice: Choice,
    /// Whether there is a position along the styles.
    rides: bool,
    /// What is chosen.
    target: StyleMix,
    /// What the last frame was painted in, if there was one.
    shown: StyleMix,
    painted: bool,
    /// What was shown when the choice changed.
    from: StyleMix,
    start: Start,
}

/// When a fade began.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// There is none, or it has ended.
    Never,
    /// With the next frame.
    Next,
    /// At this running time.
    At(Duration),
}

impl Fade {
    /// Begins with this choice, at once.
    pub fn new(choice: Choice) -> Self {
        Fade {
            choice,
            rides: false,
            target: StyleMix::default(),
            shown: StyleMix::default(),
            painted: false,
            from: StyleMix::default(),
            start: Start::Never,
        }
    }

    /// Fades to another choice from the next frame on.
    pub fn choose(&mut self, choice: Choice) {
        if self.choice != choice {
            self.choice = choice;
            self.begin();
        }
    }

    fn begin(&mut self) {
        // The first frame shows what is chosen then.
        if self.painted {
            self.from.clone_from(&self.shown);
            self.start = Start::Next;
        }
    }

    /// Moves on to the frame at running time `time`, where fades take
    /// `duration`. `position` is along the chosen styles, if it is not -1.
    pub fn advance(&mut self, time: Option<Duration>, duration: Duration, position: f64) {
        let position = Some(position).filter(|position| *position > -1.0);
        if self.rides != position.is_some() {
            self.rides = position.is_some();
            self.begin();
        }
        self.choice.target(position, &mut self.target);
        match self.share(time, duration) {
            Some(share) => self.shown.set_between(&self.from, &self.target, share),
            None => {
                self.shown.clone_from(&self.target);
                self.start = Start::Never;
            }
        }
        self.painted = true;
    }

    /// Gives each style another number: the model's list has changed.
    pub fn renumber(&mut self, number: impl Fn(usize) -> usize) {
        let Choice { mix, stops } = &mut self.choice;
        let shown = [&mut self.target, &mut self.shown, &mut self.from];
        for mix in shown.into_iter().chain([mix]).chain(stops) {
            mix.renumber(&number);
        }
    }

    /// What is chosen.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// The mix for this frame.
    pub fn mix(&self) -> &StyleMix {
        &self.shown
    }

    /// How much of a fade is done, while there is one.
    fn share(&mut self, time: Option<Duration>, duration: Duration) -> Option<f32> {
        let time = time?;
        if self.start == Start::Next {
            self.start = Start::At(time);
        }
        let Start::At(start) = self.start else {
            return None;
        };
        // After a seek, time may have gone back.
        let elapsed = time.checked_sub(start)?;
        (elapsed < duration).then(|| elapsed.div_duration_f32(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn styles() -> Vec<Style> {
        let names = ["scream", "starry-night", "none"];
        let style = |name: &str| Style {
            name: name.into(),
            ..Style::default()
        };
        names.map(style).into()
    }

    fn choice(text: &str) -> Choice {
        Choice::parse(text, &styles()).unwrap()
    }

    #[test]
    fn names_and_mixes() {
        for (text, parts) in [
            ("starry-night", &[(1, 1.0)][..]),
            ("scream:3, none:1", &[(0, 0.75), (2, 0.25)]),
            ("none,scream", &[(2, 0.5), (0, 0.5)]),
            ("scream:0,none:7", &[(2, 1.0)]),
        ] {
            assert_eq!(choice(text).mix.parts(), parts, "{text}");
        }
        assert_eq!(choice(" none ").text(&styles()), "none");
        assert_eq!(
            choice("scream:3,none").text(&styles()),
            "scream:0.75,none:0.25"
        );
        assert_eq!(choice("none").text(&[]), "");
    }

    #[test]
    fn what_is_wrong_with_a_text() {
        for (text, part) in [
            (
                "scraem",
                "no style `scraem`; the model has scream, starry-night, none",
            ),
            ("scream,", "no style ``"),
            ("scream:", "`` is not a number"),
            ("scream:much", "`much` is not a number"),
            ("scream:0", "all 0"),
            ("scream:-1,none:2", "negative"),
            ("scream:inf", "too large"),
            ("scream:nan", "weights"),
        ] {
            let error = Choice::parse(text, &styles()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = Choice::parse("scream", &[]).unwrap_err();
        assert!(error.contains("no names"), "{error}");
    }

    /// Frames of a fade of a second.
    struct Frames(Fade);

    impl Frames {
        fn at(&mut self, ms: u64, position: f64) -> Vec<(usize, f32)> {
            let time = Some(Duration::from_millis(ms));
            self.0.advance(time, Duration::from_secs(1), position);
            self.0.mix().parts().to_vec()
        }
    }

    #[test]
    fn a_change_fades_from_what_is_on_the_screen() {
        let mut frames = Frames(Fade::new(choice("scream")));
        assert_eq!(frames.at(400, -1.0), [(0, 1.0)]);
        frames.0.choose(choice("none"));
        assert_eq!(frames.at(500, -1.0), [(0, 1.0)]);
        assert_eq!(frames.at(750, -1.0), [(0, 0.75), (2, 0.25)]);
        assert_eq!(frames.at(1000, -1.0), [(0, 0.5), (2, 0.5)]);
        // Another change on the way, and the same again, which is none.
        frames.0.choose(choice("starry-night"));
        frames.0.choose(choice("starry-night"));
        assert_eq!(frames.at(1100, -1.0), [(0, 0.5), (2, 0.5)]);
        let half = [(0, 0.25), (2, 0.25), (1, 0.5)];
        assert_eq!(frames.at(1600, -1.0), half);
        assert_eq!(frames.at(2100, -1.0), [(1, 1.0)]);
    }

    #[test]
    fn where_time_is_not_known_or_goes_back_a_change_is_at_once() {
        let mut fade = Fade::new(choice("scream"));
        let at = |fade: &mut Fade, seconds: Option<u64>| {
            let time = seconds.map(Duration::from_secs);
            fade.advance(time, Duration::from_secs(5), -1.0);
            fade.mix().parts().to_vec()
        };
        at(&mut fade, Some(10));
        fade.choose(choice("none"));
        assert_eq!(at(&mut fade, Some(10)), [(0, 1.0)]);
        assert_eq!(at(&mut fade, Some(9)), [(2, 1.0)]);
        assert_eq!(at(&mut fade, Some(11)), [(2, 1.0)]);
        fade.choose(choice("scream"));
        assert_eq!(at(&mut fade, None), [(0, 1.0)]);
        fade.choose(choice("none"));
        fade.advance(Some(Duration::ZERO), Duration::ZERO, -1.0);
        assert_eq!(fade.mix().parts(), [(2, 1.0)]);
    }

    #[test]
    fn a_fade_goes_on_where_styles_have_other_numbers() {
        let mut frames = Frames(Fade::new(choice("scream")));
        assert_eq!(frames.at(0, -1.0), [(0, 1.0)]);
        // The style of a picture, of which another one takes the place.
        frames.0.choose(Choice::of_model(3, 4));
        assert_eq!(frames.at(100, -1.0), [(0, 1.0)]);
        assert_eq!(frames.at(600, -1.0), [(0, 0.5), (3, 0.5)]);
        frames
            .0
            .renumber(|style| if style == 3 { 4 } else { style });
        frames.0.choose(Choice::of_model(3, 4));
        assert_eq!(frames.at(700, -1.0), [(0, 0.5), (4, 0.5)]);
        assert_eq!(frames.at(1200, -1.0), [(0, 0.25), (4, 0.25), (3, 0.5)]);
        assert_eq!(frames.at(1700, -1.0), [(3, 1.0)]);
    }

    #[test]
    fn a_position_rides_along_the_styles() {
        let mut frames = Frames(Fade::new(Choice::of_model(0, 3)));
        for (position, parts) in [
            (0.0, &[(0, 1.0)][..]),
            (0.25, &[(0, 0.75), (1, 0.25)]),
            (1.5, &[(1, 0.5), (2, 0.5)]),
            (2.0, &[(2, 1.0)]),
            (9.0, &[(2, 1.0)]),
            (-0.5, &[(0, 1.0)]),
        ] {
            assert_eq!(frames.at(0, position), parts, "{position}");
        }
        // In the order of the text, whatever the weights.
        let mut frames = Frames(Fade::new(choice("none:0,scream:5")));
        assert_eq!(frames.at(0, 0.25), [(2, 0.75), (0, 0.25)]);
        // Off again: a fade to the mix.
        assert_eq!(frames.at(100, -1.0), [(2, 0.75), (0, 0.25)]);
        assert_eq!(frames.at(1100, -1.0), [(0, 1.0)]);
    }
}
