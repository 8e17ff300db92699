//! The layers of VGG-19 that losses are measured at, and their weights.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The convolutions of each block that there are weights of.
const BLOCKS: [usize; 5] = [2, 2, 4, 4, 1];

/// A convolution of VGG-19, from conv1_1 to conv5_1, with the ReLU behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VggLayer {
    /// 1 to 5.
    block: usize,
    /// Its number in the block, from 1.
    number: usize,
}

impl VggLayer {
    /// conv4_2, where Gatys et al. 2016 measure content.
    pub const CONTENT: VggLayer = VggLayer {
        block: 4,
        number: 2,
    };

    /// All that there are, in the order that a picture goes through them.
    pub fn all() -> impl Iterator<Item = VggLayer> {
        (1..).zip(BLOCKS).flat_map(|(block, count)| {
            let layer = move |number| VggLayer { block, number };
            (1..=count).map(layer)
        })
    }

    /// Whether what it sees is halved before it: the first of each block but
    /// the first.
    pub fn is_halved(self) -> bool {
        self.block > 1 && self.number == 1
    }
}

impl fmt::Display for VggLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv{}_{}", self.block, self.number)
    }
}

impl FromStr for VggLayer {
    type Err = String;

    /// `conv4_2`, or as others write it: `relu4_2`, `block4_conv2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = match text.strip_prefix("block") {
            Some(rest) => rest.split_once("_conv"),
            None => text
                .strip_prefix("conv")
                .or(text.strip_prefix("relu"))
                .and_then(|rest| rest.split_once('_')),
        };
        let layer = parts.and_then(|(block, number)| {
            Some(VggLayer {
                block: block.parse().ok()?,
                number: number.parse().ok()?,
            })
        });
        let found = layer.and_then(|layer| VggLayer::all().find(|known| *known == layer));
        found.ok_or_else(|| {
            let names: Vec<String> = VggLayer::all().map(|layer| layer.to_string()).collect();
            format!("{text} is not one of the layers: {}", names.join(", "))
        })
    }
}

impl Serialize for VggLayer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VggLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Some layers, at least one, each with a weight of at least 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<VggLayer, f64>")]
pub struct LayerWeights(BTreeMap<VggLayer, f64>);

impl LayerWeights {
    /// Content at conv4_2 (Gatys et al. 2016).
    pub fn content() -> Self {
        LayerWeights([(VggLayer::CONTENT, 1.0)].into())
    }

    /// Style at the first layer of each block (Gatys et al. 2016).
    pub fn style() -> Self {
        let first = VggLayer::all().filter(|layer| layer.number == 1);
        LayerWeights(first.map(|layer| (layer, 1.0)).collect())
    }

    /// The layers, in the order that a picture goes through them.
    pub fn layers(&self) -> impl Iterator<Item = VggLayer> {
        self.0.keys().copied()
    }

    /// Their weights, in the same order.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        self.0.values().copied()
    }
}

impl TryFrom<BTreeMap<VggLayer, f64>> for LayerWeights {
    type Error = String;

    fn try_from(weights: BTreeMap<VggLayer, f64>) -> Result<Self, String> {
        if weights.is_empty() {
            return Err("no layer".into());
        }
        match weights.iter().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            Some((layer, weight)) => Err(format!(
                "the weight {weight} of {layer} is not a number of at least 0"
            )),
            None => Ok(LayerWeights(weights)),
        }
    }
}

impl FromStr for LayerWeights {
    type Err = String;

    /// `conv1_1=0.5,conv2_1`: the weight is 1 where there is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = BTreeMap::new();
        for part in text.split(',') {
            let (layer, weight) = part.split_once('=').unwrap_or((part, "1"));
            let layer: VggLayer = layer.trim().parse()?;
            let weight = weight
                .trim()
                .parse()
                .map_err(|_| format!("the weight {weight} of {layer} is not a number"))?;
            if weights.insert(layer, weight).is_some() {
                return Err(format!("{layer} is given twice"));
            }
        }
        weights.try_into()
    }
}

impl fmt::Display for LayerWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().map(|(layer, weight)| match weight {
            1.0 => layer.to_string(),
            _ => format!("{layer}={weight}"),
        });
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_three_spellings() {
        let all: Vec<String> = VggLayer::all().map(|layer| layer.to_string()).collect();
        assert_eq!(all.len(), 13);
        assert_eq!(
            (&*all[0], &*all[4], &*all[12]),
            ("conv1_1", "conv3_1", "conv5_1")
        );
        for name in ["conv4_2", "relu4_2", "block4_conv2"] {
            assert_eq!(name.parse(), Ok(VggLayer::CONTENT), "{name}");
        }
        for name in [
            "conv5_2", "conv1_3", "conv0_1", "conv4_0", "pool4", "conv4", "", "conv-1_1",
        ] {
            let error = name.parse::<VggLayer>().expect_err(name);
            assert!(error.starts_with(name), "{error}");
            assert!(error.contains("conv4_4, conv5_1"), "{error}");
        }
    }

    #[test]
    fn layer_weights_default_to_1() -> Result<(), String> {
        let weights: LayerWeights = "conv3_1, block1_conv1=0.5".parse()?;
        assert_eq!(weights.to_string(), "conv1_1=0.5,conv3_1");
        assert_eq!(weights.to_string().parse(), Ok(weights));
        let style = LayerWeights::style();
        assert_eq!(style.to_string(), "conv1_1,conv2_1,conv3_1,conv4_1,conv5_1");
        assert_eq!(LayerWeights::content().to_string(), "conv4_2");
        for (text, expected) in [
            ("", "not one of the layers"),
            ("conv1_1,", "not one of the layers"),
            ("conv1_1=", "not a number"),
            ("conv1_1=-1", "at least 0"),
            ("conv1_1=inf", "at least 0"),
            ("conv1_1=NaN", "at least 0"),
            ("conv1_1,relu1_1=2", "conv1_1 is given twice"),
        ] {
            let error = text.parse::<LayerWeights>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        Ok(())
    }

    #[test]
    fn json_is_checked_like_flags() -> serde_json::Result<()> {
        let weights: LayerWeights = serde_json::from_str(r#"{"conv4_2": 2}"#)?;
        assert_eq!(serde_json::to_string(&weights)?, r#"{"conv4_2":2.0}"#);
        for json in ["{}", r#"{"conv4_2": -1}"#, r#"{"conv5_2": 1}"#, "[]"] {
            assert!(
                serde_json::from_str::<LayerWeights>(json).is_err(),
                "{json}"
            );
        }
        Ok(())
    }
}
