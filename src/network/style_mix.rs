//! Which styles a network paints in, and how much of each.

use super::printable::printable;
use super::style::Style;
use candle_core::{Result, Tensor, bail};

/// A weighted mean of a network's styles: of their scales, shifts and biases
/// (Dumoulin et al. 2017, section 3.3). By default the first style alone.
#[derive(Debug, PartialEq)]
pub struct StyleMix {
    /// Places in the network's list of styles, and their weights, which add up
    /// to 1.
    parts: Vec<(usize, f32)>,
}

impl Clone for StyleMix {
    fn clone(&self) -> Self {
        let parts = self.parts.clone();
        StyleMix { parts }
    }

    // In the memory that is there: mixes change from frame to frame.
    fn clone_from(&mut self, other: &Self) {
        self.parts.clone_from(&other.parts);
    }
}

impl Default for StyleMix {
    fn default() -> Self {
        StyleMix::single(0)
    }
}

impl StyleMix {
    /// The style at `index` of the network's list alone.
    pub fn single(index: usize) -> Self {
        StyleMix {
            parts: vec![(index, 1.0)],
        }
    }

    /// Styles by their places in the network's list, and how much of each, in
    /// any unit.
    ///
    /// # Errors
    /// A weight that is negative or not finite, or weights that are all 0.
    pub fn new(weights: &[(usize, f32)]) -> Result<Self> {
        let total: f32 = weights.iter().map(|(_, weight)| weight).sum();
        if weights
            .iter()
            .any(|(_, weight)| weight.is_nan() || *weight < 0.0)
            || total <= 0.0
            || !total.is_finite()
        {
            bail!("styles cannot be mixed with the weights {weights:?}");
        }
        let parts = weights.iter().filter(|(_, weight)| *weight > 0.0);
        Ok(StyleMix {
            parts: parts.map(|(i, weight)| (*i, weight / total)).collect(),
        })
    }

    /// A mix in words: a style's name, or names with weights, such as
    /// `scream:0.7,starry-night:0.3`. A weight that is left out is 1.
    ///
    /// # Errors
    /// A name that none of `styles` has; weights that make no mean.
    pub fn parse(text: &str, styles: &[Style]) -> std::result::Result<Self, String> {
        StyleMix::parse_with_order(text, styles).map(|(mix, _)| mix)
    }

    /// The same, and the styles in the order of the words, whatever their weights.
    ///
    /// # Errors
    /// As [`StyleMix::parse`].
    pub(crate) fn parse_with_order(
        text: &str,
        styles: &[Style],
    ) -> std::result::Result<(Self, Vec<usize>), String> {
        let parts = text.split(',').map(|part| parse_part(part, styles));
        let parts = parts.collect::<std::result::Result<Vec<_>, _>>()?;
        let mix = StyleMix::new(&parts).map_err(|_| {
            let text = printable(text);
            format!("`{text}`: the weights are negative, too large or all 0")
        })?;
        Ok((mix, parts.into_iter().map(|(style, _)| style).collect()))
    }

    /// Becomes what lies between two mixes: `from` at share 0, `to` at share 1.
    /// Takes no memory once it has held as many styles as both have.
    pub fn set_between(&mut self, from: &StyleMix, to: &StyleMix, share: f32) {
        let share = share.clamp(0.0, 1.0);
        self.parts.clear();
        for (mix, share) in [(from, 1.0 - share), (to, share)] {
            for &(style, weight) in &mix.parts {
                let weight = weight * share;
                match self.parts.iter_mut().find(|(known, _)| *known == style) {
                    Some((_, sum)) => *sum += weight,
                    None if weight > 0.0 => self.parts.push((style, weight)),
                    None => (),
                }
            }
        }
    }

    /// The styles in it, and their weights.
    pub fn parts(&self) -> &[(usize, f32)] {
        &self.parts
    }

    /// Gives each style another number.
    #[cfg(feature = "gst")]
    pub(crate) fn renumber(&mut self, number: impl Fn(usize) -> usize) {
        for (style, _) in &mut self.parts {
            *style = number(*style);
        }
    }

    /// # Errors
    /// If a style of it is beyond the network's.
    pub(super) fn check(&self, styles: usize) -> Result<()> {
        match self.missing(styles) {
            Some(i) => bail!("there is no style {i} in a network of {styles}"),
            None => Ok(()),
        }
    }

    /// A style of it that a network of so many `styles` lacks.
    pub(crate) fn missing(&self, styles: usize) -> Option<usize> {
        let parts = self.parts.iter().map(|(style, _)| *style);
        parts.into_iter().find(|style| *style >= styles)
    }

    /// The mean of the rows of `table`, `[styles, n]`.
    pub(super) fn of(&self, table: &Tensor) -> Result<Tensor> {
        if let [(index, _)] = self.parts[..] {
            return table.get(index);
        }
        let mut sum = table.get(0)?.zeros_like()?;
        for (index, weight) in &self.parts {
            sum = (sum + (table.get(*index)? * f64::from(*weight))?)?;
        }
        Ok(sum)
    }
}

fn parse_part(part: &str, styles: &[Style]) -> std::result::Result<(usize, f32), String> {
    let (name, weight) = match part.rsplit_once(':') {
        Some((name, weight)) => {
            let parsed = weight.trim().parse();
            let weight = parsed.map_err(|_| {
                let (part, weight) = (printable(part), printable(weight));
                format!("`{part}`: `{weight}` is not a number")
            })?;
            (name, weight)
        }
        None => (part, 1.0),
    };
    let name = name.trim();
    // A name that cannot be typed goes by what is shown of it.
    let is_called =
        |style: &Style| style.name == name || printable(&style.name).to_string() == name;
    match styles.iter().position(is_called) {
        Some(index) => Ok((index, weight)),
        None => {
            let name = printable(name);
            Err(format!("there is no style `{name}`; {}", list(styles)))
        }
    }
}

fn list(styles: &[Style]) -> String {
    let names: Vec<&str> = styles.iter().map(|style| style.name.as_str()).collect();
    match names.is_empty() {
        true => "the model's styles have no names".into(),
        false => format!("the model has {}", printable(names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_mix_is_the_weighted_mean_of_rows() {
        let table = Tensor::new(&[[1f32, 2.0], [10.0, 20.0], [5.0, 5.0]], &Device::Cpu).unwrap();
        let mix = StyleMix::new(&[(0, 1.0), (1, 3.0), (2, 0.0)]).unwrap();
        assert_eq!(mix.parts(), [(0, 0.25), (1, 0.75)]);
        assert_eq!(
            mix.of(&table).unwrap().to_vec1::<f32>().unwrap(),
            [7.75, 15.5]
        );
        let last = StyleMix::single(2).of(&table).unwrap();
        assert_eq!(last.to_vec1::<f32>().unwrap(), [5.0, 5.0]);
        assert!(mix.check(2).is_ok());
        assert!(mix.check(1).is_err());
    }

    #[test]
    fn mixes_are_read_from_words() {
        let styles = ["scream", "starry-night"].map(|name| Style {
            name: name.into(),
            ..Style::default()
        });
        let parts = |text| StyleMix::parse(text, &styles).map(|mix| mix.parts().to_vec());
        assert_eq!(parts("starry-night"), Ok(vec![(1, 1.0)]));
        assert_eq!(
            parts("scream:3, starry-night"),
            Ok(vec![(0, 0.75), (1, 0.25)])
        );
        for (text, expected) in [
            ("waves", "the model has scream, starry-night"),
            ("", "no style ``"),
            ("scream:", "not a number"),
            ("scream:-1", "negative"),
            ("scream:0", "all 0"),
            ("scream:inf", "too large"),
        ] {
            let error = parts(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn names_that_cannot_be_typed() {
        let styles = ["a\0b", "c\x1b[2J"].map(|name| Style {
            name: name.into(),
            ..Style::default()
        });
        let mix = StyleMix::parse(r"c\u{1b}[2J", &styles).unwrap();
        assert_eq!(mix.parts(), [(1, 1.0)]);
        for text in ["\x07", "a:\x07", "\x07:1"] {
            let error = StyleMix::parse(text, &styles).unwrap_err();
            assert!(error.contains(r"\u{7}"), "{error:?}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn between_two_mixes() {
        let from = StyleMix::new(&[(0, 1.0), (2, 1.0)]).unwrap();
        let to = StyleMix::single(2);
        let mut mix = StyleMix::default();
        for (share, parts) in [
            (0.0, &[(0, 0.5), (2, 0.5)][..]),
            (0.5, &[(0, 0.25), (2, 0.75)]),
            (1.0, &[(2, 1.0)]),
            (7.0, &[(2, 1.0)]),
        ] {
            mix.set_between(&from, &to, share);
            assert_eq!(mix.parts(), parts, "{share}");
        }
    }

    #[test]
    fn weights_that_make_no_mean_are_refused() {
        for weights in [
            &[][..],
            &[(0, 0.0)],
            &[(0, -1.0), (1, 2.0)],
            &[(0, f32::NAN)],
            &[(0, f32::INFINITY)],
        ] {
            assert!(StyleMix::new(weights).is_err(), "{weights:?}");
        }
    }
}
